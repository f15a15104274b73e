"""Stand-ins for the programs of a Vagrant machine: `vagrant` plays a script of answers and writes down how it was
called; `ssh` runs the agent here, which leaves the clock and the name of this host alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

VAGRANT = """#!{python}
import json, os, signal, sys, time
room = {room!r}
arguments = [word for word in sys.argv[1:] if word != "--machine-readable"]
parameters = {{name: value for name, value in os.environ.items() if name.startswith("SEATRIAL_") and value}}
with open(room + "/calls", "a") as file:
    file.write(json.dumps([arguments, parameters]) + "\\n")
with open(room + "/answers.json") as file:
    answers = json.load(file)
keys = (" ".join(arguments), " ".join(arguments[:2]), arguments[0])
answer = next((answers[key] for key in keys if key in answers), {{}})
machine = ".vagrant/machines/default/libvirt"
if arguments[0] == "up" and not answer.get("nothing"):
    os.makedirs(machine, exist_ok=True)
    open(machine + "/id", "w").close()
    if "console" in answer:
        with open(os.environ["SEATRIAL_CONSOLE"], "w") as file:
            file.write(answer["console"])
if "seconds" in answer:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))  # as vagrant does, it cleans up
    time.sleep(answer["seconds"])
for line in answer.get("lines", ()):
    escaped = [field.replace(",", "%!(VAGRANT_COMMA)").replace("\\n", "\\\\n") for field in line]
    print(",".join(["1700000000", *escaped]))
sys.exit(answer.get("status", 0))
"""
SSH = """#!{python}
import shlex, sys
if "-O" in sys.argv:
    sys.exit(0)
command = shlex.split(sys.argv[-1])
with open({room!r} + "/connections", "a+b") as file:
    file.write(b"x")
    if {complaint!r} and file.tell() <= {times}:
        print({complaint!r}, file=sys.stderr)
        sys.exit(255)
assert command[:6] == ["sudo", "-n", "-H", "python3", "-I", "-S"], command
starter = command[-1].replace("names['serve']()", "names['Agent'].greet = lambda *_: None; names['serve']()")
exec(starter)
"""
SSH_CONFIG = "Host default\n  HostName 192.0.2.1\n  User vagrant\n  LogLevel FATAL\n"


class Programs:
    """A directory for PATH.  `answers` are by command (`up`, `box list`, `snapshot save`): lines, status, console."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.bin = room / "bin"
        self.bin.mkdir()
        self.answers: dict[str, dict[str, Any]] = {"ssh-config": {"lines": [["default", "ssh-config", SSH_CONFIG]]}}
        self._install("vagrant", VAGRANT.format(python=sys.executable, room=str(room)))
        self.ssh()
        self.write()

    def ssh(self, complaint: str = "", times: int = 1000) -> None:
        """Have ssh run the agent; before that, so many times, say something and fail."""
        (self.room / "connections").unlink(missing_ok=True)
        text = SSH.format(python=sys.executable, complaint=complaint, times=times, room=str(self.room))
        self._install("ssh", text)

    def write(self) -> None:
        """Make changed answers known."""
        (self.room / "answers.json").write_text(json.dumps(self.answers))

    def fail(self, command: str, kind: str, message: str, **more: Any) -> None:
        """Have a command end as vagrant does after an error of that class."""
        self.answers[command] = {"status": 1, "lines": [["", "error-exit", kind, message]], **more}
        self.write()

    def calls(self) -> list[str]:
        """The command lines so far."""
        return [" ".join(arguments) for arguments, _ in self._called()]

    def parameters(self, command: str) -> dict[str, str]:
        """The parameters of the Vagrantfile at the last call of a command."""
        return [given for arguments, given in self._called() if arguments[0] == command][-1]

    def _called(self) -> list[tuple[list[str], dict[str, str]]]:
        path = self.room / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _install(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)
