"""Whole plans as text, and the order that holds for all of them."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from plan_configs import KILL, compiled, config, full_config, lines, names

from seatrial.native import operations as table
from seatrial.runtime.config import (
    Capabilities,
    Config,
    Hook,
    Hooks,
    IOPriority,
    MemoryPolicy,
    Namespace,
    NetDevice,
    Network,
    Process,
    Rlimit,
    Scheduler,
    TimeOffset,
)
from seatrial.runtime.plan.decode import decode
from seatrial.runtime.plan.plan import Plan

FULL = """\
 1  wait for the parent: placement in the cgroups
 2  allow all CPUs
 3  set oom_score_adj to 100
 4  clone into a new process (new namespaces: mnt,cgroup,uts,ipc,pid,net)
 5  start a session
 6  join a session keyring _ses.c1 (permissions 0x80000)
 7  bring the loopback interface up
 8  set propagation of host / (rec,slave)
 9  make the mount that holds /b/rootfs private
10  open root /b/rootfs (bind mount on itself)
11  mount proc on /proc (type proc)
12  mount tmpfs on /dev (type tmpfs, nosuid,strictatime, mode=755,size=65536k)
13  mount sysfs on /sys (type sysfs, ro,nosuid,nodev,noexec)
14  mount cgroup on /sys/fs/cgroup (type cgroup2, ro,nosuid,nodev,noexec)
15  create character device /dev/null (1:3, mode 0666, owner 0:0)
16  create character device /dev/zero (1:5, mode 0666, owner 0:0)
17  create character device /dev/full (1:7, mode 0666, owner 0:0)
18  create character device /dev/random (1:8, mode 0666, owner 0:0)
19  create character device /dev/urandom (1:9, mode 0666, owner 0:0)
20  create character device /dev/tty (5:0, mode 0666, owner 0:0)
21  create symlink /dev/fd (to /proc/self/fd)
22  create symlink /dev/stdin (to /proc/self/fd/0)
23  create symlink /dev/stdout (to /proc/self/fd/1)
24  create symlink /dev/stderr (to /proc/self/fd/2)
25  create symlink /dev/ptmx (to pts/ptmx, replacing)
26  wait for the parent: cgroup limits, prestart and createRuntime hooks
27  pivot_root
28  reopen /dev/null on stdio
29  create directory /home (mode 0755)
30  remount / (ro)
31  set umask 0022
32  set hostname box
33  set sysctl net/ipv4/ip_forward (1)
34  make /proc/sys read-only
35  mask /proc/kcore
36  set no_new_privs
37  set the environment (2 variables)
38  set HOME of uid 0 unless set
39  change directory to /home
40  set RLIMIT_NOFILE (soft 1024, hard 4096)
41  mark descriptors from 3 up close-on-exec
42  drop capabilities from the bounding set (keep KILL)
43  start keeping capabilities over setuid
44  give stdio to uid 0
45  set supplementary groups (none)
46  become uid 0, gid 0
47  change directory to /home as the user, if refused before
48  set capabilities (effective KILL; permitted KILL; inheritable none)
49  stop keeping capabilities over setuid
50  set ambient capabilities (none)
51  find executable sh
52  wait for the parent: record the created state
53  wait for the start signal (fd 4)
54  execute sh (sh -c 'exit 3')
"""


def test_full_plan() -> None:
    assert compiled(full_config(), cgroup_version=2, gate=4).describe() == FULL


def test_least_plan() -> None:
    least = config(namespaces=[], devices=[], no_new_keyring=True)
    assert compiled(least, born_in_cgroup=True).describe() == """\
 1  allow all CPUs
 2  start a session
 3  open root /b/rootfs
 4  create symlink /dev/fd (to /proc/self/fd)
 5  create symlink /dev/stdin (to /proc/self/fd/0)
 6  create symlink /dev/stdout (to /proc/self/fd/1)
 7  create symlink /dev/stderr (to /proc/self/fd/2)
 8  create symlink /dev/ptmx (to pts/ptmx, replacing)
 9  wait for the parent: cgroup limits, prestart and createRuntime hooks
10  chroot into the root
11  reopen /dev/null on stdio
12  create directory /home (mode 0755)
13  set umask 0022
14  set the environment (2 variables)
15  set HOME of uid 0 unless set
16  change directory to /home
17  mark descriptors from 3 up close-on-exec
18  give stdio to uid 0
19  set supplementary groups (none)
20  become uid 0, gid 0
21  change directory to /home as the user, if refused before
22  find executable sh
23  wait for the parent: record the created state
24  wait for the parent: start
25  execute sh (sh -c 'exit 3')
"""


def birth(config: Config, **environment: object) -> list[str]:
    """The plan's lines up to the session."""
    plan = compiled(config, **environment).operations
    return [operation.describe() for operation in plan[: names(Plan(plan)).index("setsid")]]


def test_new_user_and_time_namespaces() -> None:
    one = config(
        "user", "pid", "mnt", "time",
        time_offsets={"monotonic": TimeOffset(secs=7, nanosecs=8), "boottime": TimeOffset(secs=-1)},
        rlimits=[Rlimit(type=7, soft=10, hard=4096), Rlimit(type=0, soft=1, hard=2), Rlimit(type=1, soft=3, hard=4)],
    )  # fmt: skip
    assert birth(one, hard_limits={7: 1024, 0: 2}) == [
        "wait for the parent: placement in the cgroups",
        "allow all CPUs",
        "set RLIMIT_NOFILE (soft 4096, hard 4096)",  # raised: needs privilege over the host
        "set RLIMIT_FSIZE (soft 4, hard 4)",  # not known
        "new user namespace",
        "wait for the parent: uid and gid maps",
        "new time namespace",
        "set time namespace offsets (monotonic 7 8, boottime -1 0)",
        "become root of the user namespace (drop supplementary groups)",
        "clone into a new process (new namespaces: mnt,pid)",
    ]
    assert lines(compiled(one), "rlimit")[3:] == [
        "set RLIMIT_NOFILE (soft 10, hard 4096)",
        "set RLIMIT_CPU (soft 1, hard 2)",
        "set RLIMIT_FSIZE (soft 3, hard 4)",
    ]
    assert "timens_offsets(offsets='monotonic 7 8\\nboottime -1 0\\n')" in map(repr, compiled(one).operations)


def joining(*types: str, new: tuple[str, ...] = ()) -> Config:
    return config(namespaces=[Namespace(type=t, path=f"/ns/{t}") for t in types] + [Namespace(type=t) for t in new])


def test_joined_namespaces_with_privilege_come_before_the_user_namespace() -> None:
    one = joining("user", "net", "pid", new=("uts",))
    assert birth(one, namespace_fds={"user": 5, "net": 6, "pid": 7})[2:] == [
        "make the executor non-dumpable",
        "join the net namespace (fd 6)",
        "join the pid namespace (fd 7)",
        "join the user namespace (fd 5)",
        "become root of the user namespace (drop supplementary groups)",
        "clone into a new process (new namespaces: uts)",
    ]


def test_joined_namespaces_without_privilege_come_after_the_user_namespace() -> None:
    one = joining("user", "net")
    one.rootless_euid = True
    assert birth(one, namespace_fds={"user": 5, "net": 6}, privileged=False)[2:] == [
        "make the executor non-dumpable",
        "join the user namespace (fd 5)",
        "become root of the user namespace (drop supplementary groups)",
        "join the net namespace (fd 6)",
    ]


def test_without_a_pid_or_time_namespace_there_is_one_process() -> None:
    assert birth(config("uts", "net", "mnt"))[2:] == ["new mnt,uts,net namespace"]
    assert birth(joining("mnt"), namespace_fds={"mnt": 5})[2:] == [
        "make the executor non-dumpable",
        "join the mnt namespace (fd 5)",
    ]


def test_joined_network_keeps_its_loopback() -> None:
    assert "loopback_up" not in names(compiled(joining("net"), namespace_fds={"net": 5}))


@pytest.mark.parametrize(
    "fields", [{"net_devices": {"eth0": NetDevice()}}, {"networks": [Network(type="veth", name="a", host_name="b")]}]
)
def test_the_parent_connects_the_network_before_anything_looks_at_it(fields: dict[str, Any]) -> None:
    order = steps(compiled(config(**fields)))
    assert order.index("loopback_up") < order.index("sync:3") < order.index("propagation")


def test_no_sync_without_network_devices() -> None:
    assert "sync:4" in steps(compiled(config()))
    assert "sync:3" not in steps(compiled(config()))


def steps(plan: Plan) -> list[str]:
    """The names of the operations, the points of `sync` with their number."""
    return [f"sync:{each.values[0]}" if each.name == "sync" else each.name for each in plan.operations]


def test_a_joined_namespace_without_a_descriptor_is_an_error() -> None:
    with pytest.raises(KeyError):
        compiled(joining("net"))


@pytest.mark.parametrize("types", [(), ("user",)])
def test_the_owner_may_search_the_keyring(types: tuple[str, ...]) -> None:
    wanted = ["join a session keyring _ses.c1 (permissions 0x80000)"]
    assert lines(compiled(config(*types)), "session_keyring") == wanted


def test_process_attributes() -> None:
    one = config(
        process=Process(args=["/bin/x"], cwd="/w", uid=7, gid=8, additional_gids=[9, 10], umask=0o77, terminal=True,
                        console_width=80, console_height=24),
        capabilities=Capabilities(bounding=KILL, effective=1, permitted=3, inheritable=4, ambient=8),
        personality=8, scheduler=Scheduler(policy=0, nice=5), io_priority=IOPriority(io_class=2, priority=3),
        memory_policy=MemoryPolicy(mode=2, flags=0x8000, nodes="3, 0-1"),
        rlimits=[Rlimit(type=7, soft=1, hard=2), Rlimit(type=7, soft=3, hard=4)],
        hostname="h", domainname="d",
    )  # fmt: skip
    plan = [repr(operation) for operation in compiled(one, keep=5).operations]
    expected = [
        "console(width=80, height=24, uid=7, mount=1)",
        "umask(mask=63)",
        "hostname(name='h')",
        "domainname(name='d')",
        "personality(domain=8)",
        "scheduler(policy=0, nice=5, priority=0, flags=0, runtime=0, deadline=0, period=0)",
        f"io_priority(value={2 << 13 | 3})",
        "memory_policy(mode=32770, nodes=[0, 1, 3])",
        "environment(env=[])",
        "home(uid=7)",
        "chdir(target='/w', create=0)",
        "rlimit(resource=7, soft=1, hard=2)",
        "rlimit(resource=7, soft=3, hard=4)",
        "close_fds(keep=5)",
        "bounding(keep=32)",
        "keep_caps(on=1)",
        "stdio_owner(uid=7)",
        "groups(gids=[9, 10])",
        "identity(uid=7, gid=8)",
        "chdir_retry(target='/w')",
        "capset(effective=1, permitted=3, inheritable=4)",
        "keep_caps(on=0)",
        "ambient(raise=8)",
        "find(file='/bin/x')",
        "sync(point=5)",
        "sync(point=6)",
        "exec(args=['/bin/x'])",
    ]
    assert plan[plan.index(expected[0]) :] == expected


def test_capabilities_are_left_alone_when_not_configured() -> None:
    assert not {"bounding", "keep_caps", "capset", "ambient"} & set(names(compiled(config())))


def test_rootless_sets_the_groups_where_newgidmap_has_mapped_them() -> None:
    process = Process(args=["x"], cwd="/", additional_gids=[7])
    plan = compiled(config("user", process=process, rootless_euid=True), privileged=False)
    assert [operation.values for operation in plan.operations if operation.name == "groups"] == [([7],)]


def test_hooks() -> None:
    hooks = Hooks(
        create_container=[Hook(path="/a", args=["a", "1"], env=["X=1"], timeout=3), Hook(path="/b")],
        start_container=[Hook(path="/c"), Hook(path="/d", env=["Y=2"])],
        poststart=[Hook(path="/not-in-the-plan")],
    )
    plan = compiled(config(hooks=hooks), state_creating=(b"<", b">"), state_created=(b"[", b"]"))
    environment = ["PATH=/bin", "TERM=xterm"]
    assert [operation.values for operation in plan.operations if operation.name == "hook"] == [
        ("createContainer", "/a", ["a", "1"], ["X=1"], 3, b"<", b">"),
        ("createContainer", "/b", ["/b"], [], 0, b"<", b">"),
        ("startContainer", "/c", ["/c"], environment, 0, b"[", b"]"),
        ("startContainer", "/d", ["/d"], ["Y=2"], 0, b"[", b"]"),
    ]
    order = [name for name in names(plan) if name in ("hook", "pivot_root", "sync", "gate", "exec")]
    assert order == ["sync", "sync", "hook", "hook", "pivot_root", "sync", "sync", "hook", "hook", "exec"]


def test_without_a_process_nothing_is_found_to_execute() -> None:
    plan = compiled(config(process=None, hooks=Hooks(start_container=[Hook(path="/h")])), gate=9)
    assert names(plan)[-3:] == ["sync", "gate", "exec"]
    assert not {"find", "identity", "hook"} & set(names(plan))


def test_sysctl_with_a_dot_in_an_interface_name() -> None:
    plan = compiled(config(sysctl={"net.ipv4.conf.eth0/1.forwarding": "1"}))
    assert lines(plan, "sysctl") == ["set sysctl net/ipv4/conf/eth0.1/forwarding (1)"]


def test_same_input_same_bytes() -> None:
    assert compiled(full_config()).encode() == compiled(full_config()).encode()


def test_compiling_changes_nothing_in_the_config() -> None:
    one = full_config()
    compiled(one)
    assert one == full_config()


# -- order -------------------------------------------------------------------------------------------------------------

# Each name before each of the names at its right, wherever both occur, with the reason.
BEFORE = [
    ("sync:1", "clone unshare open_root", "a cgroup namespace is rooted where the process is; nothing escapes limits"),
    ("oom_score_adj", "clone become_root", "lowering needs CAP_SYS_RESOURCE in the initial user namespace"),
    ("nondumpable", "setns", "the container's processes could ptrace this one"),
    ("sync:2", "become_root timens_offsets clone", "ids do not exist before the maps"),
    ("timens_offsets", "clone become_root", "offsets freeze with the first process; ids make /proc/self foreign"),
    ("clone", "setsid session_keyring loopback_up propagation", "they are the last process's"),
    ("propagation", "open_root", "the bind mount must not propagate to the host"),
    ("open_root", "mount bind mknod symlink sync:4", "targets are beneath the root"),
    ("mount", "mknod bind_device symlink sync:4", "devices go into the mounted /dev"),
    ("mknod", "pivot_root", "device sources and hooks are the host's"),
    ("sync:4", "hook:createContainer pivot_root", "runtime-spec lifecycle: createRuntime, createContainer, pivot"),
    ("hook:createContainer", "pivot_root", "runtime-spec: before pivot_root"),
    ("pivot_root", "null_stdio mkdir console sysctl readonly mask umask", "they are the container's own"),
    ("mkdir", "remount_root", "the working directory may have to be made"),
    ("console", "remount_root", "/dev/console is made"),
    ("sysctl", "readonly mask", "/proc/sys becomes read-only"),
    ("readonly", "mask", "a mask stays on top"),
    ("mask", "bounding", "mounting needs CAP_SYS_ADMIN"),
    ("rlimit", "bounding identity capset", "raising needs CAP_SYS_RESOURCE"),
    ("bounding", "identity capset", "needs CAP_SETPCAP"),
    ("keep_caps", "identity", "the permitted set would be lost"),
    ("stdio_owner", "identity", "needs CAP_CHOWN"),
    ("groups", "identity", "needs CAP_SETGID"),
    ("chdir", "identity chdir_retry", "root may enter what the user may not"),
    ("identity", "capset ambient find", "capset after the change of uid; the program is looked up as the user"),
    ("capset", "ambient", "ambient is within permitted and inheritable"),
    ("environment", "home find", "PATH and HOME are the program's"),
    ("find", "sync:5", "a missing program fails create, not start"),
    ("sync:5", "gate", "created is recorded before start is possible"),
    ("gate", "hook:startContainer exec", "runtime-spec lifecycle"),
    ("hook:startContainer", "exec", "runtime-spec: before the program"),
    ("close_fds", "gate exec", "no descriptor leaks, and the filter may refuse the call"),
]


LAUNCH: dict[str, Any] = {"gate": 4, "namespace_fds": {"user": 5, "net": 6, "pid": 7}}


def keys(plan: Plan) -> list[str]:
    out = []
    for operation in plan.operations:
        if operation.name in ("sync", "hook"):
            out.append(f"{operation.name}:{operation.values[0]}")
        elif operation.name == "remount" and operation.values[0] == "/":
            out.append("remount_root")
        else:
            out.append(operation.name)
    return out


def every_config() -> list[Config]:
    found = []
    sets = (
        ("mnt",),
        ("pid", "mnt"),
        ("ipc", "uts", "net", "pid", "mnt"),
        ("user", "pid", "mnt", "cgroup", "time", "net"),
    )
    for namespaces, terminal, nnp in product(sets, (False, True), (False, True)):
        one = full_config()
        one.namespaces = [Namespace(type=type) for type in namespaces]
        one.time_offsets = {"monotonic": TimeOffset(secs=1)} if "time" in namespaces else {}
        assert one.process is not None
        one.process.terminal = terminal
        one.no_new_privileges = nnp
        one.hooks = Hooks(create_container=[Hook(path="/h")], start_container=[Hook(path="/h")])
        found.append(one)
    joined = full_config()
    joined.namespaces = [Namespace(type=type, path="/ns") for type in ("user", "net", "pid")] + [Namespace(type="mnt")]
    return [*found, joined]


@pytest.mark.parametrize(("first", "later", "reason"), BEFORE, ids=[first for first, _, _ in BEFORE])
def test_order(first: str, later: str, reason: str) -> None:
    seen = set()
    for one in every_config():
        order = keys(compiled(one, **LAUNCH))
        for name in later.split():
            if first in order and name in order:
                seen.add(name)
                # Every `first` before every `name`; of keep_caps there are two, on and off.
                last = len(order) - 1 - order[::-1].index(first) if first != "keep_caps" else order.index(first)
                assert last < order.index(name), f"{first} must come before {name}: {reason}"
    missing = set(later.split()) - seen - {"unshare", "bind", "bind_device"}
    assert not missing, f"never seen together with {first}: {missing}"


def test_every_config_survives_encoding() -> None:
    for one in every_config():
        plan = compiled(one, **LAUNCH)
        assert decode(plan.encode()) == plan.operations


def test_tests_see_every_operation_that_a_config_can_ask_for() -> None:
    """An operation that is in the table but in no plan is dead weight, or a hole in the compiler."""
    seen = {name for one in every_config() for name in names(compiled(one, **LAUNCH))}
    elsewhere = {
        "death_signal", "bind_inside",  # library and later work
        "bind", "bind_mapped", "mount_attr", "propagate", "copy_up", "move_root", "chroot",  # test_plan_mounts
        "seccomp",  # test_seccomp_plan
        "domainname", "personality", "scheduler", "io_priority", "memory_policy",  # test_process_attributes
        "user", "affinity", "enter_root",  # test_plan_exec
        "apparmor", "selinux", "relabel", "mask_label",  # test_plan_labels
    }  # fmt: skip
    assert {name for name, *_ in table.OPERATIONS} - seen == elsewhere


def test_without_umask_the_callers_stays() -> None:
    process = Process(args=["/bin/x"], cwd="/")
    assert "umask" not in names(compiled(config(process=process)))
