"""A Vagrant environment with one machine: a directory of its own, the Vagrantfile's parameters, the way in by ssh."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping

from seatrial.vm import cache, programs
from seatrial.vm.errors import BootError, Diagnosis, InfrastructureError, MachineError
from seatrial.vm.qemu.machine import PANIC
from seatrial.vm.vagrant import command

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("Vagrantfile", "cgroup-mode.sh")
PREFIX = "/tmp/seatrial-vagrant-"
HOST = "default"  # what Vagrant calls the only machine of an environment
CONSOLE_LINES = 40
PASSED_ON = ("SEATRIAL_BOX_VERSION", "SEATRIAL_BOOT_TIMEOUT")  # parameters that no blueprint has
LOG_TIMEOUT = 60.0  # seconds
ID_LENGTH = 7  # of what `vagrant global-status` shows of it
BOOT_TIMEOUT = 900.0  # seconds; 20 to 30 are usual under software emulation


class Environment:
    """`parameters` are those of the Vagrantfile without SEATRIAL_, in small letters: `box`, `cgroup`, `memory` ..."""

    def __init__(self, provider: str, parameters: Mapping[str, str]) -> None:
        self.provider = provider
        self.directory = tempfile.mkdtemp(prefix=os.path.basename(PREFIX), dir=os.path.dirname(PREFIX))
        os.chmod(self.directory, 0o711)  # the user that QEMU runs as writes the console log
        cache.mark(self.directory)
        for name in FILES:
            shutil.copyfile(os.path.join(HERE, name), os.path.join(self.directory, name))
        self.parameters = dict(parameters)
        self.console_start = 0
        if provider == "libvirt":
            self.parameters["console"] = os.path.join(self.directory, "console")

    @property
    def created(self) -> bool:
        """Whether Vagrant knows of a machine here."""
        return bool(glob.glob(os.path.join(self.directory, ".vagrant/machines/*/*/id")))

    def vagrant(self, *arguments: str, watch: Callable[[], str | None] | None = None) -> command.Answer:
        """Run vagrant here; errors as of command.run()."""
        return command.run(arguments, cwd=self.directory, env=self._environment(), watch=watch)

    def up(self) -> None:
        """Create the machine and wait until it answers by ssh; BootError when it does not, at the latest after
        BOOT_TIMEOUT seconds (vagrant-libvirt looks for an address long after a panic)."""
        end = time.monotonic() + BOOT_TIMEOUT

        def hopeless() -> str | None:
            panics = PANIC.findall(self.console())
            late = f"no answer within {BOOT_TIMEOUT:g} s" if time.monotonic() > end and self.created else None
            return panics[0].strip() if panics else late

        try:
            self.vagrant("up", "--provider", self.provider, "--no-provision", watch=hopeless)
        except BootError as error:
            raise BootError("the machine does not come up", self.diagnosis(error.diagnosis.verdict)) from error

    def provision(self, **parameters: str) -> None:
        """Run the provisioners, with further parameters."""
        self.parameters.update(parameters)
        self.vagrant("provision")

    def ssh_config(self) -> str:
        """The path of a configuration for ssh, in which the machine's name is `default`; all connections go through
        one.  It is made once: a machine keeps its address."""
        path = os.path.join(self.directory, "ssh_config")
        if os.path.exists(path):
            return path
        text = self.vagrant("ssh-config").fields("ssh-config")
        if not text:
            raise InfrastructureError("vagrant ssh-config: no configuration in its answer")
        with open(path, "w", encoding="utf-8") as file:
            # Vagrant says FATAL, with which ssh keeps to itself why it ended.
            file.write(text[0][0].rstrip().replace("LogLevel FATAL", "LogLevel ERROR") + "\n")
            file.write("  Compression yes\n")  # to decipher costs a machine under software emulation more
            file.write("  ServerAliveInterval 15\n  ServerAliveCountMax 8\n")  # a machine that hangs is lost then
            file.write(f"  ControlMaster auto\n  ControlPath {self.directory}/ssh\n  ControlPersist yes\n")
        return path

    def index_id(self) -> str:
        """The machine's id in Vagrant's index: what `vagrant global-status` shows and every command takes as a name.
        FileNotFoundError where there is no machine."""
        with open(os.path.join(self.directory, ".vagrant/machines", HOST, self.provider, "index_uuid")) as file:
            return file.read().strip()[:ID_LENGTH]

    def log(self) -> str:
        """The kernel's and the system's log by a connection of its own; empty where nobody answers."""
        config = os.path.join(self.directory, "ssh_config")
        if not os.path.exists(config):
            return ""
        argv = [programs.find("ssh"), "-F", config, "-o", "ControlPath=none", "-o", "LogLevel=QUIET", HOST]
        argv.append("sudo -n dmesg; sudo -n journalctl -b -n 20 --no-pager -q")
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOG_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""

    def hang_up(self) -> None:
        """End the ssh connection that is kept."""
        path = os.path.join(self.directory, "ssh_config")
        if os.path.exists(os.path.join(self.directory, "ssh")):
            argv = [programs.find("ssh"), "-F", path, "-O", "exit", HOST]
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def forget_console(self) -> None:
        """Count what the console log has so far as another machine's: one that goes back to a snapshot has not said
        it."""
        with contextlib.suppress(OSError, KeyError):
            self.console_start = os.path.getsize(self.parameters["console"])

    def console(self) -> str:
        """The console log, as far as it can be read."""
        try:
            with open(self.parameters["console"], "rb") as file:
                file.seek(self.console_start)
                return file.read().decode("utf-8", "replace")
        except (OSError, KeyError):
            return ""

    def diagnosis(self, verdict: str, kernel_log: str = "") -> Diagnosis:
        """The verdict with the end of the console log, and of the kernel's log where there is one."""
        lines = self.console().splitlines()[-CONSOLE_LINES:]
        if kernel_log:
            lines += ["dmesg:", *kernel_log.splitlines()[-CONSOLE_LINES:]]
        return Diagnosis(verdict, "\n".join(lines))

    def destroy(self) -> None:
        """Destroy the machine, with its disk and its snapshots, and remove the directory.  A second call does
        nothing."""
        if not os.path.isdir(self.directory):
            return
        self.hang_up()
        if self.created:
            self.vagrant("destroy", "--force")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        others = {name: "" for name in os.environ if name.startswith("SEATRIAL_") and name not in PASSED_ON}
        given = {f"SEATRIAL_{name.upper()}": value for name, value in self.parameters.items()}
        return {**others, **given, "VAGRANT_CWD": self.directory}


def sweep() -> list[str]:
    """Destroy the machines that dead processes left; the directories that are gone."""
    removed = []
    for path in glob.glob(PREFIX + "*"):
        if not cache.alive(path):
            left = Environment.__new__(Environment)
            left.directory, left.parameters, left.console_start = path, {}, 0
            with contextlib.suppress(MachineError):
                left.destroy()
                removed.append(path)
    return removed
