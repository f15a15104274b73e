"""Run the runtime's command line and SIGKILL it at its N-th call into C: ``crash_driver.py N ARGUMENT...``.

With N = 0 nothing is killed, and the number of calls is written to fd 2 at the end as ``calls: COUNT``.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from seatrial.runtime.cli import create, delete, run, start  # noqa: F401  (imports make no steps of their own)
from seatrial.runtime.cli.main import main

deadly = int(sys.argv[1])
count = 0


def step(_frame: FrameType, event: str, function: object) -> None:
    """Count calls of `posix` functions and of the bindings: each may be the last."""
    global count
    if event != "c_call":
        return
    module = getattr(function, "__module__", "") or type(getattr(function, "__self__", None)).__name__
    if module in ("posix", "CLib", "Lib", "fcntl") or getattr(function, "__name__", "").startswith("seatrial_"):
        count += 1
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(step)
status = main(sys.argv[2:])
sys.setprofile(None)
print(f"calls: {count}", file=sys.stderr)
sys.exit(status)
