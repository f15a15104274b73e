"""features.md and features-linux.md: what the runtime does not list, and the cgroup managers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.features import members
from seatrial.conformance.cases.features.test_claims import MAPPED, NAMESPACES, claim, mount_option, refused
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine import needs as needs_module
from seatrial.conformance.engine.checks import proper_refusal
from seatrial.conformance.errors import Finding

pytestmark = needs("features", "root")
Features = dict[str, Any]
Make = Callable[[], Bundle]
Rejected = Callable[..., Result]
SOME = 2  # of the names that are not listed: each takes a create


def namespace(bundle: Bundle, name: str) -> None:
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != name]
    bundle.linux["namespaces"].append({"type": name})


def action(bundle: Bundle, name: str) -> None:
    rule = {"names": ["acct"], "action": name}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


def operator(bundle: Bundle, name: str) -> None:
    condition = {"index": 0, "value": 1, "valueTwo": 1, "op": name}
    rule = {"names": ["acct"], "action": "SCMP_ACT_ERRNO", "args": [condition]}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


def architecture(bundle: Bundle, name: str) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [name]}


def flag(bundle: Bundle, name: str) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "flags": [name]}


def mode(bundle: Bundle, name: str) -> None:
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["memoryPolicy"] = {"mode": name, **({} if name == "MPOL_LOCAL" else {"nodes": "0"})}


SAME_ORDER = members.LITTLE_ENDIAN if sys.byteorder == "little" else members.BIG_ENDIAN
LISTS: dict[str, tuple[list[str], Callable[[Bundle, str], None]]] = {
    "linux.namespaces": ([name for name in NAMESPACES if name != "mount"], namespace),
    "linux.seccomp.actions": ([f"SCMP_ACT_{name}" for name in members.ACTIONS if name != "NOTIFY"], action),
    "linux.seccomp.operators": ([f"SCMP_CMP_{name}" for name in members.OPERATORS], operator),
    "linux.seccomp.archs": ([f"SCMP_ARCH_{name}" for name in SAME_ORDER], architecture),
    "linux.seccomp.knownFlags": ([f"SECCOMP_FILTER_FLAG_{name}" for name in members.FLAGS], flag),
    "linux.memoryPolicy.modes": (["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED"], mode),
}


@pytest.mark.parametrize("path", LISTS)
@covers("features/features-structure/4", "config/valid-values/2")
def test_what_is_not_listed_is_refused(
    runtime: Runtime, make_bundle: Make, features: Features, rejected: Rejected, path: str
) -> None:
    """A name that is not in a list that is there, be it an empty one, is not supported, and so an error; a list that is
    absent or null says nothing (features.md#features-structure, config.md#valid-values)."""
    known = members.find(features, path)
    if known is None:
        pytest.skip(f"the runtime does not say {path}")
    names, change = LISTS[path]
    for name in [name for name in names if name not in known][:SOME]:
        bundle = make_bundle()
        change(bundle, name)
        rejected(runtime, bundle)


@profile("runc-compat")
@needs("call:mount_setattr")
@covers("features/mount-options/1")
def test_mount_options_that_work_are_listed(runtime: Runtime, make_bundle: Make, features: Features) -> None:
    """An option that callers would look for is in the list if the runtime takes it (features.md#mount-options)."""
    known = members.find(features, "mountOptions")
    if known is None:
        pytest.skip("the runtime does not say mountOptions")
    folder = "config/linux-mount-options/"
    from seatrial.conformance.ledger import ledger

    table = [row.id.removeprefix(folder) for row in ledger.load().values() if row.id.startswith(folder)]
    names = [name for name in table if "-" not in name and name not in (*known, *MAPPED, "unknown", "custom")]
    works = {*names} - {*refused(runtime, make_bundle, names, mount_option)} if names else set()
    assert works == set()


@covers("features/unsafe-annotations-in-configjson/2")
def test_unsafe_annotations_are_keys_or_prefixes(features: Features) -> None:
    """An entry is a key, or a prefix that ends in a dot: no pattern (features.md#unsafe-annotations-in-configjson)."""
    entries = features.get("potentiallyUnsafeConfigAnnotations")
    if entries is None:
        pytest.skip("the runtime does not say potentiallyUnsafeConfigAnnotations")
    assert [entry for entry in entries if not entry.strip(".") or set(entry) & set("*?[] \n")] == []


@profile("runc-compat")
@covers("features-linux/cgroup/4")
def test_systemd_is_as_claimed(runtime: Runtime, bundle: Bundle, features: Features) -> None:
    """true: --systemd-cgroup makes a scope, or is an error where no systemd is to be reached; false: an error
    (features-linux.md#cgroup)."""
    able = claim(features, "linux.cgroup.systemd")
    runtime.prove_sane()
    bundle.linux["cgroupsPath"] = f"system.slice:seatrial:{bundle.name}"
    bundle.probe("hold", report=False).write()
    result = runtime.command("--systemd-cgroup", "create", "--bundle", bundle.path, bundle.name)
    if not able or needs_module.unmet("systemd") is not None:
        proper_refusal(result)
        assert not runtime.state(bundle.name).ok
        return
    result.check()
    try:
        pid = int(runtime.state(bundle.name).check().stdout.partition('"pid":')[2].split(",")[0])
        unit = f"seatrial-{bundle.name}.scope"
        assert unit in {os.path.basename(path) for path in control_files.membership(pid).values()}
    except ValueError as error:
        raise Finding("state has no pid") from error
    finally:
        runtime.command("delete", "--force", bundle.name)
