"""Typed needs: what a case wants from the host or from the runtime before it can judge.

A need is a word, or a word with an argument: `kernel>=5.12`, `cap:SYS_RESOURCE`, `cgroup:memory`, `program:ip`,
`filesystem:overlay`, `command:exec`, `call:mount_setattr` (a row of mask/history.py), `criu>=4.0`, `criu:uffd-noncoop`
(`criu check --feature`).  An unknown word raises HarnessBug (a collection error, never a silent skip).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.mask.history import BY_NAME
from seatrial.conformance.mask.names import masked_by, oldest, resolve_all

if TYPE_CHECKING:
    from seatrial.conformance.driver.driver import Runtime

CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]  # by number, capabilities(7)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def effective_capabilities() -> int:
    """CapEff of this process as a bit set (proc_pid_status(5))."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", _read("/proc/self/status"), re.MULTILINE)
    return int(found.group(1), 16) if found else 0


def _root() -> str | None:
    if os.geteuid() != 0:
        return "the harness does not run as root"
    if _read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]:
        return "the harness runs as root of a user namespace only"
    return _capability("SYS_ADMIN")


def _capability(name: str) -> str | None:
    if effective_capabilities() >> CAPABILITIES.index(name) & 1:
        return None
    return f"the harness lacks CAP_{name}"


def _exists(path: str, reason: str) -> Callable[[], str | None]:
    return lambda: None if os.path.exists(path) else reason


def _cgroup1() -> str | None:
    mode = cgroups.read_view().mode
    return None if mode in ("v1", "hybrid") else f"the cgroup view is {mode}, not v1"


def _cgroup2() -> str | None:
    mode = cgroups.read_view().mode
    return None if mode == "v2" else f"the cgroup view is {mode}, not v2"


def _ids() -> str | None:
    if os.geteuid() == 0:
        return None
    from seatrial.conformance.airlock import ids

    reason = ids.lacking()
    return f"only the own ids can be mapped: {reason}" if reason else None


def _controller(name: str) -> str | None:
    if os.geteuid() != 0:
        return "an ordinary user's container has no place of its own in the hierarchy"
    view = cgroups.read_view()
    return None if name in view.controllers() else f"no {name} controller in the {view.mode} cgroup view"


def _userns() -> str | None:
    if not os.path.exists("/proc/self/ns/user"):
        return "the kernel has no user namespaces"
    if _read("/proc/sys/user/max_user_namespaces").strip() == "0":
        return "user.max_user_namespaces is 0"
    return None


def _tty() -> str | None:
    try:
        pair = os.openpty()
    except OSError as error:
        return f"no pseudo-terminal: {error.strerror}"
    for number in pair:
        os.close(number)
    return None


def _swap() -> str | None:
    if len(_read("/proc/swaps").splitlines()) > 1:
        return None
    return "the host has no swap"


def _apparmor() -> str | None:
    return None if _read("/sys/module/apparmor/parameters/enabled").strip() == "Y" else "AppArmor is not enabled"


def _rdt() -> str | None:
    return None if os.path.exists("/sys/fs/resctrl/schemata") else "resctrl is not mounted"


def _hugetlb() -> str | None:
    if not os.path.isdir("/sys/kernel/mm/hugepages") or not os.listdir("/sys/kernel/mm/hugepages"):
        return "the kernel has no huge pages"
    return _controller("hugetlb")


def _blkdev() -> str | None:
    return _exists("/dev/loop-control", "no loop devices")() or _controller("blkio" if _cgroup1() is None else "io")


def _rdma() -> str | None:
    if not os.path.isdir("/sys/class/infiniband") or not os.listdir("/sys/class/infiniband"):
        return "no RDMA device"
    return _controller("rdma")


def _criu() -> str | None:
    from seatrial.conformance.driver import criu

    return _root() or _hidden_hierarchies() or criu.unusable()


def _hidden_hierarchies() -> str | None:
    """CRIU dumps a container's cgroups in every hierarchy that the kernel has.  In those that a v2 view hides, the
    container is where we are, so that it would take all that is below us for the container's."""
    hidden = [line for line in _read("/proc/self/cgroup").splitlines() if not line.startswith("0::")]
    return "the cgroup view hides hierarchies of v1" if cgroups.read_view().mode == "v2" and hidden else None


def _criu_version(wanted: str) -> str | None:
    from seatrial.conformance.driver import criu

    found = criu.version()
    if found is None:
        return "no criu program"
    return None if found >= tuple(map(int, wanted.split("."))) else f"{criu.name()} is older than {wanted}"


def _criu_feature(name: str) -> str | None:
    from seatrial.conformance.driver import criu

    return criu.lacks(name)


def _smp() -> str | None:
    return None if len(os.sched_getaffinity(0)) >= 2 else "only one CPU"


def _systemd() -> str | None:
    return (
        None
        if os.path.isdir("/run/systemd/system") and _read("/proc/1/comm").strip() == "systemd"
        else "systemd is not the init process"
    )


def _veth() -> str | None:
    """Pairs of virtual devices, tried in a namespace of its own: the driver may be a module."""
    for program in ("ip", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"no program {program}"
    command = ["unshare", "--net", "ip", "link", "add", "type", "veth"]
    done = subprocess.run(command, capture_output=True, text=True)
    return f"no virtual network devices: {done.stderr.strip()}" if done.returncode else None


def _always() -> str | None:
    return None


HOST: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "cgroup1": _cgroup1,
    "cgroup2": _cgroup2,
    "userns": _userns,
    "ids": _ids,
    "seccomp": _exists("/proc/sys/kernel/seccomp/actions_avail", "the kernel has no seccomp filters"),
    "criu": _criu,
    "tty": _tty,
    "time-ns": _exists("/proc/self/ns/time", "the kernel has no time namespaces"),
    "hooks": _always,  # hooks are part of the spec: every runtime must run them
    "net": lambda: _capability("NET_ADMIN"),
    "veth": _veth,
    "selinux": _exists("/sys/fs/selinux/enforce", "SELinux is not enabled"),
    "apparmor": _apparmor,
    "rdt": _rdt,
    "hugetlb": _hugetlb,
    "numa": _exists("/sys/devices/system/node/node0", "the kernel has no NUMA support"),
    "blkdev": _blkdev,
    "systemd": _systemd,
    "rdma": _rdma,
    "smp": _smp,
    "swap": _swap,
}
COMMANDS = {"features": "features", "exec": "exec"}  # commands outside the spec, asked of the runtime itself
PREFIXES = ("kernel>=", "cap:", "cgroup:", "program:", "filesystem:", "command:", "call:", "criu>=", "criu:")
CALLS = {"time-ns": "unshare-time"}  # needs of the host that a mask can take away, and the row of mask/history.py


def kernel_version(release: str) -> tuple[int, int]:
    """(major, minor) of a kernel release such as `6.1.0-49-amd64`; HarnessBug when it has none."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if not found:
        raise HarnessBug(f"no kernel version in {release!r}")
    return int(found.group(1)), int(found.group(2))


def check_word(word: str) -> None:
    """HarnessBug unless `word` is a need that unmet() can answer."""
    if word in HOST or word in COMMANDS:
        return
    if word.startswith("kernel>=") and re.fullmatch(r"kernel>=\d+\.\d+", word):
        return
    if re.fullmatch(r"criu>=\d+\.\d+|criu:[a-z_-]+", word):
        return
    if word.startswith("cap:") and word[4:] in CAPABILITIES:
        return
    if word.startswith("cgroup:") and (word[7:] in cgroups.V1_WORDS or word[7:] == "io"):
        return
    if word.startswith("call:") and word[5:] in BY_NAME:
        return
    if word.startswith(("program:", "filesystem:", "command:")) and re.fullmatch(r"[\w.+-]+", word.partition(":")[2]):
        return
    raise HarnessBug(f"unknown need {word!r}")


def unmet(word: str, runtime: Runtime | None = None) -> str | None:
    """Why the need is not met, or None when it is.  Answers about the host are remembered for the life of the
    process."""
    command = COMMANDS.get(word) or (word[8:] if word.startswith("command:") else None)
    if command is not None:
        if runtime is None or runtime.offers(command):
            return None
        return f"the runtime has no {command} command"
    return _hidden(word, runtime.masks if runtime is not None else ()) or _host(word)


def _hidden(word: str, masks: tuple[str, ...]) -> str | None:
    """Why masks leave a need unmet: they make the kernel older, or take a feature of it away."""
    if not masks:
        return None
    resolved = resolve_all(masks)
    kernel = oldest(resolved)
    if word.startswith("kernel>=") and kernel is not None and (kernel.version or ()) < kernel_version(word[8:]):
        return f"the mask {kernel.name} is a kernel older than {word[8:]}"
    row = word[5:] if word.startswith("call:") else CALLS.get(word)
    hidden_by = masked_by(resolved, row) if row else None
    if hidden_by:
        return f"the mask {hidden_by} hides {row}"
    if word == "ids" and os.geteuid() != 0:
        return "a mask takes away newuidmap's privilege (no_new_privs)"
    return None


@cache
def _host(word: str) -> str | None:
    check_word(word)
    if word in HOST:
        return HOST[word]()
    if word.startswith("criu>="):
        return _criu_version(word[6:])
    if word.startswith("criu:"):
        return _criu_feature(word[5:])
    prefix, argument = (word[:8], word[8:]) if word.startswith("kernel>=") else word.split(":", 1)
    if prefix == "call":
        major, minor = BY_NAME[argument].kernel
        return _host(f"kernel>={major}.{minor}")
    if prefix == "kernel>=":
        release = os.uname().release
        return (
            None
            if kernel_version(release) >= kernel_version(argument)
            else f"kernel {release} is older than {argument}"
        )
    if prefix == "cap":
        return _capability(argument)
    if prefix == "cgroup":
        return _controller(argument)
    if prefix == "program":
        return None if shutil.which(argument) else f"no program {argument}"
    names = {line.split()[-1] for line in _read("/proc/filesystems").splitlines()}
    return None if argument in names else f"the kernel has no file system {argument}"
