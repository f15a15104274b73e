"""Rules for the program and its attributes."""

from __future__ import annotations

from seatrial.runtime.config import Config, MemoryPolicy, Process
from seatrial.runtime.document import quote
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.spec import names

_OTHER, _FIFO, _RR, _BATCH, _DEADLINE = 0, 1, 2, 3, 6
_NO_ID = 2**32 - 1  # setresuid(2), setresgid(2): "leave it as it is"


def validate_process(config: Config) -> None:
    """Raise ConfigError for what the kernel or the spec refuses about the process."""
    if config.process is not None:
        _program(config.process)
    _rlimits(config)
    adjustment = config.oom_score_adj
    if adjustment is not None and not -1000 <= adjustment <= 1000:
        raise ConfigError("process.oomScoreAdj", "not between -1000 and 1000")
    _scheduler(config)
    if config.exec_cpu_affinity is not None:
        for name in ("initial", "final"):
            text = getattr(config.exec_cpu_affinity, name)
            if text:
                from seatrial.runtime.cpus import parse_cpus

                try:
                    parse_cpus(text)
                except ValueError as error:
                    raise ConfigError(f"process.execCPUAffinity.{name}", str(error)) from None
    if config.memory_policy is not None:
        _memory_policy(config.memory_policy)
    if config.io_priority is not None:
        if config.io_priority.io_class not in names.IO_CLASSES.values():
            raise ConfigError("process.ioPriority.class", "not between 1 and 3")
        if not 0 <= config.io_priority.priority <= 7:
            raise ConfigError("process.ioPriority.priority", "not between 0 and 7")
    if config.apparmor_profile or config.process_label or config.mount_label:
        from seatrial.runtime.lsm import check_labels

        check_labels(config)


def _program(process: Process) -> None:
    if not process.args:
        raise ConfigError("process.args", "empty; it names the program")
    if not process.cwd.startswith("/"):
        raise ConfigError("process.cwd", f"{quote(process.cwd)} is not an absolute path")
    for path, number in (
        ("process.user.uid", process.uid),
        ("process.user.gid", process.gid),
        *((f"process.user.additionalGids[{index}]", gid) for index, gid in enumerate(process.additional_gids)),
    ):
        if number == _NO_ID:
            raise ConfigError(path, "4294967295 is no id: the kernel takes it for -1")


def _rlimits(config: Config) -> None:
    seen = set()
    for index, limit in enumerate(config.rlimits):
        where = f"process.rlimits[{index}]"
        if limit.type in seen:
            raise ConfigError(f"{where}.type", "a second entry of this type")
        seen.add(limit.type)
        if limit.soft > limit.hard:
            raise ConfigError(f"{where}.soft", f"{limit.soft} is above the hard limit {limit.hard}")


def _memory_policy(policy: MemoryPolicy) -> None:
    """What set_mempolicy(2) would answer with EINVAL on any host."""
    from seatrial.runtime import number_list

    where = "linux.memoryPolicy"
    mode = next((name for name, number in names.MEMORY_POLICY_MODES.items() if number == policy.mode), "")
    if not mode:
        raise ConfigError(f"{where}.mode", f"{policy.mode} is no mode of set_mempolicy(2)")
    try:
        nodes = number_list.parse(policy.nodes, names.HIGHEST_NODE)
    except ValueError as error:
        raise ConfigError(f"{where}.nodes", str(error)) from None
    alone = mode in ("MPOL_DEFAULT", "MPOL_LOCAL")
    if alone and nodes:
        raise ConfigError(f"{where}.nodes", f"{mode} takes no nodes")
    if not alone and not nodes and mode != "MPOL_PREFERRED":
        raise ConfigError(f"{where}.nodes", f"{mode} needs at least one node")
    flags = [name for name, bit in names.MEMORY_POLICY_FLAGS.items() if policy.flags & bit]
    if policy.flags & ~sum(names.MEMORY_POLICY_FLAGS.values()):
        raise ConfigError(f"{where}.flags", f"0x{policy.flags:x} has bits that are no flag of set_mempolicy(2)")
    if "MPOL_F_RELATIVE_NODES" in flags and "MPOL_F_STATIC_NODES" in flags:
        raise ConfigError(f"{where}.flags", "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other")
    for name in flags:
        if name == "MPOL_F_NUMA_BALANCING":
            if mode not in ("MPOL_BIND", "MPOL_PREFERRED_MANY"):
                raise ConfigError(f"{where}.flags", f"{name} is for MPOL_BIND and MPOL_PREFERRED_MANY")
        elif not nodes:
            raise ConfigError(f"{where}.flags", f"{name} says how nodes are meant, and there are none")


def _scheduler(config: Config) -> None:
    scheduler = config.scheduler
    if scheduler is None:
        return
    where = "process.scheduler"
    policy = scheduler.policy
    if policy in (_OTHER, _BATCH) and not -20 <= scheduler.nice <= 19:
        raise ConfigError(f"{where}.nice", "not between -20 and 19")
    if policy in (_FIFO, _RR):
        if not 1 <= scheduler.priority <= 99:
            raise ConfigError(f"{where}.priority", "not between 1 and 99, as SCHED_FIFO and SCHED_RR need it")
    elif scheduler.priority:
        raise ConfigError(f"{where}.priority", "only SCHED_FIFO and SCHED_RR have a priority")
    if policy == _DEADLINE:
        if not 0 < scheduler.runtime <= scheduler.deadline <= (scheduler.period or scheduler.deadline):
            raise ConfigError(where, "SCHED_DEADLINE needs 0 < runtime <= deadline <= period")
    else:
        for name in ("runtime", "deadline", "period"):
            if getattr(scheduler, name):
                raise ConfigError(f"{where}.{name}", "only SCHED_DEADLINE has it")
