"""The process block of the OCI document, for `create` and for `exec --process`."""

from __future__ import annotations

from seatrial.runtime import capability
from seatrial.runtime.config import Capabilities, Config, CPUAffinity, IOPriority, Process, Rlimit, Scheduler
from seatrial.runtime.errors import ConfigError, UnsupportedError
from seatrial.runtime.spec import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def convert_process(block: dict[str, Any], config: Config, path: str = "process") -> None:
    """Fill the members of `config` that come from a checked process block.

    Raises ConfigError at `path`; unknown capabilities become entries of `config.warnings`.
    """
    user = block.get("user", {})
    terminal = block.get("terminal", False)
    process = Process(
        args=block["args"],
        cwd=block["cwd"],
        env=block.get("env", []),
        uid=user.get("uid", 0),
        gid=user.get("gid", 0),
        additional_gids=user.get("additionalGids", []),
        umask=user.get("umask"),
        terminal=terminal,
    )
    if terminal and "consoleSize" in block:  # ignored without a terminal: config.md#process
        size = block["consoleSize"]
        for name in ("height", "width"):
            if name not in size:
                raise ConfigError(f"{path}.consoleSize.{name}", "missing; it is required")
            if size[name] > 0xFFFF:
                raise ConfigError(f"{path}.consoleSize.{name}", "more than 65535: struct winsize has 16 bits")
        process.console_height = size["height"]
        process.console_width = size["width"]
    config.process = process
    config.apparmor_profile = block.get("apparmorProfile", "")
    config.process_label = block.get("selinuxLabel", "")
    config.no_new_privileges = block.get("noNewPrivileges", False)
    config.oom_score_adj = block.get("oomScoreAdj")
    if "capabilities" in block:
        config.capabilities = _capabilities(block["capabilities"], config)
    config.rlimits = [
        Rlimit(type=names.RLIMITS[entry["type"]], soft=entry["soft"], hard=entry["hard"])
        for entry in block.get("rlimits", ())
    ]
    if "scheduler" in block:
        config.scheduler = _scheduler(block["scheduler"], f"{path}.scheduler")
    if "ioPriority" in block:
        entry = block["ioPriority"]
        config.io_priority = IOPriority(io_class=names.IO_CLASSES[entry["class"]], priority=entry["priority"])
    if "execCPUAffinity" in block:
        entry = block["execCPUAffinity"]
        config.exec_cpu_affinity = CPUAffinity(initial=entry.get("initial", ""), final=entry.get("final", ""))


def _capabilities(block: dict[str, Any], config: Config) -> Capabilities:
    unknown: list[str] = []
    sets = {
        name: capability.mask(block[name], unknown)
        for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
        if name in block
    }
    if unknown:
        config.warnings.append(f"process.capabilities: ignored, unknown: {', '.join(unknown)}")
    return Capabilities(**sets)


def _scheduler(block: dict[str, Any], path: str) -> Scheduler:
    if block["policy"] == "SCHED_ISO":
        raise UnsupportedError(f"{path}.policy", "SCHED_ISO: no released kernel has this policy")
    flags = 0
    for name in block.get("flags", ()):
        flags |= names.SCHEDULER_FLAGS[name]
    return Scheduler(
        policy=names.SCHEDULER_POLICIES[block["policy"]],
        nice=block.get("nice", 0),
        priority=block.get("priority", 0),
        flags=flags,
        runtime=block.get("runtime", 0),
        deadline=block.get("deadline", 0),
        period=block.get("period", 0),
    )
