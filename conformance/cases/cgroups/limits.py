"""Cases about limits: one row per member of linux.resources, with its file and text on v1 and on v2."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.control_files import controller_of
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.errors import Finding

Make = Callable[[], Bundle]


class Limit(NamedTuple):
    """A value of linux.resources and what the kernel must show of it.

    `members` maps `memory.limit` and the like to values; `v1` and `v2` are (file, text or texts); the ledger rows are
    those that hold on v1 or on v2.  `since` is the spec version that introduced the member.
    """

    name: str
    members: dict[str, Any]
    v1: tuple[str, str | set[str]] | None = None
    v1_rows: tuple[str, ...] = ()
    v2: tuple[str, str | set[str]] | None = None
    v2_rows: tuple[str, ...] = ()
    since: str = "1.0.2"
    kernel: str = ""  # a need such as kernel>=5.15


def variants(limits: Iterable[Limit]) -> list[Any]:
    """(limit, file, wanted texts, v2) for each limit and version of cgroups that has it."""
    found = []
    for limit in limits:
        for version, target, rows in (("2", limit.v2, limit.v2_rows), ("1", limit.v1, limit.v1_rows)):
            if target is None:
                continue
            file, text = target
            words = [f"cgroup{version}", f"cgroup:{controller_of(file)}", *([limit.kernel] if limit.kernel else [])]
            marks = [covers(*(f"config-linux/{row}" for row in rows)), needs("root", *words)]
            wanted = {text} if isinstance(text, str) else text
            found.append(pytest.param(limit, file, wanted, version == "2", id=f"{limit.name}-v{version}", marks=marks))
    return found


def versions(controller: str, v1: Iterable[str] = (), v2: Iterable[str] = ()) -> list[Any]:
    """True (v2) and False (v1) with the rows that a case covers there; a version without rows is left out."""
    found = []
    for name, rows in (("2", tuple(v2)), ("1", tuple(v1))):
        if rows:
            marks = [covers(*(f"config-linux/{row}" for row in rows)), needs("root", f"cgroup{name}")]
            found.append(pytest.param(name == "2", id=f"v{name}", marks=[*marks, needs(f"cgroup:{controller}")]))
    return found


def put(bundle: Bundle, members: dict[str, Any], since: str = "1.0.2") -> Bundle:
    """Set members of linux.resources (`{"memory.limit": 4096}`) in a config that states the version `since`."""
    for path, value in members.items():
        block, _, name = path.partition(".")
        bundle.linux["resources"].setdefault(block, {})[name] = value
    if since != "1.0.2":
        bundle.config["ociVersion"] = since
    return bundle


def created_with(
    runtime: Runtime, make_bundle: Make, limit: Limit, writes: dict[str, str], *, may_refuse: bool
) -> Container | None:
    """A container with the limit, or None: refused, which is allowed when `may_refuse`.

    Otherwise a refusal is a finding unless the kernel refuses, too: then `writes` (file -> text, tried by us in the
    cgroup of a container without the limit) fail, and the case is skipped.
    """
    runtime.prove_sane()
    container = runtime.create(put(make_bundle(), limit.members, limit.since), check=False)
    if container.created.ok:
        return container
    assert not container.created.crashed, container.created.describe()
    if may_refuse:
        assert not runtime.state(container.id).ok
        return None
    reason = kernel_refusal(runtime, make_bundle, writes)
    if reason is None:
        container.created.check()
    pytest.skip(f"the kernel refuses it: {reason}")


def check(container: Container | None, file: str, wanted: set[str]) -> None:
    """Finding unless the file shows one of the wanted texts; a container that was rightly refused passes."""
    if container is None:
        return
    shown = control_files.value(container, file)
    if shown not in wanted:
        raise Finding(f"{file} shows {shown!r}, not {' or '.join(sorted(wanted))}")


def kernel_refusal(runtime: Runtime, make_bundle: Make, writes: dict[str, str]) -> str | None:
    """Why the kernel does not take these texts in the cgroup of a container without limits; None when it does."""
    container = runtime.create(make_bundle())
    for name, text in writes.items():
        directory = control_files.directory_of(container, controller_of(name))
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            return f"the cgroup has no {name}"
        error = control_files.write(path, text)
        if error is not None:
            return f"write {text} to {name}: {error.strerror}"
        if control_files.read(directory, name) != text:
            return f"{name} keeps {control_files.read(directory, name)} when {text} is written"
    return None
