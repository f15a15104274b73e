"""The plan of an additional process."""

from __future__ import annotations

import pytest

from seatrial.native.operations import SYNC_CGROUP, SYNC_READY, SYNC_START, USER_FOUND
from seatrial.runtime.config import (
    Capabilities,
    Config,
    CPUAffinity,
    Hook,
    Hooks,
    IOPriority,
    Mount,
    Namespace,
    Process,
    Rlimit,
    Scheduler,
    Seccomp,
)
from seatrial.runtime.launch import preview_exec
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.environment import Environment
from seatrial.runtime.plan.exec import compile_exec
from seatrial.runtime.plan.plan import Plan

TYPES = ("ipc", "uts", "net", "pid", "mnt", "cgroup")
FDS = {"ipc": 5, "uts": 6, "net": 7, "pid": 8, "mnt": 9, "cgroup": 10, "user": 11}
FLAGS = {"ipc": 0x08000000, "uts": 0x04000000, "net": 0x40000000, "pid": 0x20000000, "mnt": 0x20000,
         "cgroup": 0x02000000, "user": 0x10000000}  # fmt: skip


def config(*types: str, **members: object) -> Config:
    process = Process(args=["sh", "-c", "true"], cwd="/srv", env=["A=b"], uid=5, gid=6, additional_gids=[7])
    fields: dict[str, object] = {
        "oci_version": "1.3.0",
        "bundle": "/b",
        "rootfs": "/b/r",
        "process": process,
        "namespaces": [Namespace(type=type) for type in types or TYPES],
    }
    return Config(**(fields | members))


def compiled(config: Config, **members: object) -> Plan:
    types = [namespace.type for namespace in config.namespaces]
    fields: dict[str, object] = {"id": "c1", "namespace_fds": {type: FDS[type] for type in types}}
    return compile_exec(config, Environment(**(fields | members)))


def names(plan: Plan) -> list[str]:
    return [operation.name for operation in plan.operations]


def test_the_whole_plan_in_order() -> None:
    plan = compiled(config(capabilities=Capabilities(bounding=1, effective=1, permitted=1)))
    assert plan.operations == [
        op.sync(SYNC_CGROUP),
        op.reset_affinity(),
        op.nondumpable(),
        *(op.setns(FDS[type], FLAGS[type]) for type in TYPES),
        op.clone(0),
        op.setsid(),
        op.session_keyring("_ses.c1", 0),
        op.environment(["A=b"]),
        op.home(5),
        op.chdir("/srv"),
        op.close_fds(3),
        op.bounding(1),
        op.keep_caps(1),
        op.stdio_owner(5),
        op.groups([7]),
        op.identity(5, 6),
        op.chdir_retry("/srv"),
        op.capset(1, 1, 0),
        op.keep_caps(0),
        op.ambient(0),
        op.find("sh"),
        op.sync(SYNC_READY),
        op.sync(SYNC_START),
        op.exec(["sh", "-c", "true"]),
    ]


def test_nothing_is_made_in_the_container() -> None:
    """No hook, no mount, no directory, no device, no sysctl, no name: they are the container's already."""
    plan = compiled(
        config(
            hooks=Hooks(create_container=[Hook(path="/h")], start_container=[Hook(path="/h")]),
            mounts=[Mount(destination="/proc", source="proc", fstype="proc")],
            mask_paths=["/m"],
            readonly_paths=["/r"],
            sysctl={"net.ipv4.ip_forward": "1"},
            hostname="name",
            readonlyfs=True,
        )
    )
    assert names(plan) == names(compiled(config()))


def test_born_in_the_cgroup_there_is_nothing_to_wait_for() -> None:
    assert names(compiled(config(), born_in_cgroup=True))[0] == "reset_affinity"


def test_the_user_namespace_comes_last_with_privilege_and_first_without() -> None:
    theirs = config("user", "net", "mnt")
    order = [operation.values[0] for operation in compiled(theirs).operations if operation.name == "setns"]
    assert order == [FDS["net"], FDS["mnt"], FDS["user"]]
    plan = compiled(theirs, privileged=False)
    order = [operation.values[0] for operation in plan.operations if operation.name == "setns"]
    assert order == [FDS["user"], FDS["net"], FDS["mnt"]]
    assert plan.operations[names(plan).index("setns") + 1] == op.become_root(1)


def test_namespaces_that_the_runtime_is_in_are_not_joined() -> None:
    plan = compiled(config(), namespace_fds={"mnt": 9})
    assert [operation.name for operation in plan.operations if operation.name in ("setns", "clone")] == ["setns"]


def test_without_a_mount_namespace_the_root_is_entered() -> None:
    plan = compiled(config("pid"), root_fd=4)
    assert names(plan)[2:6] == ["nondumpable", "setns", "enter_root", "clone"]
    assert op.enter_root(4) in plan.operations


def test_a_users_name_is_looked_up_after_the_mounts_are_there() -> None:
    theirs = config()
    assert theirs.process is not None
    theirs.process.user = "bob:staff"
    theirs.process.terminal = True
    plan = compiled(theirs)
    order = names(plan)
    assert plan.operations[order.index("user")] == op.user("bob", "staff")
    assert order.index("clone") < order.index("user") < order.index("console")
    for operation in plan.operations:
        if operation.name in ("console", "home", "stdio_owner", "identity"):
            assert operation.arguments()["uid"] == USER_FOUND
    assert plan.operations[order.index("identity")] == op.identity(USER_FOUND, USER_FOUND)


def test_the_terminal_is_not_mounted_on_dev_console() -> None:
    theirs = config()
    assert theirs.process is not None
    theirs.process.terminal = True
    theirs.process.console_width, theirs.process.console_height = 80, 24
    assert op.console(80, 24, 5, 0) in compiled(theirs).operations


def test_attributes() -> None:
    plan = compiled(
        config(
            oom_score_adj=7,
            personality=8,
            scheduler=Scheduler(policy=3, nice=5),
            io_priority=IOPriority(io_class=2, priority=1),
            no_new_privileges=True,
            rlimits=[Rlimit(type=7, soft=1, hard=2)],
        )
    )
    for operation in (
        op.oom_score_adj(7),
        op.personality(8),
        op.scheduler(3, 5, 0, 0, 0, 0, 0),
        op.io_priority(2 << 13 | 1),
        op.no_new_privs(),
        op.rlimit(7, 1, 2),
    ):
        assert operation in plan.operations


@pytest.mark.parametrize(
    ("affinity", "operation"),
    [
        (None, op.reset_affinity()),
        (CPUAffinity(initial="1"), op.reset_affinity()),
        (CPUAffinity(initial="1", final="0,8"), op.affinity(b"\1\1" + bytes(6))),
    ],
)
def test_the_final_affinity_is_set_in_the_cgroup(affinity: CPUAffinity | None, operation: op.Operation) -> None:
    assert compiled(config(exec_cpu_affinity=affinity)).operations[:2] == [op.sync(SYNC_CGROUP), operation]


@pytest.mark.parametrize(("no_new_privileges", "before"), [(False, "keep_caps"), (True, "sync")])
def test_the_filter_is_loaded_as_for_init(no_new_privileges: bool, before: str) -> None:
    profile = Seccomp(default_action="SCMP_ACT_ERRNO")
    plan = compiled(config(seccomp=profile, no_new_privileges=no_new_privileges, capabilities=Capabilities()))
    order = names(plan)
    assert order.count("seccomp") == 1
    assert (order.index("seccomp") < order.index("identity")) is not no_new_privileges
    assert (order.index("seccomp") > order.index("find")) is no_new_privileges
    assert before in order


def test_no_keyring_where_the_container_has_none() -> None:
    assert "session_keyring" not in names(compiled(config(no_new_keyring=True)))


def test_the_preview_is_a_plan_of_exec() -> None:
    theirs = config("pid", "mnt")
    plan = preview_exec("c1", theirs)
    assert names(plan)[-1] == "exec"
    assert [operation.values[1] for operation in plan.operations if operation.name == "setns"] == [
        FLAGS["pid"], FLAGS["mnt"],
    ]  # fmt: skip
    assert "enter_root" in names(preview_exec("c1", config("pid")))
