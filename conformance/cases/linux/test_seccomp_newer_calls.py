"""Seccomp and system calls that are newer than the profile: ENOSYS, so that a C library falls back to older ones.

With the errno of the default action, mostly EPERM, a program that tries a new call first takes it for forbidden and
gives up.  Practice of runc since 1.0.0-rc93; the specification has only the default action.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.linux.filters import CALL, allow_the_rest
from seatrial.conformance.cases.linux.test_seccomp_architectures import native
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.probe import Report

pytestmark = [needs("seccomp"), profile("runc-compat")]
NEWER = 4000  # above every call that a kernel has, below those of x32


@pytest.mark.parametrize("number", [None, 13], ids=["EPERM", "EACCES"])
@covers("config-linux/seccomp/2", "config-linux/seccomp/24")
def test_newer_call_is_not_implemented(bundle: Bundle, report: Callable[..., Report], number: int | None) -> None:
    """A call above all that the profile names: ENOSYS; one that it leaves out among them: the default's errno."""
    members = {} if number is None else {"defaultErrnoRet": number}
    allow_the_rest(bundle, "SCMP_ACT_ERRNO", architectures=[native()], **members)  # as every engine names it
    found = report(bundle.probe(f"syscall {NEWER} -- syscall {CALL} -1 0 -1 0 0 0"))
    assert [verb.errno for verb in found.verbs] == ["ENOSYS", "EPERM" if number is None else "EACCES"]
