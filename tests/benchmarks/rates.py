"""Throughput without a container: configs loaded and compiled a second, plan operations decoded a second."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

from seatrial.runtime.launch import preview
from seatrial.runtime.load import parse_config
from seatrial.runtime.spec_template import template
from seatrial.runtime.validate import validate

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = os.path.join(HERE, "..", "..", "native")
SECONDS = 1.0
TARGETS = {"configs": 2_000, "operations": 1_000_000}


def compile_once(data: bytes, bundle: str) -> bytes:
    """From the text of a config.json to the bytes of a plan."""
    config = parse_config(data, bundle)
    validate(config)
    return preview("bench", config).encode()


def configs(data: bytes, bundle: str) -> float:
    """Configs a second on one core."""
    count = 0
    start = time.process_time()
    while time.process_time() - start < SECONDS:
        compile_once(data, bundle)
        count += 1
    return count / (time.process_time() - start)


def operations(plan: bytes, count: int, directory: str) -> float:
    """Operations a second that the executor's decoder takes, built as it is shipped."""
    sys.path.insert(0, NATIVE)
    import compile as native_programs

    native_programs.generate(directory)
    executor = os.path.join(NATIVE, "executor")
    program = os.path.join(directory, "decode_rate")
    sources = [os.path.join(HERE, "decode_rate.c"), *(f"{executor}/{name}" for name in ("decode.c", "text.c"))]
    flags = [*native_programs.WARNINGS, *native_programs.SIZE, *native_programs.HARDEN]
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, *flags, f"-I{directory}", f"-I{executor}", *sources, "-o", program], check=True)
    plans = 20_000
    done = subprocess.run([program, str(plans)], input=plan, capture_output=True, check=True)
    return plans * count / float(done.stdout)


def main() -> None:
    """Print the two lines."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as directory:
        os.mkdir(os.path.join(directory, "rootfs"))
        data = json.dumps(template()).encode()
        plan = preview("bench", parse_config(data, directory))
        figures = {
            "configs": configs(data, directory),
            "operations": operations(plan.encode(), len(plan), directory),
        }
    for name, label in (("configs", "config.json to plan"), ("operations", "plan decoding")):
        verdict = "met" if figures[name] >= TARGETS[name] else "missed"
        print(f"{label:<34}{figures[name]:12,.0f} {name}/s on one core (target {TARGETS[name]:,}: {verdict})")


if __name__ == "__main__":
    main()
