"""The plan of an additional process: into the namespaces of a container that is there, and then what init does too.

No hooks, no mounts, nothing created.  After the mount namespace is joined "/" is the container's root: every later path
is opened beneath it, and nothing that lies there is trusted, /proc least of all.
"""

from __future__ import annotations

from seatrial.native.operations import SYNC_CGROUP, SYNC_READY, SYNC_START
from seatrial.runtime.config import NAMESPACE_FLAGS
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.finish import seccomp
from seatrial.runtime.plan.labels import labelled_keyring, program_labels
from seatrial.runtime.plan.namespaces import KEYRING, outside_limits
from seatrial.runtime.plan.plan import Plan
from seatrial.runtime.plan.process import attributes, credentials, find_user, limits, surroundings, uid_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation


def compile_exec(config: Config, environment: Environment) -> Plan:
    """The plan of a process for `exec`.  `config` is the container's with the process and its overrides put in.

    `environment.namespace_fds` has the namespaces of init that are to be joined, those that the runtime is in already
    left out.  Raises what `compile_init` raises.
    """
    process = config.process
    assert process is not None
    operations = _before_joining(config, environment)
    operations += _join(config, environment)
    operations += find_user(process)
    if process.terminal:
        # In the container's own devpts, and not on /dev/console, which is init's.
        operations.append(op.console(process.console_width, process.console_height, uid_of(process), 0))
    if process.umask is not None:
        operations.append(op.umask(process.umask))
    operations += program_labels(config)
    operations += attributes(config)
    filter = seccomp(config, environment)
    operations += surroundings(process, [])
    operations += limits(config)
    operations.append(op.close_fds(environment.keep))
    if config.no_new_privileges:
        operations += credentials(config, process, environment, [])
    else:
        operations += credentials(config, process, environment, filter)
        filter = []
    operations.append(op.find(process.args[0]))
    operations.append(op.sync(SYNC_READY))
    operations += filter
    operations += (op.sync(SYNC_START), op.exec(process.args))
    return Plan(operations)


def _before_joining(config: Config, environment: Environment) -> list[Operation]:
    operations: list[Operation] = []
    if not environment.born_in_cgroup:
        operations.append(op.sync(SYNC_CGROUP))
    affinity = config.exec_cpu_affinity
    if affinity is not None and affinity.final:
        # In the cgroup, whose cpuset would otherwise widen it again (config.md#posix-process).
        from seatrial.runtime.cpus import cpu_mask, parse_cpus

        operations.append(op.affinity(cpu_mask(parse_cpus(affinity.final))))
    else:
        operations.append(op.reset_affinity())
    return operations + outside_limits(config, environment)


def _join(config: Config, environment: Environment) -> list[Operation]:
    """Into the namespaces of init, its session keyring, and a session of its own."""
    # The container's processes see this one as soon as it is in their pid namespace: they must not get at it while it
    # holds anything of the host (CVE-2016-9962).  execve makes it dumpable again.
    operations = [op.nondumpable()]
    joined = [namespace.type for namespace in config.namespaces if namespace.type in environment.namespace_fds]
    others = [_setns(type, environment) for type in joined if type != "user"]
    user = [_setns("user", environment), op.become_root(1)] if "user" in joined else []
    # With privilege first what belongs to other user namespaces, without it first the one that gives it (`enter`).
    operations += others + user if environment.privileged else user + others
    if environment.root_fd is not None:
        operations.append(op.enter_root(environment.root_fd))
    if "pid" in joined:
        operations.append(op.clone(0))  # setns(2): for children only
    operations.append(op.setsid())
    if not config.no_new_keyring:
        join = op.session_keyring(KEYRING + environment.id, 0)  # there already, with its permissions
        operations += labelled_keyring(config, join)
    return operations


def _setns(type: str, environment: Environment) -> Operation:
    return op.setns(environment.namespace_fds[type], NAMESPACE_FLAGS[type])
