"""Config to Plan.  Pure: nothing of the host is looked at but what the Environment says.

The order is the product: each step of `compile_init` says what it must follow.
"""

from __future__ import annotations

from seatrial.native.operations import SYNC_RUNTIME_HOOKS
from seatrial.runtime.plan import operation as op
from seatrial.runtime.plan.devices import has_own_dev, make_devices
from seatrial.runtime.plan.finish import create_container_hooks, seccomp, start
from seatrial.runtime.plan.labels import program_labels
from seatrial.runtime.plan.mounts import change_root, hide_paths, make_mounts, prepare_root, read_only_later
from seatrial.runtime.plan.namespaces import enter
from seatrial.runtime.plan.plan import Plan
from seatrial.runtime.plan.process import attributes, credentials, find_user, limits, surroundings, uid_of
from seatrial.runtime.sysctl import key_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation


def compile_init(config: Config, environment: Environment) -> Plan:
    """The plan of a container's first process, for `create` and `run`.

    Raises what `seatrial.runtime.seccomp.filter.compile_filter` raises when the config has a seccomp profile, and
    KeyError when `environment.namespace_fds` lacks a namespace that the config joins.
    """
    process = config.process
    operations = enter(config, environment)
    operations += prepare_root(config)
    operations += make_mounts(config, environment)
    operations += make_devices(config, environment)  # /dev is mounted
    operations.append(op.sync(SYNC_RUNTIME_HOOKS))  # runtime-spec: after the mounts, before the root changes
    operations += create_container_hooks(config, environment)
    operations += change_root(config)
    if process is not None:
        operations += find_user(process)
    operations += _inside(config)
    operations += attributes(config)
    filter = seccomp(config, environment)
    if process is not None:
        operations += surroundings(process, config.init_env)
        operations += limits(config)
        operations.append(op.close_fds(environment.keep))  # what is opened later closes by itself
        if config.no_new_privileges:
            operations += credentials(config, process, environment, [])
        else:
            operations += credentials(config, process, environment, filter)
            filter = []
        operations.append(op.find(process.args[0]))  # with the program's PATH, directory and user
    operations += start(config, environment, filter)
    return Plan(operations)


def _inside(config: Config) -> list[Operation]:
    """The container's file system and kernel settings, after the root has changed."""
    process = config.process
    own_dev = has_own_dev(config)
    operations = []
    if own_dev:
        operations.append(op.null_stdio())
    if process is not None:
        operations.append(op.mkdir(process.cwd))  # before the root becomes read-only
        if process.terminal:
            mounted = 1 if config.private("mnt") else 0
            width, height = process.console_width, process.console_height
            operations.append(op.console(width, height, uid_of(process), mounted))
    operations += read_only_later(config)
    umask = process.umask if process is not None else None
    if umask is not None:  # else the caller's stays (config.md#posix-platform-user)
        operations.append(op.umask(umask))
    if config.hostname:
        operations.append(op.hostname(config.hostname))
    if config.domainname:
        operations.append(op.domainname(config.domainname))
    operations += program_labels(config)
    # Before the read-only paths, of which /proc/sys is the usual one.
    operations += [op.sysctl(key_path(key), value) for key, value in config.sysctl.items()]
    operations += hide_paths(config)
    return operations
