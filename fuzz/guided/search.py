"""Run one target for a time and read what libFuzzer says about it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field

from seatrial.conformance.errors import HarnessBug
from seatrial.fuzz.guided import build
from seatrial.fuzz.guided.targets import Target

_GRACE = 120.0  # seconds more than it was given, after which a target counts as hanging
_INPUT_SECONDS = 30  # one input that takes longer is a finding: no document takes a second
_MEMORY_MIB = 2048


@dataclass
class Outcome:
    """What a search brought."""

    executions: int = 0
    seconds: float = 0.0
    coverage: int = 0  # edges, as libFuzzer counts them
    crashers: list[str] = field(default_factory=list)  # files
    reason: str = ""  # of a crash: the exception, or the sanitizer's summary
    log: str = ""

    @property
    def rate(self) -> float:
        """Executions a second."""
        return self.executions / self.seconds if self.seconds else 0.0


class Search:
    """Runs targets below one directory: programs, first inputs, corpora; crashers go to `crashes`."""

    def __init__(self, work: str, corpus: str, crashes: str) -> None:
        self.work = work
        self.corpus = corpus
        self.crashes = crashes

    def command(self, target: Target, *, planted: bool) -> list[str]:
        """What starts the target; one in C is built first."""
        if target.native:
            return [build.native(target, self.work, planted=planted)]
        return [*build.program("planted"), target.name] if planted else build.program(target.name)

    def run(self, target: Target, seconds: float, *, planted: bool = False) -> Outcome:
        """Search for so long, or until something is found.

        A planted search has a corpus of its own, which nobody keeps.  Raises HarnessBug when the target does not run.
        """
        seeds = os.path.join(self.work, "corpora", target.name)
        with tempfile.TemporaryDirectory(prefix="seatrial-fuzz-") as temporary:
            kept = temporary if planted else os.path.join(self.corpus, target.name)
            crashes = temporary if planted else os.path.join(self.crashes, target.name)
            os.makedirs(kept, exist_ok=True)
            os.makedirs(crashes, exist_ok=True)
            before = set(os.listdir(crashes))
            command = [
                *self.command(target, planted=planted),
                f"-max_total_time={max(1, round(seconds))}",
                f"-timeout={_INPUT_SECONDS}",
                f"-rss_limit_mb={_MEMORY_MIB}",
                f"-artifact_prefix={crashes}/",
                f"-dict={os.path.join(self.work, 'dictionaries', target.dictionary + '.dict')}",
                "-print_final_stats=1",
                "-verbosity=1",
                kept,
                seeds,
            ]
            log = _run(command, seconds + _GRACE)
            outcome = read(log)
            found = sorted(name for name in os.listdir(crashes) if name.startswith(_ARTIFACTS) and name not in before)
            outcome.crashers = [os.path.join(crashes, name) for name in found]
        if not outcome.executions and not outcome.crashers:
            raise HarnessBug(f"{target.name} did not run: {log.strip()[-1500:]}")
        return outcome


_ARTIFACTS = ("crash-", "timeout-", "oom-", "leak-")
_PULSE = re.compile(r"^#(\d+)\t\S+ +cov: (\d+)", re.MULTILINE)
_PYTHON = re.compile(r"=== Uncaught Python exception: ===\n(.+)")
_SUMMARY = re.compile(r"^(SUMMARY: .*|\S+: runtime error: .*|==\d+== ERROR: libFuzzer: .*)", re.MULTILINE)


def read(log: str) -> Outcome:
    """Executions, coverage and the reason of a crash, from what libFuzzer printed."""
    outcome = Outcome(log=log)
    for count, coverage in _PULSE.findall(log):
        outcome.executions = max(outcome.executions, int(count))
        outcome.coverage = max(outcome.coverage, int(coverage))
    final = re.search(r"stat::number_of_executed_units: *(\d+)", log)
    if final:
        outcome.executions = int(final[1])
    reason = _PYTHON.search(log) or _SUMMARY.search(log)
    outcome.reason = reason[1].strip() if reason else ""
    took = re.search(r"^seatrial: (\d+\.\d+) s$", log, re.MULTILINE)
    outcome.seconds = float(took[1]) if took else 0.0
    return outcome


def _run(command: list[str], limit: float) -> str:
    """What a command prints; it is killed when it takes too long, or when we are interrupted."""
    import time

    # Leaks are the executor's way: it ends soon.  The target counts its blocks itself.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1", "PYTHONHASHSEED": "0"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"seatrial: killed after {limit:.0f} s", file=output)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        seconds = time.monotonic() - start
        output.seek(0)
        return f"{output.read()}\nseatrial: {seconds:.3f} s\n"
