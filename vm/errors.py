"""Errors of machines, apart by whose they are: the host's, the kernel's at boot, the guest's while it ran."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a machine showed before it ended: `verdict` in one line (`kernel panic: ...`, `no answer for 60 s`),
    `console` the end of its console log, `files` paths of what was kept."""

    verdict: str
    console: str = ""
    files: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.verdict if not self.console else f"{self.verdict}\n{self.console}"


class MachineError(Exception):
    """Something that keeps a machine from being used; always an environment problem, never a finding."""


class InfrastructureError(MachineError):
    """The host lacks something: a program, a package, memory, space, a mirror."""


class BlueprintError(MachineError):
    """What was asked for makes no sense: an unknown kernel name, driver or cgroup mode."""


class UnsupportedError(MachineError):
    """The driver cannot do that."""


class BootError(MachineError):
    """The kernel or the image did not come up; `diagnosis` has the console."""

    def __init__(self, message: str, diagnosis: Diagnosis) -> None:
        super().__init__(f"{message}: {diagnosis}")
        self.diagnosis = diagnosis


class GuestError(MachineError):
    """A machine that had come up is gone: a panic, a hang, the loss of its agent; `diagnosis` has the console."""

    def __init__(self, message: str, diagnosis: Diagnosis) -> None:
        super().__init__(f"{message}: {diagnosis}")
        self.diagnosis = diagnosis
