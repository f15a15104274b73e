"""How fast we are, as ratios against runc and crun measured in the same run: `make bench`.

Rounds are interleaved (each command once per round) and the lower quartile of each is printed, so that a disturbance of
the host meets all of them.  Needs root.  Everything runs in a private mount namespace in which the v2 hierarchy of a
hybrid host is unmounted: crun refuses hybrid hosts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import fuzzing
import machines
import rates

from seatrial.conformance.driver.bundle import Workshop
from seatrial.native import mount_api, syscall

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
TARGETS = {"run": {"runc": 0.8, "crun": 2.0}, "exec": {"runc": 0.8, "crun": 2.0}, "in process": {"crun": 0.6}}


def v1_view() -> str:
    """Leave the host's mount namespace, and its v2 hierarchy where v1 ones are there too; what the view is."""
    syscall.unshare(CLONE_NEWNS)
    mount_api.mount("none", "/", None, MS_REC | MS_PRIVATE, None)
    if os.path.ismount("/sys/fs/cgroup/unified"):
        mount_api.umount("/sys/fs/cgroup/unified", 2)
        return "cgroup v1 (the v2 hierarchy of this hybrid host is hidden)"
    return "cgroup v2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "cgroup v1"


def quartile(samples: list[float]) -> float:
    """The lower quartile, in seconds."""
    return sorted(samples)[len(samples) // 4]


def measure(tasks: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Lower quartile of each task over interleaved rounds, after one round to warm up."""
    samples: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if number:
                samples[name].append(time.perf_counter() - start)
    return {name: quartile(values) for name, values in samples.items()}


def command(*argv: str) -> Callable[[], None]:
    """A task that runs a command, which must succeed."""

    def task() -> None:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(argv)}: exit status {done.returncode}: {done.stderr.decode()}")

    return task


def in_process(bundle: str, root: str) -> Callable[[], None]:
    """A task that runs a container through the library, in this process."""
    from seatrial.runtime import Container, Process, load_config

    config = load_config(bundle)
    null = os.open(os.devnull, os.O_RDWR)

    def task() -> None:
        container = Container.create(root, "bench-library", config)
        process = Process.from_config(config.process)
        process.stdin = process.stdout = process.stderr = null
        container.run(process)
        process.wait()
        container.destroy()

    return task


def row(label: str, seconds: float, against: dict[str, float], target: dict[str, float] | None = None) -> None:
    """One line: milliseconds, ratios, and how they stand to the targets of the design."""
    words = []
    for name, other in against.items():
        ratio = seconds / other
        goal = (target or {}).get(name)
        verdict = "" if goal is None else f" (target {goal:g}: {'met' if ratio <= goal else 'missed'})"
        words.append(f"{ratio:5.2f} of {name}{verdict}")
    print(f"{label:<34}{seconds * 1000:8.1f} ms   {'   '.join(words)}")


def suite(runtime: str) -> None:
    """Wall time of the whole suite, and the share of it that the runtime under test takes."""
    seatrial = os.path.join(os.path.dirname(sys.executable), "seatrial")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "results.jsonl")
        start = time.perf_counter()
        words = [seatrial, "check", "--runtime", runtime, "--report", f"json={path}"]
        subprocess.run(words, capture_output=True, check=False, cwd=directory)
        wall = time.perf_counter() - start
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    results = [line for line in lines if line.get("kind") == "result"]
    inside = sum(line.get("runtime_seconds", 0.0) for line in results)
    share = inside / sum(line["seconds"] for line in results)
    print(f"{'suite, ' + os.path.basename(runtime):<34}{wall:8.1f} s    {len(results)} cases, "
          f"{share:.0%} of their time inside the runtime (targets: 60 s, 75%)")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--no-suite", action="store_true", help="leave out the wall time of the suite")
    parser.add_argument("--no-fuzzing", action="store_true", help="leave out the soak and the comparisons")
    parser.add_argument("--no-machines", action="store_true", help="leave out boots and clones of virtual machines")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("make bench needs root")
    reference = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")
    peers = {name: path for name in ("runc", "crun") if (path := shutil.which(name, path=os.defpath + ":/usr/sbin"))}
    if not options.no_suite:
        suite(reference)
    if not options.no_fuzzing:
        fuzzing.main({"seatrial-runtime": reference, **peers})
    print(f"{v1_view()}; lower quartile of {options.rounds} interleaved rounds")
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
        os.chmod(directory, 0o755)
        bundle = Workshop(os.path.join(directory, "bundles"), f"bench-{os.getpid()}").bundle()
        bundle.probe("exit 0", report=False).write()
        roots = {name: os.path.join(directory, name) for name in ("ours", "library", *peers)}
        for root in roots.values():
            os.mkdir(root, 0o711)

        def run(path: str, name: str) -> Callable[[], None]:
            return command(path, "--root", roots[name], "run", "--bundle", bundle.path, f"bench-{name}")

        tasks = {"ours": run(reference, "ours"), "library": in_process(bundle.path, roots["library"])}
        tasks |= {name: run(path, name) for name, path in peers.items()}
        figures = measure(tasks, options.rounds)
        others = {name: figures[name] for name in peers}
        for name in peers:
            row(f"{name} run true", figures[name], {})
        row("seatrial-runtime run true", figures["ours"], others, TARGETS["run"])
        row("Container.run, wait, destroy", figures["library"], others, TARGETS["in process"])

        paths = {"ours": reference, **peers}
        for name, path in paths.items():
            # one cgroup each: runc refuses a populated one
            bundle.linux["cgroupsPath"] = f"/bench-{os.getpid()}-{name}"
            bundle.probe("hold", report=False).write()
            words = (path, "--root", roots[name], "run", "--detach", "--bundle", bundle.path, f"bench-there-{name}")
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        program = bundle.config["process"]["args"][0]
        execs = {
            name: command(path, "--root", roots[name], "exec", f"bench-there-{name}", program, "exit", "0")
            for name, path in paths.items()
        }
        figures = measure(execs, options.rounds)
        for name in peers:
            row(f"{name} exec true", figures[name], {})
        row("seatrial-runtime exec true", figures["ours"], {name: figures[name] for name in peers}, TARGETS["exec"])
        states = {
            name: command(path, "--root", roots[name], "state", f"bench-there-{name}") for name, path in paths.items()
        }
        states["python"] = command(sys.executable, "-I", "-S", "-c", "pass")
        figures = measure(states, options.rounds)
        row("seatrial-runtime state", figures["ours"], {name: figures[name] for name in (*peers, "python")})
        row("python -I -S -c pass", figures["python"], {})
        for name, path in paths.items():
            subprocess.run((path, "--root", roots[name], "delete", "--force", f"bench-there-{name}"), check=True)
    rates.main()
    if not options.no_machines:
        machines.main()


if __name__ == "__main__":
    main()
