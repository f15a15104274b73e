"""The program's own attributes: limits, scheduling, capabilities, ids.  credentials(7), capabilities(7)."""

from __future__ import annotations

from seatrial.native.operations import USER_FOUND
from seatrial.runtime.plan import operation as op
from seatrial.runtime.spec import names
from seatrial.runtime.user import parse_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Process
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation


def attributes(config: Config) -> list[Operation]:
    """What needs no order among itself, set while every capability is there."""
    operations = []
    if config.personality is not None:
        operations.append(op.personality(config.personality))
    scheduler = config.scheduler
    if scheduler is not None:
        operations.append(
            op.scheduler(
                scheduler.policy,
                scheduler.nice,
                scheduler.priority,
                scheduler.flags,
                scheduler.runtime,
                scheduler.deadline,
                scheduler.period,
            )
        )
    if config.io_priority is not None:
        operations.append(op.io_priority(config.io_priority.value))
    policy = config.memory_policy
    if policy is not None:
        from seatrial.runtime import number_list

        nodes = number_list.parse(policy.nodes, names.HIGHEST_NODE)
        operations.append(op.memory_policy(policy.mode | policy.flags, nodes))
    if config.no_new_privileges:
        operations.append(op.no_new_privs())
    return operations


def find_user(process: Process) -> list[Operation]:
    """Look a user's name up, once the container's files can be seen and before the first use of its ids."""
    if not process.user:
        return []
    return [op.user(*parse_user(process.user))]


def uid_of(process: Process) -> int:
    """The uid, or what stands for the one that `find_user` finds."""
    return USER_FOUND if process.user else process.uid


def surroundings(process: Process, more_env: list[str]) -> list[Operation]:
    """Environment, HOME and working directory: as root, who can read passwd and enter every directory."""
    return [op.environment(process.env + more_env), op.home(uid_of(process)), op.chdir(process.cwd)]


def limits(config: Config) -> list[Operation]:
    """Resource limits in the config's order: late, so that a small one does not hit the set-up."""
    return [op.rlimit(limit.type, limit.soft, limit.hard) for limit in config.rlimits]


def credentials(
    config: Config, process: Process, environment: Environment, filter: list[Operation]
) -> list[Operation]:
    """From root to the container's user; `filter` in the middle, which needs CAP_SYS_ADMIN (seccomp(2)).

    It comes as late as it can: a profile must allow whatever is still called.

    The bounding set needs CAP_SETPCAP and the groups CAP_SETGID, so both come first; PR_SET_KEEPCAPS carries the
    permitted set over the change of uid, so that capset can give the wanted sets afterwards.
    """
    operations: list[Operation] = []
    capabilities = config.capabilities
    if capabilities is not None:
        operations += (op.bounding(capabilities.bounding), op.keep_caps(1))
    operations.append(op.stdio_owner(uid_of(process)))
    if process.additional_gids or not environment.setgroups_denied:
        # In a new user namespace that denies it, the executor leaves out a call without groups (become_root).
        operations.append(op.groups(process.additional_gids))
    operations += filter
    operations.append(op.identity(uid_of(process), USER_FOUND if process.user else process.gid))
    operations.append(op.chdir_retry(process.cwd))
    if capabilities is not None:
        operations.append(op.capset(capabilities.effective, capabilities.permitted, capabilities.inheritable))
        operations += (op.keep_caps(0), op.ambient(capabilities.ambient))
    return operations
