"""features.md and features-linux.md: whether what the runtime lists is what it does."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.features.members import BIG_ENDIAN, LITTLE_ENDIAN, find
from seatrial.conformance.cases.mounts.test_mount_options import FLAGS
from seatrial.conformance.driver.bundle import HOOK_KINDS, Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine import needs as needs_module
from seatrial.conformance.engine.checks import accepted
from seatrial.conformance.errors import Finding

pytestmark = needs("features", "root")
Features = dict[str, Any]
Make = Callable[[], Bundle]
Reader = Callable[..., Report]
Rejected = Callable[..., Result]


def listed(features: Features, path: str) -> list[str]:
    """The entries of a list; the case is skipped where the runtime lists nothing."""
    found = find(features, path)
    if not found:
        pytest.skip(f"the runtime lists no {path}")
    assert isinstance(found, list)
    return found


def claim(features: Features, path: str) -> bool:
    """The value of a boolean; the case is skipped where the runtime says nothing (null is not false)."""
    found = find(features, path)
    if found is None:
        pytest.skip(f"the runtime does not say {path}")
    return bool(found)


def refused(
    runtime: Runtime, make_bundle: Make, names: list[str], change: Callable[[Bundle, str], None]
) -> dict[str, str]:
    """Those names with which create fails, and what it said: all in one config, in halves where that fails."""
    bundle = make_bundle()
    for name in names:
        change(bundle, name)
    container = runtime.create(bundle, check=False)
    if container.created.ok:
        container.remove()
        return {}
    if len(names) == 1:
        return {names[0]: container.created.stderr.strip()[-200:]}
    half = len(names) // 2
    first = refused(runtime, make_bundle, names[:half], change)
    return {**first, **refused(runtime, make_bundle, names[half:], change)}


def all_work(runtime: Runtime, make_bundle: Make, names: list[str], change: Callable[[Bundle, str], None]) -> None:
    """create works with all names in one config; where it does not, those that it refuses alone are a finding."""
    if names and (found := refused(runtime, make_bundle, names, change)):
        raise Finding("refused: " + "; ".join(f"{name}: {said}" for name, said in found.items()))


@covers("features/hooks/2")
def test_listed_hooks_run(runtime: Runtime, bundle: Bundle, features: Features) -> None:
    """A hook of each listed kind runs (features.md#hooks)."""
    kinds = set(listed(features, "hooks")) & set(HOOK_KINDS)
    inside = os.path.join(bundle.rootfs, "hooks")
    for kind in sorted(kinds):
        path = "/hooks" if kind == "startContainer" else bundle.outside("hooks")
        bundle.hook(kind, "append", path, f"{kind}\n")
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    container.delete()
    ran: set[str] = set()
    for path in (bundle.outside("hooks"), inside):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                ran.update(file.read().split())
    assert ran == kinds


MAPPED = ("idmap", "ridmap")  # they need mappings: features-linux.md#mountextensions
BOUND = ("bind", "rbind", "remount", "copy-symlink", "src-nofollow", "dest-nofollow")


def mount_option(bundle: Bundle, name: str) -> None:
    """A mount of its own with this option."""
    target = "/opt/" + name.replace("/", "-")
    if name == "remount":
        bundle.mount(target, "tmpfs", "tmpfs")
        bundle.mount(target, "tmpfs", "tmpfs", "remount")
    elif name in BOUND:
        bundle.mount(target, "bind", bundle.directory("source"), "bind", name)
    else:
        bundle.mount(target, "tmpfs", "tmpfs", name)


@needs("call:mount_setattr")
@covers("features/mount-options/2")
def test_listed_mount_options_are_known(runtime: Runtime, make_bundle: Make, features: Features) -> None:
    """No listed option reaches tmpfs, which refuses what it does not know (features.md#mount-options)."""
    control = make_bundle()
    control.mount("/opt/x", "tmpfs", "tmpfs", "no-such-option-of-any-runtime")
    runtime.prove_sane()
    if runtime.create(control, check=False).created.ok:
        pytest.skip("the runtime or the kernel takes any option, so that all of them pass")
    names = [name for name in listed(features, "mountOptions") if name not in MAPPED]
    found = refused_options(runtime, make_bundle, names)
    if found:
        raise Finding("refused: " + "; ".join(f"{name}: {said}" for name, said in found.items()))


_REFUSED: dict[str, dict[str, str]] = {}  # by runtime: what refused() found out about its mount options


def refused_options(runtime: Runtime, make_bundle: Make, names: list[str]) -> dict[str, str]:
    """The listed mount options that the runtime refuses, asked once."""
    if runtime.path not in _REFUSED:
        _REFUSED[runtime.path] = refused(runtime, make_bundle, names, mount_option)
    return _REFUSED[runtime.path]


@needs("call:mount_setattr")
@covers("features/mount-options/2", "config/linux-mount-options/custom")
def test_listed_mount_options_are_in_effect(
    runtime: Runtime, make_bundle: Make, report: Reader, features: Features
) -> None:
    """Each listed option shows in mountinfo, where an option shows there (features.md#mount-options); and one that is
    in no table of the spec is taken as well (config.md#linux-mount-options)."""
    names = [name for name in listed(features, "mountOptions") if name not in MAPPED]
    usable = {*names} - {*refused_options(runtime, make_bundle, names)}
    bundle = make_bundle()
    wanted: dict[str, tuple[set[str], set[str]]] = {}
    for row in FLAGS:
        options, present, absent = cast("tuple[list[str], set[str], set[str]]", row.values)
        if {*options} <= usable:
            target = f"/opt/{len(wanted)}"
            wanted[target] = (present, absent)
            bundle.mount(target, "tmpfs", "tmpfs", *options)
    if not wanted:
        pytest.skip("the runtime takes none of its options")
    found = report(bundle)
    shown = {target: found.options(target) for target in wanted}
    wrong = {
        " ".join(next(entry["options"] for entry in bundle.config["mounts"] if entry["destination"] == target)): words
        for target, words in shown.items()
        if wanted[target][0] - words or wanted[target][1] & words
    }
    assert wrong == {}


NAMESPACES = {
    "mount": "mnt",
    "pid": "pid",
    "network": "net",
    "uts": "uts",
    "ipc": "ipc",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}


@pytest.mark.parametrize("user", [pytest.param(False, id="without user"), pytest.param(True, id="with user")])
@covers("features-linux/namespaces/2")
def test_listed_namespaces_are_made(
    runtime: Runtime, bundle: Bundle, report: Reader, features: Features, user: bool
) -> None:
    """Each listed type is a new namespace in the container (features-linux.md#namespaces)."""
    types = [
        name
        for name in listed(features, "linux.namespaces")
        if os.path.exists(f"/proc/self/ns/{NAMESPACES[name]}")
        and not (name == "time" and needs_module.unmet("time-ns", runtime))
    ]
    if user and ("user" not in types or needs_module.unmet("userns")):
        pytest.skip("no user namespaces")
    wanted = [name for name in types if user or name != "user"]
    for name in wanted:
        if name == "user":
            bundle.user_namespace()
        else:
            bundle.namespace(name)
    found = report(bundle)
    same = [
        name
        for name in wanted
        if found.namespace(NAMESPACES[name]) == os.stat(f"/proc/self/ns/{NAMESPACES[name]}").st_ino
    ]
    assert same == []


@covers("features-linux/capabilities/2")
def test_listed_capabilities_are_given(bundle: Bundle, report: Reader, features: Features) -> None:
    """Each listed capability that we may give away is in the bounding set (features-linux.md#capabilities)."""
    with open("/proc/self/status", encoding="ascii") as file:
        mine = int(next(line for line in file if line.startswith("CapBnd")).split()[1], 16)
    ours = {f"CAP_{name}" for number, name in enumerate(needs_module.CAPABILITIES) if mine >> number & 1}
    wanted = set(listed(features, "linux.capabilities")) & ours
    assert wanted
    bundle.process["capabilities"] = {"bounding": sorted(wanted)}
    assert wanted - report(bundle).caps("bounding") == set()


@pytest.mark.parametrize(
    "version",
    [
        pytest.param("v1", id="v1", marks=[needs("cgroup1", "cgroup:pids"), covers("features-linux/cgroup/2")]),
        pytest.param("v2", id="v2", marks=[needs("cgroup2"), covers("features-linux/cgroup/3")]),
    ],
)
def test_cgroups_are_as_claimed(
    runtime: Runtime, bundle: Bundle, features: Features, rejected: Rejected, version: str
) -> None:
    """true: limits hold on a host of that version; false: they are refused (features-linux.md#cgroup)."""
    resources = bundle.linux["resources"]
    if needs_module.unmet("cgroup:pids") is None:
        resources["pids"] = {"limit": 37}
        name, text = "pids.max", "37"
    else:
        resources["unified"] = {"cgroup.max.descendants": "37"}
        name, text = "cgroup.max.descendants", "37"
    if claim(features, f"linux.cgroup.{version}"):
        assert control_files.value(runtime.create(bundle), name) == text
    else:
        rejected(runtime, bundle)


def rdma(bundle: Bundle) -> None:
    bundle.linux["resources"]["rdma"] = {"mlx5_0": {"hcaHandles": 1}}


def apparmor(bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "seatrial-no-such-profile"


def selinux(bundle: Bundle) -> None:
    bundle.process["selinuxLabel"] = "system_u:system_r:container_t:s0"


def intel_rdt(bundle: Bundle) -> None:
    bundle.linux["intelRdt"] = {"closID": bundle.name}


def intel_rdt_schemata(bundle: Bundle) -> None:
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["intelRdt"] = {"closID": bundle.name, "schemata": ["L3:0=f"]}


def intel_rdt_monitoring(bundle: Bundle) -> None:
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["intelRdt"] = {"enableMonitoring": True}


def network_device(bundle: Bundle) -> None:
    bundle.config["ociVersion"] = "1.3.0"
    bundle.linux["netDevices"] = {"lo": {"name": "lo9"}}


def seccomp(bundle: Bundle) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}


DENIALS = [
    ("linux.cgroup.rdma", rdma, "features-linux/cgroup/6"),
    ("linux.apparmor.enabled", apparmor, "features-linux/apparmor/2"),
    ("linux.selinux.enabled", selinux, "features-linux/selinux/2"),
    ("linux.intelRdt.enabled", intel_rdt, "features-linux/intel-rdt/2"),
    ("linux.intelRdt.schemata", intel_rdt_schemata, "features-linux/intel-rdt/3"),
    ("linux.intelRdt.monitoring", intel_rdt_monitoring, "features-linux/intel-rdt/4"),
    ("linux.netDevices.enabled", network_device, "features-linux/netdevices/2"),
    ("linux.seccomp.enabled", seccomp, "features-linux/seccomp/2"),
]


@covers("features/features-structure/4")
@pytest.mark.parametrize(
    ("path", "ask"), [pytest.param(path, ask, id=path, marks=covers(row)) for path, ask, row in DENIALS]
)
def test_what_is_said_to_be_absent_is_refused(
    runtime: Runtime, bundle: Bundle, features: Features, rejected: Rejected, path: str, ask: Callable[[Bundle], None]
) -> None:
    """false: a config that asks for it is refused (features-linux.md, config.md#valid-values); null says nothing, and
    is not taken for false."""
    if claim(features, path):
        pytest.skip("the runtime has it; what it does then is for other cases")
    ask(bundle)
    rejected(runtime, bundle)


@needs("call:mount_setattr")
@covers("features-linux/mountextensions/3", "features-linux/mountextensions/4")
def test_mapped_mounts_are_as_claimed(runtime: Runtime, bundle: Bundle, features: Features) -> None:
    """true: mappings of a mount take effect or are refused; taken effect: true (features-linux.md#mountextensions)."""
    runtime.prove_sane()
    enabled = find(features, "linux.mountExtensions.idmap.enabled")
    source = bundle.directory("mapped")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.config["ociVersion"] = "1.1.0"
    bundle.mount("/opt", "bind", source, "bind")
    bundle.config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    container = runtime.create(bundle.probe("stat /opt", report=False), check=False)
    if not container.created.ok:
        assert not container.created.crashed, container.created.describe()
        return
    if enabled:
        container.start()
        assert '"uid":100000' in container.wait_output('"stat"').replace(" ", "")
    else:
        container.start()
        assert '"uid":100000' not in container.wait_output('"stat"').replace(" ", "")


# -- seccomp -----------------------------------------------------------------------------------------------------------

# System calls that nothing in a container's start needs, one for each entry of a list.
UNUSED = ("acct", "swapon", "swapoff", "reboot", "init_module", "delete_module", "settimeofday", "adjtimex", "vhangup")


def profile_with(**members: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ALLOW", **members}


@needs("seccomp")
@covers("features-linux/seccomp/2")
def test_seccomp_is_as_claimed(bundle: Bundle, report: Reader, features: Features) -> None:
    """true: a filter is in force (features-linux.md#seccomp)."""
    if not claim(features, "linux.seccomp.enabled"):
        pytest.skip("the runtime has no seccomp")
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    bundle.linux["seccomp"] = profile_with(syscalls=[rule])
    found = report(bundle.probe("mkdir /tmp/made"))
    assert found["seccomp"]["mode"] == 2
    assert found.verb("mkdir").errno == "ENOSYS"


@needs("seccomp")
@covers("features-linux/seccomp/4")
def test_listed_actions_are_known(runtime: Runtime, make_bundle: Make, features: Features) -> None:
    """A rule with each listed action works (features-linux.md#seccomp).  SCMP_ACT_NOTIFY needs a listener."""
    actions = [name for name in listed(features, "linux.seccomp.actions") if name != "SCMP_ACT_NOTIFY"]

    def change(bundle: Bundle, action: str) -> None:
        rules = bundle.linux.setdefault("seccomp", profile_with(syscalls=[]))["syscalls"]
        if action != "SCMP_ACT_ALLOW":  # the default action already
            rules.append({"names": [UNUSED[len(rules)]], "action": action})

    all_work(runtime, make_bundle, actions, change)


@needs("seccomp")
@covers("features-linux/seccomp/6")
def test_listed_operators_are_known(runtime: Runtime, make_bundle: Make, features: Features) -> None:
    """A rule with each listed operator works (features-linux.md#seccomp)."""

    def change(bundle: Bundle, operator: str) -> None:
        rules = bundle.linux.setdefault("seccomp", profile_with(syscalls=[]))["syscalls"]
        condition = {"index": 0, "value": 12345, "valueTwo": 12345, "op": operator}
        rules.append({"names": [UNUSED[len(rules)]], "action": "SCMP_ACT_ERRNO", "args": [condition]})

    all_work(runtime, make_bundle, listed(features, "linux.seccomp.operators"), change)


def has_architecture(name: str) -> bool:
    """Whether this host's libseccomp (if any) knows SCMP_ARCH_...: a list may name what only a later one knows
    (seccomp_arch_resolve_name(3))."""
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return True
    return bool(library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode()))


@needs("seccomp")
@covers("features-linux/seccomp/8")
def test_listed_architectures_are_known(runtime: Runtime, make_bundle: Make, features: Features) -> None:
    """Each listed architecture of this host's byte order works (features-linux.md#seccomp): a filter of two orders is
    impossible."""
    same = {f"SCMP_ARCH_{name}" for name in (LITTLE_ENDIAN if sys.byteorder == "little" else BIG_ENDIAN)}
    names = [name for name in listed(features, "linux.seccomp.archs") if name in same and has_architecture(name)]

    def change(bundle: Bundle, name: str) -> None:
        bundle.linux.setdefault("seccomp", profile_with(architectures=[]))["architectures"].append(name)

    all_work(runtime, make_bundle, names, change)


@needs("seccomp")
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("knownFlags", marks=[covers("features-linux/seccomp/10"), needs("kernel>=5.19")]),
        pytest.param("supportedFlags", marks=covers("features-linux/seccomp/12")),
    ],
)
def test_listed_flags_work(runtime: Runtime, make_bundle: Make, features: Features, member: str) -> None:
    """A filter with each listed flag works, and its process starts (features-linux.md#seccomp)."""
    for name in listed(features, f"linux.seccomp.{member}"):
        bundle = make_bundle()
        bundle.linux["seccomp"] = profile_with(flags=[name])
        container = runtime.create(bundle.probe("print started", report=False))
        container.start()
        container.wait_output("started")


# -- memory policy -----------------------------------------------------------------------------------------------------


@needs("numa")
@pytest.mark.parametrize(
    "member",
    [
        pytest.param("modes", marks=[covers("features-linux/memorypolicy/3"), needs("call:mempolicy-weighted")]),
        pytest.param("flags", marks=[covers("features-linux/memorypolicy/5"), needs("call:mempolicy-numa-balancing")]),
    ],
)
def test_listed_memory_policies_are_known(runtime: Runtime, make_bundle: Make, features: Features, member: str) -> None:
    """Each listed mode and flag works (features-linux.md#memorypolicy)."""
    for name in listed(features, f"linux.memoryPolicy.{member}"):
        bundle = make_bundle()
        bundle.config["ociVersion"] = "1.3.0"
        policy: dict[str, Any] = {"mode": name} if member == "modes" else {"mode": "MPOL_BIND", "flags": [name]}
        if policy["mode"] not in ("MPOL_DEFAULT", "MPOL_LOCAL"):
            policy["nodes"] = "0"
        bundle.linux["memoryPolicy"] = policy
        accepted(runtime, bundle)
