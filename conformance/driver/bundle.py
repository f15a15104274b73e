"""Bundles: a directory with config.json and a small rootfs whose only program is the probe."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
from typing import Any

from seatrial.conformance.driver import defaults
from seatrial.conformance.errors import HarnessBug

PROBE = "/probe"
DIRECTORIES = ("proc", "sys", "dev", "tmp", "etc", "run", "var", "var/tmp", "mnt", "home", "root")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/probe\ndaemon:x:1:1::/:/probe\nuser:x:1000:1000::/home:/probe\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nuser:x:1000:\n",
}
HOOK_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def probe_program() -> str:
    """Path of the static probe; HarnessBug when it has not been built."""
    tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    here = os.path.join(tree, "native", "bin", "seatrial-probe")
    try:
        from seatrial.native import programs

        path = programs.path("probe")
    except ImportError:
        path = here
    if not os.access(path, os.X_OK):
        raise HarnessBug(f"the probe is not built: {path}")
    return path


class Workshop:
    """Makes bundles below one directory (of this worker) and removes them.  The rootfs files are hard links to a copy
    of the probe made once, so a container that damages /probe damages this worker's copy only."""

    def __init__(self, directory: str, prefix: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self._numbers = itertools.count(1)
        self._probe = os.path.join(directory, "probe")
        os.makedirs(directory, mode=0o755, exist_ok=True)
        shutil.copyfile(probe_program(), self._probe)
        os.chmod(self._probe, 0o755)

    def name(self) -> str:
        """A container id that nobody else on this host uses."""
        return f"{self.prefix}-{next(self._numbers)}"

    def bundle(self) -> Bundle:
        """A new bundle with the default config; config.json is written by Bundle.write(), which the driver calls."""
        name = self.name()
        path = os.path.join(self.directory, name)
        rootfs = os.path.join(path, "rootfs")
        os.makedirs(rootfs, mode=0o755)
        for directory in DIRECTORIES:
            os.mkdir(os.path.join(rootfs, directory), 0o755)
        os.chmod(os.path.join(rootfs, "tmp"), 0o1777)
        for relative, text in FILES.items():
            with open(os.path.join(rootfs, relative), "w", encoding="utf-8") as file:
                file.write(text)
        os.link(self._probe, rootfs + PROBE)
        return Bundle(path, name, self._probe)

    def remove(self, bundle: Bundle) -> None:
        """Remove a bundle's directory."""
        shutil.rmtree(bundle.path, ignore_errors=True)


class Bundle:
    """One bundle.  Change `config` (a plain dict) freely: the driver writes config.json just before it uses the
    bundle."""

    def __init__(self, path: str, name: str, hook_program: str) -> None:
        self.path = path
        self.name = name  # also the default container id, and the last component of cgroupsPath
        self.rootfs = os.path.join(path, "rootfs")
        self.hook_program = hook_program  # the probe, by a host path: what hooks run
        self.config: dict[str, Any] = defaults.config(f"/{name}")
        self.raw: str | bytes | None = None
        self.frozen = False
        self._spots = itertools.count(1)

    def write(self) -> str:
        """Write config.json (from `raw` where it is set, else from `config`) and return its path.  A bundle whose
        `frozen` is true is left as it is: for cases that write, rename or remove config.json themselves."""
        path = os.path.join(self.path, "config.json")
        if self.frozen:
            return path
        data = self.raw if self.raw is not None else json.dumps(self.config, indent=1)
        with open(path, "wb") as file:
            file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
        return path

    def cgroups_path(self) -> str | None:
        """linux.cgroupsPath, if the config (still) has one."""
        linux = self.config.get("linux")
        path = linux.get("cgroupsPath") if isinstance(linux, dict) else None
        return path if isinstance(path, str) else None

    def fingerprint(self) -> str | None:
        """Equal for bundles that differ in their names alone: the config and the kind, mode, size and owner of every
        file.  None where config.json is not written from `config`."""
        if self.frozen or self.raw is not None:
            return None
        words = [json.dumps(self.config, sort_keys=True)]
        for directory, directories, files in os.walk(self.path):
            directories.sort()
            for name in sorted([*directories, *files]):
                path = os.path.join(directory, name)
                if name != "config.json" or directory != self.path:
                    status = os.lstat(path)
                    words.append(f"{path} {status.st_mode:o} {status.st_size} {status.st_uid} {status.st_gid}")
        return re.sub(rf"(?<!\w){re.escape(self.name)}(?!\w)", "NAME", "\n".join(words))

    # -- process ------------------------------------------------------------------------------------------------------

    @property
    def process(self) -> dict[str, Any]:
        """config["process"]."""
        process: dict[str, Any] = self.config["process"]
        return process

    @property
    def linux(self) -> dict[str, Any]:
        """config["linux"]."""
        linux: dict[str, Any] = self.config["linux"]
        return linux

    def args(self, *words: str) -> Bundle:
        """Set process.args."""
        self.process["args"] = list(words)
        return self

    def probe(self, verbs: str = "", *, report: bool = True) -> Bundle:
        """Run the probe with these verbs, `--` between them: `bundle.probe("read /x -- write /y z")`.  Words are
        split as a shell would; a report comes first unless `report` is false."""
        words = shlex.split(verbs)
        first = ["report"] if report else []
        return self.args(PROBE, *first, *(["--"] if first and words else []), *words)

    def capabilities(self, *names: str) -> Bundle:
        """Put the same capabilities (`CAP_...`) into all five sets."""
        self.process["capabilities"] = {
            kind: list(names) for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")
        }
        return self

    # -- mounts and namespaces ----------------------------------------------------------------------------------------

    def mount(self, destination: str, type: str | None = None, source: str | None = None, *options: str) -> Bundle:
        """Append a mount."""
        entry: dict[str, Any] = {"destination": destination}
        if type is not None:
            entry["type"] = type
        if source is not None:
            entry["source"] = source
        if options:
            entry["options"] = list(options)
        self.config["mounts"].append(entry)
        return self

    def without_mount(self, destination: str) -> Bundle:
        """Remove the mounts on a destination; HarnessBug when there is none."""
        kept = [entry for entry in self.config["mounts"] if entry["destination"] != destination]
        if len(kept) == len(self.config["mounts"]):
            raise HarnessBug(f"the config mounts nothing on {destination}")
        self.config["mounts"] = kept
        return self

    def namespace(self, type: str, path: str | None = None) -> Bundle:
        """Ask for a new namespace of a type, or to join the one at `path`; an entry of that type is replaced."""
        entry = {"type": type} if path is None else {"type": type, "path": path}
        kept = [other for other in self.linux["namespaces"] if other["type"] != type]
        self.linux["namespaces"] = [*kept, entry]
        return self

    def without_namespace(self, *types: str) -> Bundle:
        """Share these namespaces with the runtime."""
        self.linux["namespaces"] = [entry for entry in self.linux["namespaces"] if entry["type"] not in types]
        return self

    def user_namespace(self, host_id: int = 100000, size: int = 65536) -> Bundle:
        """A new user namespace where 0..size-1 are host_id.. outside; the rootfs is given to its root.  Bundles lie
        below world-searchable directories, so that the mapped root reaches its rootfs.

        Not for an ordinary user: the default config has a user namespace already, with what can be mapped."""
        if os.geteuid() != 0:
            return self
        self.namespace("user")
        mapping = [{"containerID": 0, "hostID": host_id, "size": size}]
        self.linux["uidMappings"] = mapping
        self.linux["gidMappings"] = [dict(entry) for entry in mapping]
        for directory, _, files in os.walk(self.rootfs):
            os.lchown(directory, host_id, host_id)
            for name in files:
                if os.path.join(directory, name) != self.rootfs + PROBE:  # a hard link: shared by all bundles
                    os.lchown(os.path.join(directory, name), host_id, host_id)
        return self

    # -- hooks and files ----------------------------------------------------------------------------------------------

    def hook(
        self, kind: str, *args: str, path: str | None = None, env: list[str] | None = None, timeout: int | None = None
    ) -> Bundle:
        """Append a hook.  `args` are the probe's verbs and arguments (argv[0] is added); `path` is another program:
        then args is
        the complete argv.  startContainer hooks run inside the container, where the probe is /probe."""
        if kind not in HOOK_KINDS:
            raise HarnessBug(f"unknown hook kind {kind!r}")
        program = path or (PROBE if kind == "startContainer" else self.hook_program)
        entry: dict[str, Any] = {"path": program}
        if args:
            # The probe reads the state first, whatever it does then: a runtime that dies of a hook which leaves its
            # standard input alone has a case of its own.
            drain = () if path or args[0] == "state-to" else ("read-fd", "0", "--")
            entry["args"] = list(args) if path else [program, *drain, *args]
        if env is not None:
            entry["env"] = env
        if timeout is not None:
            entry["timeout"] = timeout
        self.config.setdefault("hooks", {}).setdefault(kind, []).append(entry)
        return self

    def file(self, relative: str, text: str | bytes = "", mode: int = 0o644) -> str:
        """Write a file in the rootfs (parents are made) with exact mode and return its host path."""
        path = os.path.join(self.rootfs, relative.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        os.chmod(path, mode)
        return path

    def directory(self, relative: str, mode: int = 0o755) -> str:
        """Make a directory in the rootfs and return its host path."""
        path = os.path.join(self.rootfs, relative.lstrip("/"))
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        return path

    def symlink(self, text: str, relative: str) -> str:
        """Make a symlink in the rootfs and return its host path."""
        path = os.path.join(self.rootfs, relative.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(text, path)
        return path

    def spot(self) -> str:
        """Make a directory in the rootfs that no other call gets, and return its path in the container."""
        path = f"/spot/{next(self._spots)}"
        self.directory(path)
        return path

    def outside(self, relative: str) -> str:
        """A host path inside the bundle, outside the rootfs: for hook output, bind sources, sockets."""
        return os.path.join(self.path, relative)
