"""Writes down what one invocation of the runtime exercises: its plans, its steps, its answers.

Each line of the log is a JSON array, written as soon as it is known, so that what a killed runtime had done is there:

    ["call", "hooks:run_hooks"]    ["plan", "init", [[name, [values]], ...]]
    ["answer", "state", "..."]     ["status", "state", 0]     ["file", "/sys/fs/cgroup/x/pids.max", "7"]
"""

from __future__ import annotations

import json
import os
import sys

from seatrial.conformance.sensitivity.mutant.planting import COMPILERS, module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class Recorder:
    """Listens in this process, from `listen` on."""

    def __init__(self, log: str, place: str, verb: str) -> None:
        self.fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.top = os.path.join(place, "runtime") + os.sep
        self.verb = verb
        self.seen: set[Any] = set()

    def listen(self) -> None:
        """Put the ears on: plans where they are used, the output, every function of the runtime."""
        for kind, (user, name) in COMPILERS.items():
            self._tap(vars(module(user)), kind, name)
        main = module("cli.main")
        real = main.write_stdout

        def write_stdout(text: str) -> None:
            self.write("answer", self.verb, text)
            real(text)

        main.write_stdout = write_stdout
        files, maps = module("cgroup.files"), module("idmap")
        write_file, write_map = files.write_file, maps.write_map

        def recorded_file(path: str, text: str) -> None:
            self.write("file", path, text)
            write_file(path, text)

        def recorded_map(pid: int, name: str, text: bytes) -> None:
            self.write("file", name, text.decode())
            write_map(pid, name, text)

        files.write_file, maps.write_map = recorded_file, recorded_map
        sys.setprofile(self.profile)

    def _tap(self, namespace: dict[str, Any], kind: str, name: str) -> None:
        real = namespace[name]

        def compile(config: Any, environment: Any) -> Any:
            plan = real(config, environment)
            operations = [[entry.name, [_plain(value) for value in entry.values]] for entry in plan.operations]
            self.write("plan", kind, operations)
            return plan

        namespace[name] = compile

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """For sys.setprofile: the first call of each function."""
        code = frame.f_code
        if event != "call" or code in self.seen:
            return
        self.seen.add(code)
        if code.co_filename.startswith(self.top) and "<" not in code.co_qualname:
            name = code.co_filename[len(self.top) : -3].replace(os.sep, ".")
            self.write("call", f"{name}:{code.co_qualname}")
            if name == "pid_file":
                self.write("answer", "pid-file", "")

    def write(self, *entry: Any) -> None:
        """One line of the log."""
        os.write(self.fd, json.dumps(entry).encode("utf-8", "surrogateescape") + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return list(value) if isinstance(value, tuple) else value
