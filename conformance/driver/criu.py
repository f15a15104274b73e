"""CRIU by itself: what it can do on this host, and workloads that it dumps and restores without any runtime.  criu(8).

That is the control of the cases about checkpoints: what CRIU alone cannot do here is no fault of a runtime.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache

from seatrial.conformance.driver.bundle import probe_program
from seatrial.conformance.driver.network import KeptNetwork
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.driver.workload import DIRECTORY, Answers
from seatrial.conformance.errors import EnvironmentProblem, Finding
from seatrial.native import syscall

KEY = "network"  # of a namespace that is no part of the images
SECONDS = 120.0  # for one invocation: a machine in software emulation takes 20
ALWAYS = ("-v4", "--manage-cgroups=ignore")  # the control is about processes: its cgroup is ours
NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--propagation=private")


@cache
def program() -> str | None:
    """The criu that the caller's PATH has, which runtimes are given too."""
    return shutil.which("criu")


def first_in_path(value: str) -> str:
    """A PATH in which runtimes find the same criu: its directory comes first, unless it would be found anyhow."""
    path = program()
    if path is None or shutil.which("criu", path=value) == path:
        return value
    return f"{os.path.dirname(path)}:{value}"


@cache
def version() -> tuple[int, ...] | None:
    """(major, minor[, patch]); None without a criu that tells."""
    path = program()
    if path is None:
        return None
    done = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = re.search(r"Version: (\d+(?:\.\d+)+)", done.stdout)
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def text() -> str | None:
    """`4.2.1`; None without a criu that tells."""
    numbers = version()
    return ".".join(map(str, numbers)) if numbers else None


def name() -> str:
    """`CRIU 4.2.1 on kernel 6.1.0`, for messages."""
    return f"CRIU {text() or '?'} on kernel {os.uname().release}"


@cache
def unusable() -> str | None:
    """Why CRIU cannot be used at all here; None when it dumps and restores a process that only waits."""
    path = program()
    if path is None:
        return "no criu program"
    if version() is None:
        return f"{path} does not tell its version"
    done = subprocess.run([path, "check"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return f"{name()}: criu check: {_last_line(done.stderr + done.stdout)}"
    reason = control(())
    return f"{name()} does not restore what it dumped: {reason}" if reason else None


@cache
def lacks(feature: str) -> str | None:
    """Why a feature that `criu check --feature` knows is missing; None when it is there."""
    path = program()
    if path is None:
        return "no criu program"
    command = [path, "check", "--feature", feature]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return None if done.returncode == 0 else f"{name()}: {_last_line(done.stderr + done.stdout)}"


def dumpable() -> dict[str, str]:
    """What a program needs in its environment to be dumped here, and CRIU itself, out of which it grows again: glibc
    registers for restartable sequences (rseq(2), since 2.35), and CRIU has to ask the kernel about that (since 3.17;
    PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13)."""
    return {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"} if lacks("get_rseq_conf") else {}


@cache
def control(
    kinds: tuple[str, ...], flags: tuple[str, ...] = (), *, compared: str = "", lasting: bool = False
) -> str | None:
    """Why plain CRIU cannot carry these kinds of workload over with these flags; None when it can.

    `compared` names what has to be the same besides the states of the kinds: a member of the report.  With `lasting`
    the network namespace is there before and after, and no part of the images.
    """
    if not shutil.which("unshare"):
        return "no program unshare"
    directory = tempfile.mkdtemp(prefix="seatrial-criu-")
    try:
        with (
            KeptNetwork("ip link set lo up") if lasting else contextlib.nullcontext() as network,
            Plain(directory, network.path if network else None) as plain,
        ):
            before = plain.start(kinds)
            plain.dump("images", *flags)
            after = plain.restore("images", *flags)
            for kind in kinds:
                if before.verb("workload", kind).value != after.verb("workload", kind).value:
                    return f"the state of {kind} is another afterwards"
            if compared and before[compared] != after[compared]:
                return f"{compared} is another afterwards"
    except (Finding, EnvironmentProblem) as error:
        return str(error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return None


class Plain:
    """A workload in namespaces of its own, made by unshare(1), that criu dumps and restores; `network` is the path of
    the network namespace that it joins instead.

    A context manager, which ends what runs.
    """

    def __init__(self, directory: str, network: str | None = None) -> None:
        self.directory = directory
        self.network = network
        self.root = os.path.join(directory, "root")
        self.answers = Answers(self.root + DIRECTORY)
        self.pid = 0  # of the workload, 0 while there is none
        self._parent: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def start(self, kinds: tuple[str, ...]) -> Report:
        """Set up the kinds; the first answer."""
        for name in ("proc", "tmp", "dev", DIRECTORY):
            os.makedirs(os.path.join(self.root, name.lstrip("/")))
        shutil.copyfile(probe_program(), self.root + "/probe")
        os.chmod(self.root + "/probe", 0o755)
        steps = [
            "syscall setsid",
            f"mount {self.root} {self.root} - bind",
            f"chdir {self.root}",
            "mount proc proc proc",
            "mount tmpfs dev tmpfs",
            "mkdir dev/pts",
            "mkdir dev/shm",
            "mount devpts dev/pts devpts - newinstance,ptmxmode=0666",
            "symlink pts/ptmx dev/ptmx",
            "mknod dev/null c 1 3 666",
            "syscall pivot_root str:. str:.",
            "umount . detach",
            f"syscall prctl {syscall.PR_SET_NO_NEW_PRIVS} 1 0 0 0",  # as most containers have it
            " ".join(["exec", "/probe", "workload", DIRECTORY, "loopback", *kinds]),
        ]
        words = " -- ".join(steps).split()
        with open(os.path.join(self.directory, "steps.log"), "wb") as log:
            where = ["nsenter", f"--net={self.network}", "unshare"] if self.network else ["unshare", "--net"]
            command = [*where, *NAMESPACES, "--fork", probe_program(), *words]
            env = os.environ | dumpable()
            self._parent = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        report = self.answers.take(SECONDS, lambda: self._parent is not None and self._parent.poll() is None)
        with open(f"/proc/{self._parent.pid}/task/{self._parent.pid}/children", encoding="ascii") as file:
            self.pid = int(file.read())
        return report

    def ask(self) -> Report:
        """One more answer."""
        os.kill(self.pid, signal.SIGUSR1)
        return self.answers.take(SECONDS, lambda: os.path.exists(f"/proc/{self.pid}/task"))

    def dump(self, images: str, *flags: str) -> None:
        """`criu dump`, after which the processes are gone; Finding when it fails."""
        outside = ["--external", f"net[{os.stat(self.network).st_ino}]:{KEY}"] if self.network else []
        self._criu("dump", images, "--tree", str(self.pid), *outside, *flags)
        assert self._parent is not None
        self._parent.wait(SECONDS)
        self.pid = 0

    def restore(self, images: str, *flags: str) -> Report:
        """`criu restore`, and one more answer; Finding when it fails."""
        path = os.path.join(self.directory, "pid")
        mounted = subprocess.run(["mount", "--bind", self.root, self.root], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise EnvironmentProblem(f"mount --bind {self.root}: {mounted.stderr.strip()}")
        network = os.open(self.network, os.O_RDONLY | os.O_CLOEXEC) if self.network else -1
        outside = ["--inherit-fd", f"fd[{network}]:{KEY}"] if self.network else []
        try:
            self._criu("restore", images, "--restore-detached", "--pidfile", path, *outside, *flags, passed=network)
        finally:
            subprocess.run(["umount", "--lazy", self.root], capture_output=True)
            if network >= 0:
                os.close(network)
        with open(path, encoding="ascii") as file:
            self.pid = int(file.read())
        return self.ask()

    def _criu(self, verb: str, images: str, *words: str, passed: int = -1) -> None:
        directory = os.path.join(self.directory, images)
        os.makedirs(directory, exist_ok=True)
        command = [program() or "criu", verb, "--images-dir", directory, "--log-file", f"{verb}.log", "--root"]
        command += [self.root, *ALWAYS, *words]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                env=os.environ | dumpable(),
                stdin=subprocess.DEVNULL,
                timeout=SECONDS,
                pass_fds=[passed] if passed >= 0 else [],
            )
        except subprocess.TimeoutExpired:
            raise Finding(f"criu {verb} is not finished after {SECONDS:g} s") from None
        if done.returncode != 0:
            raise Finding(f"criu {verb}: {why(os.path.join(directory, verb + '.log')) or _last_line(done.stderr)}")

    def end(self) -> None:
        """Kill what runs."""
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
        deadline = time.monotonic() + 5
        while self.pid and os.path.exists(f"/proc/{self.pid}/exe") and time.monotonic() < deadline:
            try:
                os.waitpid(self.pid, os.WNOHANG)  # ours, if we are a subreaper
            except ChildProcessError:
                pass
            time.sleep(0.01)


def why(log: str) -> str:
    """The first error in a log of criu's that is not about a limit it can do without; "" when there is none."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            errors = [line.strip() for line in file if "Error (" in line and "rlimit:" not in line]
    except OSError:
        return ""
    return re.sub(r"^\([\d.]+\)\s*", "", errors[0]) if errors else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
