"""`restore`: an image becomes a container's processes again.

The order is `creation`'s as far as it goes: cgroup, a first process in it (CRIU, from which the container's processes
inherit it), limits, prestart and createRuntime hooks when the namespaces are there, record of the state.
"""

from __future__ import annotations

import os

from seatrial.runtime.cgroup.place import of_container
from seatrial.runtime.config import NAMESPACE_FLAGS, Config, Hooks, Namespace
from seatrial.runtime.creation import NAMESPACE_KEYS
from seatrial.runtime.criu import messages
from seatrial.runtime.criu.compare import compare
from seatrial.runtime.criu.image import Directory, Record, open_image
from seatrial.runtime.criu.inherit import (
    Descriptors,
    cgroup_roots,
    inherited_namespaces,
    inherited_streams,
    namespaces_to_join,
    veth_pairs,
)
from seatrial.runtime.criu.mounts import cgroup_binds, key_of, sources, usual_keys
from seatrial.runtime.criu.options import common, leaves_network, log_path, network_lock
from seatrial.runtime.criu.report import failure
from seatrial.runtime.criu.root import NAME, bind_root, in_new_mounts
from seatrial.runtime.criu.service import Service, check_features, check_version
from seatrial.runtime.errors import CriuError, StateError, SyscallError, UsageError
from seatrial.runtime.state import CREATING, now, process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from seatrial.runtime.cgroup.cgroup import Cgroup
    from seatrial.runtime.checkpoint import CriuOptions
    from seatrial.runtime.creation_network import ContainerNetwork
    from seatrial.runtime.log import Log
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.process import Process
    from seatrial.runtime.resctrl import Group
    from seatrial.runtime.state import State, StateDirectory
else:
    import _signal

LOG = "restore.log"


class Restoration:
    """One attempt to restore a container.  `perform`, and after a failure `undo`."""

    def __init__(
        self,
        directory: StateDirectory,
        state: State,
        config: Config,
        process: Process,
        options: CriuOptions,
        log: Log,
    ) -> None:
        self.directory = directory
        self.state = state
        self.config = config
        self.process = process
        self.options = options
        self.log = log
        self.cgroup: Cgroup = of_container(state, tolerant=config.rootless_cgroups and not config.cgroups.path)
        self.network: ContainerNetwork | None = None
        self.rdt: Group | None = None
        self.service: Service | None = None
        self.descriptors = Descriptors()
        self.console = -1
        self.began = False  # something of the container has been made
        self.pid = 0
        self.pid_file_written = False

    def perform(self) -> None:
        """Everything.  Raises CriuError, ConfigError (the image is of another config), HookError, SyscallError."""
        options = self.options
        chosen = common(options, self.config)
        if not options.images_directory:
            raise UsageError("no directory with images is given")
        images = open_image(options.images_directory)
        work: Directory | None = None
        try:
            version = check_version(options.criu, self.log)
            if lock := network_lock(options, version, os.environ.get("PATH", "")):
                chosen["network_lock"] = lock
            if leaves_network(options, self.config, version):
                chosen["empty_ns"] &= ~NAMESPACE_FLAGS["net"]
            if options.lazy_pages:
                check_features(options.criu, ("lazy_pages",))
            keys = self._check(images, chosen)
            if options.work_directory:
                work = Directory(options.work_directory, make=True)
            self._restore(images, work, keys, chosen)
        finally:
            images.close()
            if work is not None:
                work.close()
            self.descriptors.close()
            self.process.close_child_ends()

    def _check(self, images: Directory, chosen: dict[str, Any]) -> list[str] | None:
        """Compare the config with the image's; the keys of its external mounts, None where nobody knows."""
        if not self.config.is_new("mnt"):
            raise CriuError("a container without a mount namespace of its own cannot be restored")
        record = Record.load(images)
        if record is None:
            self.log.warning(f"{images.path} is of another runtime: whether config.json fits it is not checked")
            return None
        from seatrial.runtime.criu.programs import check

        image = Config.from_json(record.config)
        self._keep_notify_socket(image)
        compare(
            image,
            self.config,
            self.log.warning,
            profile_given=bool(self.options.lsm_profile),
            context_given=bool(self.options.lsm_mount_context),
        )
        places = [key_of(mount.destination) for mount in self.config.mounts]
        check(record.programs, self.config.rootfs, places)
        if not (record.cgroups or self.options.manage_cgroups_mode):
            # CRIU has noted where the processes were all the same, and would put them there.
            chosen["manage_cgroups_mode"] = messages.CGROUP_MODES["ignore"]
        return record.mounts

    def _keep_notify_socket(self, image: Config) -> None:
        """Where the program was given a socket for readiness, it keeps the mount, though nobody listens any more."""
        from seatrial.runtime.readiness import INSIDE, add_to_config, make_directory

        if any(mount.destination == INSIDE for mount in image.mounts) and not any(
            mount.destination == INSIDE for mount in self.config.mounts
        ):
            root, id = self.directory.root, self.state.id
            add_to_config(self.config, root, id)
            make_directory(root, id)
            self.state.config = self.config.to_json()

    def _restore(
        self, images: Directory, work: Directory | None, keys: list[str] | None, chosen: dict[str, Any]
    ) -> None:
        options, process = self.options, self.process
        log = log_path(options, LOG)
        if process.console_socket:
            from seatrial.runtime.peer import connect

            self.console = self.descriptors.keep(connect("console socket", process.console_socket))
        chosen |= {
            "log_file": LOG,
            "rst_sibling": True,
            "evasive_devices": True,
            "root": os.path.join(self.directory.path, NAME),
            "tcp_close": options.tcp_close,
            "external": veth_pairs(self.config, options),
            "join_ns": namespaces_to_join(self.config),
        }
        for name, value in (("lsm_profile", options.lsm_profile), ("lsm_mount_context", options.lsm_mount_context)):
            if value:
                chosen[name] = value
        chosen["inherit_fd"] = [
            *inherited_namespaces(self.config, self.descriptors),
            *inherited_streams(images, process, self.descriptors),
        ]
        if options.manage_cgroups_mode == "strict":
            # CRIU would refuse the cgroup that we are about to make: what it would look for is looked for here.
            for path in filter(os.path.isdir, self.cgroup.directories()):
                raise StateError(f"the cgroup {path} exists already", "mode strict makes every cgroup anew")
            chosen["manage_cgroups_mode"] = messages.CGROUP_MODES["full"]
        self._make_cgroup()
        binds = cgroup_binds(self.config, self._environment())
        if keys is None:
            keys = [*usual_keys(self.config), *binds]
        found = sources(keys, self.config, binds)
        chosen["external"] += [f"mnt[{key}]:{source}" for key, source in found.items()]
        self._start(images, work, chosen)
        service = self.service
        assert service is not None
        self._place(service.pid)
        chosen["cg_root"] = cgroup_roots(service.pid, self.cgroup.paths)
        try:
            response = service.request(messages.RESTORE, chosen, notified=self._notified)
        except CriuError as error:
            raise failure(f"restore container {self.state.id}", None, log, f"{error}") from None
        service.end()
        if not response.success:
            raise failure(f"restore container {self.state.id}", response, log, service.shown())
        service.close()
        self._finish(response.pid)

    def _make_cgroup(self) -> None:
        self.cgroup.prepare(self.config, self.state.id)
        try:
            self.cgroup.create(self.config.cgroups.resources)
        except BaseException:
            self._disown_cgroup()
            raise
        self.began = True
        self.state.cgroup_paths = self.cgroup.paths
        if self.config.intel_rdt is not None:
            from seatrial.runtime import resctrl

            self.rdt = resctrl.Group(self.state.id, self.config.intel_rdt, resctrl.mount_point())
            self.rdt.create(self.state, self.directory)

    def _disown_cgroup(self) -> None:
        self.state.cgroup_paths = {}
        self.state.systemd_unit = ""

    def _environment(self) -> Environment:
        from seatrial.runtime.creation_cgroup import describe_cgroups
        from seatrial.runtime.plan.environment import Environment

        environment = Environment(id=self.state.id)
        describe_cgroups(environment, self.cgroup)
        return environment

    def _start(self, images: Directory, work: Directory | None, chosen: dict[str, Any]) -> None:
        """CRIU, in a mount namespace with the root."""
        root = os.path.join(self.directory.path, NAME)
        process = self.process
        try:
            os.mkdir(root, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise SyscallError.of("mkdir", root, error) from None

        def start() -> None:
            bind_root(self.config, root)
            # CRIU works in these directories and mounts there: they have to be of its own mount namespace.
            chosen["images_dir_fd"] = self.descriptors.keep(images.again())
            for line in self.config.gid_mappings:
                if line.container_id == 0:
                    images.open_to(line.host_id)
            if work is not None:
                chosen["work_dir_fd"] = self.descriptors.keep(work.again())
            # A shell job gets the terminal and the process group of the caller through CRIU.
            job = self.options.shell_job
            standard = (process.stdin, process.stdout, process.stderr) if job else None
            self.service = Service(self.options.criu, self.descriptors.passed, standard=standard, group=not job)

        in_new_mounts(start)

    def _place(self, pid: int) -> None:
        """CRIU enters the cgroup, from which the container's processes inherit it, and the limits are set.

        All but the number of processes: CRIU and the programs that it runs count, until it has ended.
        """
        try:
            self.cgroup.join(pid)
        except StateError:  # another one's scope of the same name
            self._disown_cgroup()
            raise
        if self.rdt is not None:
            from seatrial.runtime.resctrl import join

            join(self.state, pid)
        self.cgroup.apply(self.config.cgroups.resources.replace(pids_limit=None))

    def _limit_processes(self) -> None:
        resources = self.config.cgroups.resources
        if resources.pids_limit is not None:
            self.cgroup.apply(type(resources)(pids_limit=resources.pids_limit))
        if self.cgroup.version == 2 and self.config.uid_mappings:
            from seatrial.runtime.creation_cgroup import owner

            uid = owner(self.config)
            if uid is not None:
                self.cgroup.delegate(uid)

    def _notified(self, script: str, pid: int, fds: list[int]) -> None:
        self.log.debug(f"CRIU: {script}{f' ({pid})' if pid else ''}")
        if pid:
            self.pid = pid
        if script == "setup-namespaces":
            self._set_up(pid)
        elif script == "post-restore":
            self._record(pid)
        elif script == "orphan-pts-master" and fds:
            self._take_master(fds.pop(0))

    def _set_up(self, pid: int) -> None:
        """The namespaces are there and nothing is in them yet: network devices, then the hooks."""
        config = self.config
        if self.options.empty_namespaces & NAMESPACE_FLAGS["net"] and config.is_new("net"):
            from seatrial.runtime.criu.loopback import bring_up

            bring_up(f"/proc/{pid}/ns/net")
            if config.net_devices or config.networks:
                from seatrial.runtime.creation_network import ContainerNetwork

                self.network = ContainerNetwork(config, pid, self.log.warning)
                self.network.set_up(self.state, self.directory)
        if not (config.hooks.prestart or config.hooks.create_runtime):
            return
        from seatrial.runtime.hooks import run_hooks, state_document

        self._name_init(pid)
        self.directory.save(self.state)  # `state`, called by a hook, tells the pid
        document = state_document(config, self.state.id, CREATING, pid)
        run_hooks("prestart", config.hooks.prestart, document)
        run_hooks("createRuntime", config.hooks.create_runtime, document)

    def _take_master(self, master: int) -> None:
        """The terminal that the container had from its caller."""
        process = self.process
        if process.master >= 0:  # a second terminal, of some `exec`
            os.close(master)
            return
        process.master = master
        if self.console >= 0:
            from seatrial.runtime.console import hand_over

            hand_over(self.console, process, "")

    def _record(self, pid: int) -> None:
        """Every process is there, and none has run yet."""
        self._name_init(pid)
        state = self.state
        state.created = now()
        state.namespace_paths = {key: f"/proc/{pid}/ns/{type}" for type, key in NAMESPACE_KEYS.items()}
        state.external_descriptors = [
            _target(fd) for fd in (self.process.stdin, self.process.stdout, self.process.stderr)
        ]
        if not self.config.private("time") and _differs(pid, "time"):
            # CRIU restores the clocks by a time namespace, which `exec` has to join.
            self.config.namespaces.append(Namespace(type="time"))
            state.config = self.config.to_json()
        self._veths()
        state.ready = True
        self.directory.save(state)

    def _veths(self) -> None:
        """Pairs that CRIU made: to be removed with the container."""
        names = [pair.rpartition(":")[2].partition("@")[0] for pair in veth_pairs(self.config, self.options)]
        if names:
            from seatrial.runtime.network.route import Route

            with Route() as here:
                for name in names:
                    link = here.link(name)
                    if link is not None:
                        self.state.interfaces.append((name, link.index))

    def _name_init(self, pid: int) -> None:
        self.state.init_process_pid = pid
        stat = process_stat(pid)
        if stat is None:
            raise StateError(f"container {self.state.id} cannot be set up", "its init has just ended")
        self.state.init_process_start = stat[1]

    def _finish(self, pid: int) -> None:
        from seatrial.runtime.wait import open_pidfd

        process = self.process
        self.pid = 0  # from here on it is the Process's
        process.began(pid, open_pidfd(pid))
        self._limit_processes()
        try:
            os.rmdir(os.path.join(self.directory.path, NAME))
        except OSError as error:
            self.log.debug(f"rmdir {NAME}: {error.strerror}")
        if process.pid_file:
            from seatrial.runtime.pid_file import write_pid_file

            write_pid_file(process.pid_file, pid)
            self.pid_file_written = True
        if self.network is not None:
            self.network.settle()

    def undo(self) -> None:
        """Destroy what there is; poststop hooks run when anything has been made."""
        from seatrial.runtime.teardown import destroy, signal_all

        if self.service is not None:
            self.service.close()
        process = self.process
        if self.began and self.state.cgroup_paths:
            signal_all(self.state, _signal.SIGKILL)
        pid = self.pid or (process.pid if process.started else 0)
        if pid:
            try:
                os.kill(pid, _signal.SIGKILL)  # our child, not reaped: nobody else can have its pid
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        if process.master >= 0:
            os.close(process.master)
            process.master = -1
        if self.pid_file_written:
            try:
                os.unlink(process.pid_file)
            except OSError:
                pass
        if self.network is not None:
            self.network.give_back()
        if self.rdt is not None:
            self.rdt.discard()
        if not self.began:
            self._disown_cgroup()
        config = self.config if self.began else self.config.replace(hooks=Hooks())
        destroy(self.directory, self.state, self.log, config=config)


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def _differs(pid: int, type: str) -> bool:
    """Whether a process is in another namespace than this one; False where the kernel has none of the type."""
    try:
        return not os.path.samestat(os.stat(f"/proc/{pid}/ns/{type}"), os.stat(f"/proc/self/ns/{type}"))
    except OSError:
        return False
