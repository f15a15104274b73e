"""Rules for seccomp profiles with SCMP_ACT_NOTIFY."""

from __future__ import annotations

from seatrial.runtime.config import Seccomp
from seatrial.runtime.errors import ConfigError

NOTIFY = "SCMP_ACT_NOTIFY"


def validate_seccomp(profile: Seccomp) -> None:
    """Raise ConfigError for a listener that cannot be had, or that nobody could get."""
    if profile.default_action == NOTIFY:
        # As runc.  The agent would have to answer for every call, those of the runtime included.
        hint = "name the system calls in linux.seccomp.syscalls"
        raise ConfigError("linux.seccomp.defaultAction", f"{NOTIFY} is no default action", hint)
    notifying = [index for index, rule in enumerate(profile.syscalls) if rule.action == NOTIFY]
    if notifying and not profile.listener_path:
        where = f"linux.seccomp.syscalls[{notifying[0]}]"
        raise ConfigError("linux.seccomp.listenerPath", f"missing; {where} has {NOTIFY}")
