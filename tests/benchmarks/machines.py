"""How fast a machine is there: a cold boot, a clone of a warm template, and virtme-ng on the same kernel.

The first command is `uname -r` for all.  What cannot be measured here says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seatrial.vm.machine import Blueprint, Machine
    from seatrial.vm.qemu.pool import QemuPool

KERNEL = "debian:6.1"  # the full flavour: virtme-ng wants 9p, which cloud kernels lack
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mkfs.erofs", "apt-get", "dpkg-deb")
PATIENCE = 600.0
TARGET = 0.25  # seconds from the start of a clone to the end of its first command
COMMAND = ["uname", "-r"]


def lower_quartile(samples: list[float]) -> float:
    """In seconds."""
    return sorted(samples)[len(samples) // 4]


def timed(task: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each round; a task that returns a number has measured itself."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        own = task()
        found.append(own if isinstance(own, float) else time.perf_counter() - start)
    return found


def show(label: str, samples: list[float], cold: float | None = None, target: float | None = None) -> None:
    """One line: lower quartile, spread, ratio to a cold boot."""
    seconds = lower_quartile(samples)
    words = [f"{min(samples):.2f} to {max(samples):.2f} s"]
    if cold is not None:
        words.append(f"1/{cold / seconds:.0f} of a cold boot")
    if target is not None:
        words.append(f"target {target:g} s: {'met' if seconds <= target else 'missed'}")
    print(f"{label:<34}{seconds * 1000:8.1f} ms   {'   '.join(words)}")


def first_command(boot: Callable[[Blueprint], Machine], blueprint: Blueprint, argv: list[str]) -> Callable[[], float]:
    """A task: a machine, from nothing to the end of its first command; its end is not measured."""

    def task() -> float:
        start = time.perf_counter()
        with boot(blueprint) as machine:
            done = machine.run(argv, timeout=PATIENCE)
            seconds = time.perf_counter() - start
        if done.status != 0:
            raise SystemExit(f"{' '.join(argv)}: {done}")
        return seconds

    return task


def virtme(image: str, release: str) -> Callable[[], None] | str:
    """A task that runs virtme-ng on a kernel with the same accelerator; or why there is none."""
    program = os.environ.get("VIRTME_RUN") or shutil.which("virtme-run")
    if program is None:
        return "program:virtme-run: install virtme-ng, or name it in VIRTME_RUN"
    argv = [program, "--kimg", image, "--mods", "auto", "--disable-kvm", "--disable-microvm", "--force-9p"]
    argv += ["--memory", "512", "--script-sh", " ".join(COMMAND)]

    def task() -> None:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
        if release.encode() not in done.stdout:
            raise SystemExit(f"virtme-run: status {done.returncode}: {done.stderr.decode()[-500:]}")

    return task


def measure(pool: QemuPool, rounds: int) -> None:
    """Print the table."""
    from seatrial.conformance import machines
    from seatrial.vm.kernel.kernel import resolve
    from seatrial.vm.machine import Blueprint

    plain = Blueprint(kernel=KERNEL, memory=512)
    cold = timed(first_command(pool.cold, plain, COMMAND), 2)
    show("machine, cold boot", cold)
    pool.boot(plain).close()  # the template
    show("machine, clone", timed(first_command(pool.boot, plain, COMMAND), rounds), min(cold), TARGET)
    line = [sys.executable, "-m", "seatrial.conformance.cli", "vm", "run", "--kernel", KERNEL, "--memory", "512", "--"]
    again = timed(lambda: subprocess.run([*line, *COMMAND], capture_output=True, check=True), rounds)
    show("seatrial vm run, again", again, min(cold))
    warm = Blueprint(
        kernel=KERNEL,
        image=machines.image(),
        layers={"harness": machines.layer()},
        setup=machines.setup(),
        warm=machines.warm(),
    )
    pool.boot(warm).close()
    version = ["seatrial", "--version"]
    show("clone, warm seatrial --version", timed(first_command(pool.boot, warm, version), rounds))
    new = ["/usr/local/bin/seatrial", "--version"]
    show("clone, a new interpreter for it", timed(first_command(pool.boot, warm, new), max(2, rounds // 4)))
    kernel = resolve(KERNEL)
    task = virtme(kernel.image, kernel.release)
    if isinstance(task, str):
        print(f"{'virtme-ng, uname -r':<34}skipped: {task}")
    else:
        show("virtme-ng, uname -r", timed(task, 2))


def main(rounds: int = 12) -> None:
    """Print the table, or why it cannot be had."""
    for program in NEEDED:
        if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            print(f"{'machines':<34}skipped: program:{program}: not installed")
            return
    from seatrial.vm.errors import InfrastructureError
    from seatrial.vm.qemu.pool import QemuPool

    try:
        with QemuPool(keep=True, accelerated="tcg") as pool:
            print(f"machines under software emulation (TCG), kernel {KERNEL}; load {os.getloadavg()[0]:.1f}")
            measure(pool, rounds)
    except InfrastructureError as error:
        print(f"{'machines':<34}skipped: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
