"""The machine that waits: whose it is, and when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from seatrial.vm.channel import LostError
from seatrial.vm.errors import BootError, Diagnosis
from seatrial.vm.qemu.machine import QemuMachine
from seatrial.vm.qemu.spare import FIRST, Spare


class Waiting:
    """What a spare is asked for."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.facts: dict[str, Any] = {}
        self.did: list[Any] = []

    def run(self, argv: tuple[str, ...], timeout: float) -> None:
        self.did.append(argv)

    def greet(self, timeout: float) -> None:
        self.did.append("greet")
        if not self.answers:
            raise LostError("gone")

    def close(self) -> None:
        self.did.append("close")


def giving(machine: Waiting) -> Callable[[], QemuMachine]:
    return lambda: cast("QemuMachine", machine)


def test_waits_for_its_own_blueprint_alone() -> None:
    spare, first, other = Spare(), Waiting(), Waiting()
    assert spare.take("a") is None
    spare.prepare("a", giving(first))
    assert spare.take("b") is None
    assert cast("Waiting", spare.take("a")) is first
    assert spare.take("a") is None  # it is in use
    assert first.did == [FIRST, "greet"]
    assert first.facts == {"spare": True}
    spare.prepare("a", giving(other))
    spare.prepare("b", giving(Waiting()))
    spare.close()
    assert other.did[-1:] in (["close"], [])  # closed, or never begun
    assert "close" not in first.did  # its owner's business


def test_one_that_does_not_answer_is_closed() -> None:
    spare, lost = Spare(), Waiting(answers=False)
    spare.prepare("a", giving(lost))
    assert spare.take("a") is None
    assert lost.did == [FIRST, "greet", "close"]
    spare.close()


def test_one_that_does_not_come_up_is_none() -> None:
    def fails() -> QemuMachine:
        raise BootError("no", Diagnosis("verdict", "console"))

    spare = Spare()
    spare.prepare("a", fails)
    assert spare.take("a") is None
    spare.prepare("a", fails)
    spare.close()


def test_one_that_cannot_run_its_command_is_closed() -> None:
    class Lost(Waiting):
        def run(self, argv: tuple[str, ...], timeout: float) -> None:
            raise BootError("lost", Diagnosis("verdict", "console"))

    spare, lost = Spare(), Lost()
    spare.prepare("a", giving(lost))
    assert spare.take("a") is None
    assert lost.did == ["close"]
    spare.close()
