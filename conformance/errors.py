"""The three families of trouble, never mixed: the runtime is wrong, the host cannot tell, we are wrong."""

from __future__ import annotations


class Finding(AssertionError):  # noqa: N818
    """The runtime under test did something wrong.  A plain `assert` in a case means the same."""


class RuntimeTimeout(Finding):
    """An invocation of the runtime did not end within its time limit and was killed."""


class CaseTimeout(Finding):
    """A case as a whole took too long: it waited for something that the runtime never brought about."""


class EnvironmentProblem(Exception):  # noqa: N818
    """The host (kernel, privilege, file system, missing program) keeps the harness from judging: no verdict."""


class HarnessBug(Exception):  # noqa: N818
    """The harness or a case is wrong: an unknown ledger id, an unknown need, an unreadable probe of our own."""
