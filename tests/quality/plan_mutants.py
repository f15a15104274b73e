"""Mutants whose bug is in the plan: an operation that is missing, weaker than it should be, or in the wrong place."""

from __future__ import annotations

from planting import Mutant, applied, changed, compiling, dropped, only_first, plan, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation
    from seatrial.runtime.plan.plan import Plan

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_ATTR_RDONLY = 1
_NEW_IPC, _NEW_CGROUP = 0x8000000, 0x2000000
_HARD_NOFILE = 1 << 20
_EVERY_CAPABILITY = (1 << 41) - 1

CAPABILITIES = "process/test_capabilities.py::test_capability_set"
OPTION = "mounts/test_mount_options.py::test_option"
DEFAULT_DEVICE = "linux/test_devices.py::test_default_device"


def _sorted_mounts(real: Callable[[Config, Environment], Plan], config: Config, environment: Environment) -> Plan:
    mounts = sorted(config.mounts, key=lambda mount: mount.destination)
    if [mount.destination for mount in mounts] != [mount.destination for mount in config.mounts]:
        applied()
    return real(config.replace(mounts=mounts), environment)


def _plain_tmpfs(operations: list[Operation]) -> list[Operation]:
    from seatrial.runtime.plan import operation as op

    plain = []
    for entry in operations:
        if entry.name == "copy_up":
            values = entry.arguments()
            entry = op.mount("tmpfs", values["target"], "tmpfs", values["flags"], values["data"])  # type: ignore[arg-type]
        plain.append(entry)
    return plain


TABLE = (
    # -- privileges and identity ---------------------------------------------------------------------------------------
    Mutant(
        "no-new-privileges-dropped",
        "process.noNewPrivileges is ignored",
        plan(dropped("no_new_privs")),
        "process/test_limits.py::test_no_new_privileges",
    ),
    Mutant(
        "bounding-set-kept",
        "the bounding set is that of the runtime",
        plan(dropped("bounding")),
        CAPABILITIES + "[bounding-root]",
    ),
    Mutant(
        "ambient-set-skipped",
        "no ambient capability is raised",
        plan(changed("ambient", to=lambda values: {"raise": 0})),
        CAPABILITIES + "[ambient-user]",
    ),
    Mutant(
        "inheritable-set-from-permitted",
        "the inheritable set is a copy of the permitted one",
        plan(changed("capset", to=lambda values: {"inheritable": values["permitted"]})),
        "process/test_capabilities.py::test_capability_set_left_out",
    ),
    Mutant(
        "inheritable-set-emptied",
        "the inheritable set is always empty",
        plan(changed("capset", to=lambda values: {"inheritable": 0})),
        CAPABILITIES + "[inheritable-root]",
    ),
    Mutant(
        "capset-dropped",
        "the permitted, effective and inheritable sets are left as the change of ids leaves them",
        plan(dropped("capset")),
        CAPABILITIES,
    ),
    Mutant(
        "uid-zero",
        "the program runs as uid 0 whatever process.user.uid says",
        plan(changed("identity", to=lambda values: {"uid": 0})),
        "process/test_user.py::test_uid_is_that_of_the_program",
    ),
    Mutant(
        "gid-from-uid",
        "the program's gid is its uid",
        plan(changed("identity", to=lambda values: {"gid": values["uid"]})),
        "process/test_user.py::test_gid_is_that_of_the_program",
    ),
    Mutant(
        "additional-gids-dropped",
        "process.user.additionalGids is ignored",
        plan(changed("groups", to=lambda values: {"gids": []})),
        "process/test_user.py::test_additional_gids",
    ),
    Mutant(
        "groups-inherited",
        "setgroups is not called: the caller's groups stay",
        plan(dropped("groups")),
        "process/test_user.py::test_groups_of_the_caller_do_not_leak",
    ),
    Mutant(
        "umask-fixed",
        "the umask is 0022 whatever process.user.umask says",
        plan(changed("umask", to=lambda values: {"mask": 0o022})),
        "process/test_user.py::test_umask",
    ),
    # -- the program ---------------------------------------------------------------------------------------------------
    Mutant(
        "cwd-ignored",
        "the program starts in / whatever process.cwd says",
        plan(dropped("chdir", "chdir_retry")),
        "process/test_program.py::test_cwd_is_the_working_directory",
    ),
    Mutant(
        "arguments-split-at-blanks",
        "process.args is joined to a line and split again",
        plan(changed("exec", to=lambda values: {"args": " ".join(values["args"]).split()})),
        "process/test_program.py::test_args_arrive_unchanged",
        "process/test_program.py::test_empty_arguments_arrive",
    ),
    Mutant(
        "environment-leaks",
        "the runtime's own environment is added to process.env",
        plan(changed("environment", to=lambda values: {"env": [*values["env"], *_own_environment()]})),
        "process/test_program.py::test_env_is_the_environment",
    ),
    Mutant(
        "soft-limits-only",
        "of process.rlimits only the soft limit is set; the hard one stays high",
        plan(changed("rlimit", to=lambda values: {"hard": _HARD_NOFILE}, where=lambda values: values["resource"] == 7)),
        "process/test_limits.py::test_hard_limits",
    ),
    Mutant(
        "rlimits-dropped",
        "process.rlimits is ignored",
        plan(dropped("rlimit")),
        "process/test_limits.py::test_soft_limits",
    ),
    Mutant(
        "oom-score-dropped",
        "process.oomScoreAdj is ignored",
        plan(dropped("oom_score_adj")),
        "process/test_limits.py::test_oom_score_adj",
    ),
    Mutant(
        "gate-missing",
        "the program runs as soon as create has set it up",
        plan(dropped("gate")),
        "lifecycle/test_create.py::test_create_does_not_run_the_program",
    ),
    # -- names and namespaces ------------------------------------------------------------------------------------------
    Mutant(
        "hostname-dropped",
        "hostname is ignored",
        plan(dropped("hostname")),
        "process/test_descriptors.py::test_hostname",
    ),
    Mutant(
        "domainname-dropped",
        "domainname is ignored",
        plan(dropped("domainname")),
        "process/test_descriptors.py::test_domainname",
    ),
    Mutant(
        "ipc-namespace-shared",
        "a new ipc namespace is asked for and not made",
        plan(changed("clone", "unshare", to=without(_NEW_IPC, "flags"))),
        "linux/test_namespaces.py::test_new_namespace",
    ),
    Mutant(
        "cgroup-namespace-shared",
        "a new cgroup namespace is asked for and not made",
        plan(changed("clone", "unshare", to=without(_NEW_CGROUP, "flags"))),
        "linux/test_namespaces.py::test_cgroup_namespace_hides_the_path",
    ),
    Mutant(
        "namespace-path-ignored",
        "a network namespace with a path is not joined",
        plan(dropped("setns", where=lambda values: values["type"] == 0x40000000)),
        "linux/test_namespaces.py::test_namespace_of_a_process_is_joined",
    ),
    Mutant(
        "time-offsets-dropped",
        "linux.timeOffsets is ignored",
        plan(dropped("timens_offsets")),
        "linux/test_namespaces.py::test_clock_offsets",
    ),
    # -- the root and its mounts ---------------------------------------------------------------------------------------
    Mutant(
        "root-writable",
        "root.readonly is ignored",
        plan(dropped("remount", where=lambda values: values["target"] == "/")),
        "process/test_program.py::test_readonly_root",
    ),
    Mutant(
        "mount-nosuid-dropped",
        "the mount option nosuid has no effect",
        plan(changed("mount", "remount", to=without(_MS_NOSUID, "flags", "set"))),
        OPTION + "[nosuid]",
        "mounts/test_mount_options.py::test_set_id_programs_on_a_mount",
    ),
    Mutant(
        "mount-noexec-dropped",
        "the mount option noexec has no effect",
        plan(changed("mount", "remount", to=without(_MS_NOEXEC, "flags", "set"))),
        OPTION + "[noexec]",
    ),
    Mutant(
        "mount-nodev-dropped",
        "the mount option nodev has no effect",
        plan(changed("mount", "remount", to=without(_MS_NODEV, "flags", "set"))),
        "mounts/test_mount_options.py::test_device_nodes_on_a_mount",
    ),
    Mutant(
        "mount-ro-dropped",
        "the mount option ro has no effect",
        plan(changed("mount", "remount", to=without(_MS_RDONLY, "flags", "set"))),
        "mounts/test_mount_options.py::test_writing_on_a_mount",
    ),
    Mutant(
        "bind-flags-in-one-step",
        "flags of a bind mount are given to the first mount(2), which ignores them",
        plan(dropped("remount", where=lambda values: values["bind"] == 1 and values["target"] != "/")),
        "mounts/test_mount_options.py::test_programs_on_a_mount",
    ),
    Mutant(
        "rro-not-recursive",
        "recursive mount attributes stop at the mount itself",
        plan(changed("mount_attr", to=lambda values: {"recursive": 0})),
        "mounts/test_recursive_options.py::test_writing_below_a_recursive_mount",
    ),
    Mutant(
        "rbind-not-recursive",
        "rbind binds one mount only",
        plan(changed("bind", to=lambda values: {"recursive": 0})),
        "mounts/test_recursive_options.py::test_submounts_of_a_bind",
    ),
    Mutant(
        "propagation-dropped",
        "propagation options of mounts are ignored",
        plan(dropped("propagate")),
        "mounts/test_recursive_options.py::test_propagation",
    ),
    Mutant(
        "mounts-sorted",
        "mounts are made in the order of their destinations",
        compiling(_sorted_mounts),
        "mounts/test_mounts.py::test_mounts_are_made_in_order",
    ),
    Mutant(
        "copy-up-without-copy",
        "tmpcopyup mounts an empty tmpfs",
        plan(_plain_tmpfs),
        "mounts/test_mount_options.py::test_tmpcopyup_copies_what_was_there",
    ),
    # -- devices -------------------------------------------------------------------------------------------------------
    Mutant(
        "default-device-missing",
        "/dev/full is not made",
        plan(dropped("mknod", where=lambda values: values["target"] == "/dev/full")),
        DEFAULT_DEVICE,
    ),
    Mutant(
        "device-mode-masked",
        "fileMode of a device goes through a umask of 0022",
        plan(changed("mknod", to=without(0o022, "mode"))),
        "linux/test_devices.py::test_file_mode_is_exact",
        DEFAULT_DEVICE,
    ),
    Mutant(
        "device-owner-dropped",
        "uid and gid of a device are ignored",
        plan(changed("mknod", to=lambda values: {"uid": 0, "gid": 0})),
        "linux/test_devices.py::test_owner_of_a_device",
    ),
    Mutant(
        "dev-symlink-missing",
        "/dev/stdin is not made",
        plan(dropped("symlink", where=lambda values: values["target"] == "/dev/stdin")),
        "process/test_descriptors.py::test_dev_symlink",
    ),
    # -- hooks inside --------------------------------------------------------------------------------------------------
    Mutant(
        "create-container-hooks-skipped",
        "createContainer hooks do not run",
        plan(dropped("hook", where=lambda values: values["name"] == "createContainer")),
        "hooks/test_hooks.py::test_hook_is_part_of_create",
    ),
    Mutant(
        "only-the-first-hook-inside",
        "of a list of hooks in the container only the first runs",
        plan(only_first("hook")),
        "lifecycle/test_failing_hooks.py::test_every_hook_of_a_list_runs_by_the_end_of_start",
    ),
    Mutant(
        "start-container-hooks-skipped",
        "startContainer hooks do not run",
        plan(dropped("hook", where=lambda values: values["name"] == "startContainer")),
        "hooks/test_hooks.py::test_start_container_hook_is_part_of_start",
    ),
)


def _own_environment() -> list[str]:
    import os

    return [f"{name}={value}" for name, value in os.environ.items()]
