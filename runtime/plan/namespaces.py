"""Birth: cgroup, namespaces, the second process, session.  namespaces(7), user_namespaces(7), time_namespaces(7)."""

from __future__ import annotations

from seatrial.native.operations import SYNC_CGROUP, SYNC_IDMAP, SYNC_NETWORK
from seatrial.runtime.config import NAMESPACE_FLAGS
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.labels import labelled_keyring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config, Namespace
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation

_NEWUSER = NAMESPACE_FLAGS["user"]
_NEWTIME = NAMESPACE_FLAGS["time"]

KEYRING = "_ses."  # and the container's id: the session keyring of its processes

# A bit of key permissions (keyctl_setperm(3)): what `exec` starts joins the keyring by its name, as the user that init
# was when it made the keyring, and finds only what that user may search.
_KEY_USR_SEARCH = 0x80000


def enter(config: Config, environment: Environment) -> list[Operation]:
    """From the first instruction to the container's last process, in its namespaces and its own session."""
    operations = _while_privileged(config, environment)
    joined = [namespace for namespace in config.namespaces if namespace.path]
    if joined:
        # Processes of a joined pid and user namespace could otherwise ptrace or reopen what runs here.
        operations.append(op.nondumpable())
    others = [_setns(namespace, environment) for namespace in joined if namespace.type != "user"]
    user = config.namespace("user")
    if environment.privileged:
        # Namespaces of a user namespace above the container's can only be joined before that is entered; as root
        # everything else can be joined here too.  Without privilege it is the other way round.
        operations += others
        operations += _user(user, config, environment)
    else:
        operations += _user(user, config, environment)
        operations += others
    flags = 0
    for namespace in config.namespaces:
        if not namespace.path and namespace.type not in ("user", "time"):
            flags |= NAMESPACE_FLAGS[namespace.type]
    if config.private("pid") or config.is_new("time"):
        # Both take effect for children only: setns(2), unshare(2).
        operations.append(op.clone(flags))
    elif flags:
        operations.append(op.unshare(flags))
    operations.append(op.setsid())
    if not config.no_new_keyring:
        operations += labelled_keyring(config, op.session_keyring(KEYRING + environment.id, _KEY_USR_SEARCH))
    if config.is_new("net"):
        operations.append(op.loopback_up())
    if config.net_devices or config.networks:
        # The namespace is there, and nothing has looked into it yet: mounts of sysfs and sysctls show the devices.
        operations.append(op.sync(SYNC_NETWORK))
    return operations


def _while_privileged(config: Config, environment: Environment) -> list[Operation]:
    """What needs the capabilities of the runtime's own user namespace."""
    operations = []
    if not environment.born_in_cgroup:
        # Before everything else: what runs outside escapes the limits, and a cgroup namespace is rooted here.
        operations.append(op.sync(SYNC_CGROUP))
    operations.append(op.reset_affinity())
    return operations + outside_limits(config, environment)


def outside_limits(config: Config, environment: Environment) -> list[Operation]:
    """What only the capabilities of the runtime's own user namespace may raise."""
    operations = []
    if config.oom_score_adj is not None:
        operations.append(op.oom_score_adj(config.oom_score_adj))
    if config.private("user"):
        # A hard limit is raised with CAP_SYS_RESOURCE in the initial user namespace.  The soft limit comes later, with
        # the others: it may be too small for what is still to do.
        for limit in config.rlimits:
            known = environment.hard_limits.get(limit.type)
            if known is None or limit.hard > known:
                operations.append(op.rlimit(limit.type, limit.hard, limit.hard))
    return operations


def _user(user: Namespace | None, config: Config, environment: Environment) -> list[Operation]:
    """Into the user namespace, if there is one; the time namespace on the way."""
    operations = []
    if user is not None:
        if user.path:
            operations.append(_setns(user, environment))
        else:
            operations += (op.unshare(_NEWUSER), op.sync(SYNC_IDMAP))
    if config.is_new("time"):
        operations.append(op.unshare(_NEWTIME))
        if config.time_offsets:
            # Before become_root: a change of ids makes the process non-dumpable and /proc/self the host root's.
            lines = [f"{clock} {offset.secs} {offset.nanosecs}\n" for clock, offset in config.time_offsets.items()]
            operations.append(op.timens_offsets("".join(lines)))
    if user is not None:
        operations.append(op.become_root(1))
    return operations


def _setns(namespace: Namespace, environment: Environment) -> Operation:
    return op.setns(environment.namespace_fds[namespace.type], NAMESPACE_FLAGS[namespace.type])
