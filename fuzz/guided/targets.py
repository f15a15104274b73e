"""The coverage-guided targets: what each is about, what it is built from, and how soon it must find its planted bug."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.conformance.errors import EnvironmentProblem


@dataclass(frozen=True)
class Target:
    """One target.  `smoke` is the time in seconds within which the planted bug must be found."""

    name: str
    about: str
    dictionary: str  # fuzz/targets/seeds.py writes it
    native: bool = False
    smoke: float = 120.0
    # For a native target, the bug: a file of native/executor, a text that occurs once in it, and what it becomes.
    plant: tuple[str, str, str] = ("", "", "")


TARGETS = {
    target.name: target
    for target in (
        Target("loader", "the JSON reader and writer", "json"),
        Target("converter", "config.json to the configuration model", "config"),
        Target("compiler", "configuration to plan, encoded and decoded", "config"),
        Target("seccomp", "seccomp profiles to BPF", "config"),
        Target("mount_options", "mount options", "mount_options"),
        Target(
            "plan_decoder",
            "the executor's plan decoder, in C",
            "plan",
            native=True,
            plant=("decode.c", "    if (size > c->left)\n        return false;\n", ""),
        ),
        Target(
            "executor_front",
            "the executor from its command line to the operations, in C",
            "plan",
            native=True,
            plant=("main.c", " || value > 1000000)", ")"),
        ),
    )
}


def choose(names: list[str]) -> list[Target]:
    """The targets of these names, all for none.  EnvironmentProblem for a name that there is not."""
    for name in names:
        if name not in TARGETS:
            raise EnvironmentProblem(f"--target {name}: there are {', '.join(TARGETS)}")
    return [TARGETS[name] for name in dict.fromkeys(names)] if names else list(TARGETS.values())
