"""The end of a plan: hooks in the container, the filter, the start signal, exec."""

from __future__ import annotations

from seatrial.native.operations import SYNC_READY, SYNC_START
from seatrial.runtime.plan import operation as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Hook
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation


def create_container_hooks(config: Config, environment: Environment) -> list[Operation]:
    """Hooks in the container's namespaces with the host's root still there: their paths are the host's."""
    return [
        _hook("createContainer", hook, [], environment.state_creating) for hook in config.hooks.create_container
    ]


def seccomp(config: Config, environment: Environment) -> list[Operation]:
    """The filter, if the config has one."""
    if config.seccomp is None:
        return []
    from seatrial.runtime.seccomp.cache import filter_of

    compiled = filter_of(config.seccomp, environment.cache_root)
    return [op.seccomp(compiled.filter, compiled.flags, int(compiled.notify))]


def start(config: Config, environment: Environment, filter: list[Operation]) -> list[Operation]:
    """From the record of the created state to the program.

    A filter that waits for no_new_privs comes before the start signal and the startContainer hooks: both are then
    subject to it, as in runc.
    """
    process = config.process
    operations = [op.sync(SYNC_READY)]
    operations += filter
    operations.append(op.sync(SYNC_START) if environment.gate is None else op.gate(environment.gate))
    if process is None:
        operations.append(op.exec(["(no process)"]))  # a plan ends in exec; `start` refuses before it is reached
        return operations
    for hook in config.hooks.start_container:
        operations.append(_hook("startContainer", hook, process.env, environment.state_created))
    operations.append(op.exec(process.args))
    return operations


def _hook(name: str, hook: Hook, environment: list[str], state: tuple[bytes, bytes]) -> Operation:
    return op.hook(name, hook.path, hook.args or [hook.path], hook.env or environment, hook.timeout or 0, *state)
