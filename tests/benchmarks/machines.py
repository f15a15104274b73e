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
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from seatrial.vm.machine import Blueprint, Machine
    from seatrial.vm.qemu.pool import QemuPool

KERNEL = "debian:6.1"  # the full flavour: virtme-ng wants 9p, which cloud kernels lack
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mkfs.erofs", "apt-get", "dpkg-deb")
PATIENCE = 600.0
TARGET = 0.25  # seconds from the start of a clone to the end of its first command
COMMAND = ["uname", "-r"]
USE = 2.0  # seconds that a machine is in use, in which the spare becomes ready


class Round(NamedTuple):
    """Seconds on the clock, and those that the machine's QEMU has computed, which tell what the host's load did."""

    seconds: float
    processor: float | None = None


def lower_quartile(samples: list[float]) -> float:
    """In seconds."""
    return sorted(samples)[len(samples) // 4]


def clocked(task: Callable[[], object]) -> Callable[[], Round]:
    """A task that measures itself."""

    def run() -> Round:
        start = time.perf_counter()
        task()
        return Round(time.perf_counter() - start)

    return run


def first_command(
    boot: Callable[[Blueprint], Machine], blueprint: Blueprint, argv: list[str], use: float = 0.0
) -> Callable[[], Round]:
    """A task: a machine, from nothing to the end of its first command; not measured are the `use` that is made of it
    then, in seconds, and its end."""

    def task() -> Round:
        start = time.perf_counter()
        with boot(blueprint) as machine:
            done = machine.run(argv, timeout=PATIENCE)
            found = Round(time.perf_counter() - start, processor_time(machine))
            time.sleep(use)
        if done.status != 0:
            raise SystemExit(f"{' '.join(argv)}: {done}")
        return found

    return task


def processor_time(machine: Machine) -> float:
    """User and system time of a machine's QEMU (proc_pid_stat(5)), in seconds."""
    from seatrial.vm.qemu.machine import QemuMachine

    assert isinstance(machine, QemuMachine)
    assert machine.process is not None
    with open(f"/proc/{machine.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(
    label: str, task: Callable[[], Round], rounds: int, *, cold: float | None = None, target: float | None = None
) -> float:
    """One line: lower quartile, spread, processor time, ratio to a cold boot; the least is returned."""
    found = [task() for _ in range(rounds)]
    samples = [one.seconds for one in found]
    used = [one.processor for one in found if one.processor is not None]
    seconds = lower_quartile(samples)
    words = [f"{min(samples):.2f} to {max(samples):.2f} s"]
    if used:
        words.append(f"processor {lower_quartile(used):.2f} s")
    if cold is not None:
        words.append(f"1/{cold / seconds:.0f} of a cold boot")
    if target is not None:
        words.append(f"target {target:g} s: {'met' if seconds <= target else 'missed'}")
    print(f"{label:<34}{seconds * 1000:8.1f} ms   {'   '.join(words)}", flush=True)
    return min(samples)


def virtme(image: str, release: str) -> Callable[[], None] | str:
    """A task that runs virtme-ng on a kernel with the same accelerator; or why there is none."""
    path = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
    program = os.environ.get("VIRTME_RUN") or shutil.which("virtme-run", path=path)
    if program is None:
        return "program:virtme-run: install virtme-ng, or name it in VIRTME_RUN"
    argv = [program, "--kimg", image, "--mods", "auto", "--disable-kvm", "--disable-microvm", "--force-9p"]
    argv.append("--show-boot-console")  # where the output is, when no udev loads the driver of the ports for it
    argv += ["--memory", "512", "--script-sh", " ".join(COMMAND)]

    def task() -> None:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
        if release.encode() not in (done.stdout + done.stderr).splitlines():  # its status needs those ports, too
            raise SystemExit(f"virtme-run: status {done.returncode}: {done.stderr.decode()[-500:]}")

    return task


def measure(pool: QemuPool, rounds: int) -> None:
    """Print the table."""
    from seatrial.conformance import machines
    from seatrial.vm.kernel.kernel import resolve
    from seatrial.vm.machine import Blueprint
    from seatrial.vm.qemu.pool import QemuPool

    plain = Blueprint(kernel=KERNEL, memory=512)
    cold = show("machine, cold boot", first_command(pool.cold, plain, COMMAND), 2)
    pool.boot(plain).close()  # the template
    show("machine, clone", first_command(pool.boot, plain, COMMAND), rounds, cold=cold)
    with QemuPool(spare=True) as spares:
        spares.boot(plain).close()
        show("machine, spare", first_command(spares.boot, plain, COMMAND, use=USE), rounds, cold=cold, target=TARGET)
    line = [sys.executable, "-m", "seatrial.conformance.cli", "vm", "run", "--kernel", KERNEL, "--memory", "512", "--"]
    again = clocked(lambda: subprocess.run([*line, *COMMAND], capture_output=True, check=True))
    show("seatrial vm run, again", again, rounds, cold=cold)
    kernel = resolve(KERNEL)
    task = virtme(kernel.image, kernel.release)
    if isinstance(task, str):
        print(f"{'virtme-ng, uname -r':<34}skipped: {task}")
    else:
        show("virtme-ng, uname -r", clocked(task), 2)
    warm = Blueprint(
        kernel=KERNEL,
        image=machines.image(),
        layers={"harness": machines.layer()},
        setup=machines.setup(),
        warm=machines.warm(),
    )
    pool.boot(warm).close()
    show("clone, warm seatrial --version", first_command(pool.boot, warm, ["seatrial", "--version"]), rounds)
    new = ["/usr/local/bin/seatrial", "--version"]
    show("clone, a new interpreter for it", first_command(pool.boot, warm, new), max(2, rounds // 4))


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
