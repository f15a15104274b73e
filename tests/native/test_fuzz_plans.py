"""The executor's decoder takes the plan of every configuration that compiles: as many operations, the last one exec."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from seatrial.fuzz.strategies import HOST_PARTS, PARTS, configs
from seatrial.runtime.document import dumps
from seatrial.runtime.errors import SeatrialError
from seatrial.runtime.launch import preview
from seatrial.runtime.load import load_config
from seatrial.runtime.plan.plan import Plan


def test_plans_of_drawn_configs_decode(decoder: str, tmp_path: os.PathLike[str]) -> None:
    os.mkdir(os.path.join(tmp_path, "rootfs"))
    plans: list[Plan] = []

    @seed(20261127)
    @settings(
        max_examples=60, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(configs(parts=(*PARTS, *HOST_PARTS), most=8))
    def draw(spec: dict[str, Any]) -> None:
        with open(os.path.join(tmp_path, "config.json"), "w") as file:
            file.write(dumps(spec))
        try:
            plans.append(preview("fuzz", load_config(str(tmp_path))))
        except SeatrialError:
            pass  # this host has no such thing: the unit tests say when that may be

    draw()
    assert len(plans) > 30
    encoded = [plan.encode() for plan in plans]
    data = b"".join(struct.pack("<I", len(plan)) + plan for plan in encoded)
    done = subprocess.run([decoder], input=data, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == [f"ok {len(plan)} exec" for plan in plans]
