"""Lists the cases without running any."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass

from seatrial.conformance import check
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its stable name, the ledger ids that it covers, and the words of its needs."""

    id: str
    requirements: tuple[str, ...]
    needs: tuple[str, ...] = ()


def collect(profile: str = "all", keyword: str | None = None, shard: str | None = None) -> list[Case]:
    """The cases of a profile ("all": of every one) in collection order.

    HarnessBug when one cannot be collected, EnvironmentProblem when the selection is malformed.
    """
    import pytest

    from seatrial.conformance import plugin

    found: list[Case] = []

    class Listener:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            found.extend(
                Case(plugin.case_id(item), plugin.mark_words(item, "covers"), plugin.mark_words(item, "needs"))
                for item in session.items
            )

    arguments = [
        "-c",
        os.devnull,
        "--rootdir",
        check.HERE,
        "-p",
        "no:cacheprovider",
        "--collect-only",
        "-q",
        "--strict-markers",
    ]
    arguments += ["-p", "seatrial.conformance.plugin", "--profile", profile]
    if keyword:
        arguments += ["-k", keyword]
    if shard:
        arguments += ["--shard", shard]
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    output, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(complaint):
            status = pytest.main([*arguments, check.CASES], plugins=[Listener()])
    finally:
        os.environ.clear()
        os.environ.update(before)
    if status == pytest.ExitCode.USAGE_ERROR:
        raise EnvironmentProblem(complaint.getvalue().strip())
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise HarnessBug(f"the cases cannot be collected\n{output.getvalue()[-3000:]}")
    return found
