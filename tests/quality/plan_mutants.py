"""Mutants whose bug is in the plan: an operation that is missing, weaker than it should be, or in the wrong place."""

from __future__ import annotations

import os
import struct

from planting import Mutant, applied, changed, compiling, dropped, only_first, plan, without

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation
    from seatrial.runtime.plan.plan import Plan

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REC, _MS_PRIVATE, _MS_SLAVE = 0x4000, 0x40000, 0x80000
_NEW_IPC, _NEW_CGROUP = 0x8000000, 0x2000000
_SECCOMP_ERRNO, _SECCOMP_ALLOW, _SECCOMP_LOG = 0x50000, 0x7FFF0000, 0x7FFC0000

CAPABILITIES = "process/test_capabilities.py::test_capability_set"
OPTION = "mounts/test_mount_options.py::test_option"
PATHS = "linux/test_paths.py::"
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


def _own_environment() -> list[str]:
    return [f"{name}={value}" for name, value in os.environ.items()]


def _own_hard_limit(resource: int) -> int:
    from seatrial.native.syscall import prlimit

    return prlimit(0, resource)[1]


def _returning(change: Callable[[int], int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """For `changed`: a seccomp filter whose return values (SECCOMP_RET_*, seccomp(2)) are changed."""

    def filter_of(values: dict[str, Any]) -> dict[str, Any]:
        instructions = [list(entry) for entry in struct.iter_unpack("<HBBI", values["filter"])]
        for entry in instructions:
            if entry[0] == 0x06:  # BPF_RET | BPF_K
                entry[3] = change(entry[3])
        return {"filter": b"".join(struct.pack("<HBBI", *entry) for entry in instructions)}

    return filter_of


def _loose_filter_dropped(operations: list[Operation]) -> list[Operation]:
    if any(entry.name == "no_new_privs" for entry in operations):
        return operations
    return [entry for entry in operations if entry.name != "seccomp"]


def _masks_as_readonly(operations: list[Operation]) -> list[Operation]:
    from seatrial.runtime.plan import operation as op

    return [op.readonly(str(entry.values[0])) if entry.name == "mask" else entry for entry in operations]


TABLE = (
    # -- privileges and identity ---------------------------------------------------------------------------------------
    Mutant(
        "no-new-privileges-dropped",
        "process.noNewPrivileges is ignored",
        plan(dropped("no_new_privs")),
        "process/test_limits.py::test_no_new_privileges[True]",
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
        "process/test_capabilities.py::test_capability_set_left_out[inheritable]",
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
        CAPABILITIES + "[effective-user]",
    ),
    Mutant(
        "uid-zero",
        "the program runs as uid 0 whatever process.user.uid says",
        plan(changed("identity", to=lambda values: {"uid": 0})),
        "process/test_user.py::test_uid_is_that_of_the_program[1000]",
    ),
    Mutant(
        "gid-from-uid",
        "the program's gid is its uid",
        plan(changed("identity", to=lambda values: {"gid": values["uid"]})),
        "process/test_user.py::test_gid_is_that_of_the_program[1000]",
    ),
    Mutant(
        "additional-gids-dropped",
        "process.user.additionalGids is ignored",
        plan(changed("groups", to=lambda values: {"gids": []})),
        "process/test_user.py::test_additional_gids[gids2]",
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
        "process/test_user.py::test_umask[63]",
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
        plan(changed("rlimit", to=lambda values: {"hard": _own_hard_limit(values["resource"])})),
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
        "process/test_limits.py::test_oom_score_adj[500]",
    ),
    Mutant(
        "gate-missing",
        "the program runs as soon as create has set it up",
        plan(dropped("gate")),
        "lifecycle/test_create.py::test_create_does_not_run_the_program",
    ),
    Mutant(
        "personality-dropped",
        "linux.personality is ignored",
        plan(dropped("personality")),
        "linux/test_personality.py::test_linux32",
    ),
    Mutant(
        "scheduler-dropped",
        "process.scheduler is ignored",
        plan(dropped("scheduler")),
        "process/test_scheduler.py::test_deadline_policy",
    ),
    Mutant(
        "io-priority-dropped",
        "process.ioPriority is ignored",
        plan(dropped("io_priority")),
        "process/test_scheduler.py::test_io_priority_of_the_group",
    ),
    # -- the terminal --------------------------------------------------------------------------------------------------
    Mutant(
        "console-size-swapped",
        "consoleSize has height and width exchanged",
        plan(changed("console", to=lambda values: {"width": values["height"], "height": values["width"]})),
        "process/test_terminal.py::test_console_size[24x80]",
    ),
    Mutant(
        "console-not-mounted",
        "the terminal is not mounted on /dev/console",
        plan(changed("console", to=lambda values: {"mount": 0})),
        "process/test_terminal.py::test_console_device",
    ),
    Mutant(
        "terminal-of-root",
        "the terminal belongs to root whoever the program's user is",
        plan(changed("console", to=lambda values: {"uid": 0}), dropped("stdio_owner")),
        "process/test_terminal.py::test_terminal_belongs_to_the_user",
    ),
    # -- seccomp -------------------------------------------------------------------------------------------------------
    Mutant(
        "seccomp-listener-dropped",
        "a filter with SCMP_ACT_NOTIFY is loaded without a listener",
        plan(changed("seccomp", to=lambda values: {"notify": 0})),
        "linux/test_seccomp_listener.py::test_agent_answers_calls[True]",
    ),
    Mutant(
        "seccomp-dropped",
        "linux.seccomp is ignored",
        plan(dropped("seccomp")),
        "linux/test_seccomp.py::test_call_is_not_executed",
    ),
    Mutant(
        "seccomp-without-no-new-privileges-dropped",
        "linux.seccomp is ignored unless noNewPrivileges is set",
        plan(_loose_filter_dropped),
        "linux/test_seccomp.py::test_filter_whatever_the_privileges[0-False]",
    ),
    Mutant(
        "seccomp-errno-fixed",
        "a filter answers EPERM whatever errnoRet says",
        plan(changed("seccomp", to=_returning(lambda value: _SECCOMP_ERRNO | 1 if value >> 16 == 5 else value))),
        "linux/test_seccomp.py::test_errno_of_an_entry[38]",
    ),
    Mutant(
        "seccomp-log-is-allow",
        "SCMP_ACT_LOG is taken for SCMP_ACT_ALLOW",
        plan(changed("seccomp", to=_returning(lambda value: _SECCOMP_ALLOW if value == _SECCOMP_LOG else value))),
        "linux/test_seccomp.py::test_log_action_is_in_the_filter[entry]",
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
        "linux/test_namespaces.py::test_new_namespace[ipc]",
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
        "linux/test_namespaces.py::test_namespace_of_a_process_is_joined[network]",
    ),
    Mutant(
        "time-offsets-dropped",
        "linux.timeOffsets is ignored",
        plan(dropped("timens_offsets")),
        "linux/test_namespaces.py::test_clock_offsets",
    ),
    Mutant(
        "sysctls-dropped",
        "linux.sysctl is ignored",
        plan(dropped("sysctl")),
        "linux/test_sysctl.py::test_several_parameters",
    ),
    Mutant(
        "only-the-first-sysctl",
        "of linux.sysctl only the first entry is set",
        plan(only_first("sysctl")),
        "linux/test_sysctl.py::test_several_parameters",
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
        "mounts/test_mount_options.py::test_set_id_programs_on_a_mount[nosuid]",
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
        "mounts/test_recursive_options.py::test_writing_below_a_recursive_mount[rro]",
    ),
    Mutant(
        "rbind-not-recursive",
        "rbind binds one mount only",
        plan(changed("bind", to=lambda values: {"recursive": 0})),
        "mounts/test_recursive_options.py::test_submounts_of_a_bind[rbind]",
    ),
    Mutant(
        "propagation-dropped",
        "propagation options of mounts are ignored",
        plan(dropped("propagate")),
        "mounts/test_recursive_options.py::test_propagation[shared]",
    ),
    Mutant(
        "mounts-sorted",
        "mounts are made in the order of their destinations",
        compiling(_sorted_mounts),
        "mounts/test_mounts.py::test_later_mount_hides_earlier_ones",
    ),
    Mutant(
        "copy-up-without-copy",
        "tmpcopyup mounts an empty tmpfs",
        plan(_plain_tmpfs),
        "mounts/test_mount_options.py::test_tmpcopyup_copies_what_was_there",
    ),
    Mutant(
        "root-propagation-dropped",
        "linux.rootfsPropagation is ignored: the root is private",
        plan(
            changed("propagation", to=lambda values: {"flags": _MS_PRIVATE | _MS_REC}),
            dropped("propagate", where=lambda values: values["target"] == "/"),
        ),
        "linux/test_propagation.py::test_propagation_of_the_root[shared]",
    ),
    Mutant(
        "slave-root-made-private",
        "a mount that the host makes below a slave root does not arrive in the container",
        plan(
            changed(
                "propagation",
                to=lambda values: {"flags": _MS_PRIVATE | _MS_REC},
                where=lambda values: values["flags"] & _MS_SLAVE != 0,
            ),
        ),
        "linux/test_propagation.py::test_mounts_of_the_host[slave-True]",
    ),
    Mutant(
        "masks-dropped",
        "linux.maskedPaths is ignored",
        plan(dropped("mask")),
        PATHS + "test_masked_file",
        PATHS + "test_masked_directory",
    ),
    Mutant(
        "only-the-first-mask",
        "of linux.maskedPaths only the first is masked",
        plan(only_first("mask")),
        PATHS + "test_masked_file_of_proc",
    ),
    Mutant(
        "masked-paths-only-read-only",
        "masked paths are made read-only, and show what they hold",
        plan(_masks_as_readonly),
        PATHS + "test_masked_directory",
    ),
    Mutant(
        "readonly-paths-dropped",
        "linux.readonlyPaths is ignored",
        plan(dropped("readonly")),
        PATHS + "test_readonly_file",
        PATHS + "test_readonly_directory_of_proc",
    ),
    # -- devices -------------------------------------------------------------------------------------------------------
    Mutant(
        "default-device-missing",
        "/dev/full is not made",
        plan(dropped("mknod", where=lambda values: values["target"] == "/dev/full")),
        DEFAULT_DEVICE + "[full]",
    ),
    Mutant(
        "device-mode-masked",
        "fileMode of a device goes through a umask of 0022",
        plan(changed("mknod", to=without(0o022, "mode"))),
        "linux/test_devices.py::test_file_mode_is_exact[0o22]",
        DEFAULT_DEVICE + "[null]",
    ),
    Mutant(
        "device-owner-dropped",
        "uid and gid of a device are ignored",
        plan(changed("mknod", to=lambda values: {"uid": 0, "gid": 0})),
        "linux/test_devices.py::test_owner_of_a_device[uid]",
    ),
    Mutant(
        "dev-symlink-missing",
        "/dev/stdin is not made",
        plan(dropped("symlink", where=lambda values: values["target"] == "/dev/stdin")),
        "process/test_descriptors.py::test_dev_symlink[/dev/stdin]",
    ),
    # -- hooks inside --------------------------------------------------------------------------------------------------
    Mutant(
        "create-container-hooks-skipped",
        "createContainer hooks do not run",
        plan(dropped("hook", where=lambda values: values["name"] == "createContainer")),
        "hooks/test_hooks.py::test_hook_is_part_of_create[createContainer]",
    ),
    Mutant(
        "only-the-first-hook-inside",
        "of a list of hooks in the container only the first runs",
        plan(only_first("hook")),
        "lifecycle/test_failing_hooks.py::test_every_hook_of_a_list_runs_by_the_end_of_start[startContainer]",
    ),
    Mutant(
        "start-container-hooks-skipped",
        "startContainer hooks do not run",
        plan(dropped("hook", where=lambda values: values["name"] == "startContainer")),
        "hooks/test_hooks.py::test_start_container_hook_is_part_of_start",
    ),
)
