"""The lives that containers of a soak have: some end by themselves, some are killed, some never begin."""

from __future__ import annotations

import random
from collections.abc import Callable

from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime

END = 30.0  # seconds in which a killed program must have ended


def _running(runtime: Runtime, bundle: Bundle) -> Container:
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"hold"', END)
    return container


def _finish(container: Container) -> None:
    container.kill("KILL")
    container.wait(END)
    container.delete()


def in_the_foreground(runtime: Runtime, bundle: Bundle) -> None:
    """`run`, which deletes its container."""
    runtime.run(bundle.probe("getpid"))


def with_programs(runtime: Runtime, bundle: Bundle) -> None:
    """create, start, three exec, kill, delete."""
    container = _running(runtime, bundle)
    for _ in range(3):
        container.exec(PROBE, "getpid")
    container.state()
    _finish(container)


def with_pauses(runtime: Runtime, bundle: Bundle) -> None:
    """create, start, pause, resume, update, kill, delete."""
    container = _running(runtime, bundle)
    for words in (("pause",), ("resume",), ("update", "--pids-limit", "77")):
        if runtime.offers(words[0]):
            runtime.command(*words, container.id).check()
    _finish(container)


def by_force(runtime: Runtime, bundle: Bundle) -> None:
    """create, start, exec, delete --force of what runs."""
    container = _running(runtime, bundle)
    container.exec(PROBE, "getpid")
    container.delete(force=True)


def never_started(runtime: Runtime, bundle: Bundle) -> None:
    """create, delete --force."""
    runtime.create(bundle.probe("getpid")).delete(force=True)


def with_many_programs(runtime: Runtime, bundle: Bundle) -> None:
    """create, start, ten exec, kill by SIGTERM, delete."""
    container = _running(runtime, bundle)
    for _ in range(10):
        container.exec(PROBE, "getpid")
    container.kill("TERM")
    container.wait(END)
    container.delete()


Life = Callable[[Runtime, Bundle], None]
CORE: tuple[Life, ...] = (never_started,)
NEEDS: tuple[tuple[Life, str], ...] = (
    (in_the_foreground, "run"),
    (with_programs, "exec"),
    (with_pauses, "pause"),
    (by_force, "exec"),
    (with_many_programs, "exec"),
)


def choose(runtime: Runtime, chance: random.Random) -> Life:
    """A life that this runtime's commands allow."""
    return chance.choice([*CORE, *(life for life, command in NEEDS if runtime.offers(command))])
