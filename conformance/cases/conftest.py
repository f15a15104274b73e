"""What cases of several topics share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

PROFILE = "seatrial-conformance"
RULES = f"""\
profile {PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  file,
  network,
  capability,
  mount,
  umount,
  pivot_root,
  signal,
  ptrace,
  deny /denied rw,
}}
"""


@pytest.fixture
def profile() -> Iterator[str]:
    """A loaded AppArmor profile that allows all but one file."""
    parser = shutil.which("apparmor_parser") or "/sbin/apparmor_parser"
    if not os.path.exists(parser):
        pytest.skip("program:apparmor_parser: no program apparmor_parser")

    def load(how: str) -> str:
        done = subprocess.run([parser, how, "--skip-cache"], input=RULES, text=True, capture_output=True, timeout=60)
        return "" if done.returncode == 0 else done.stderr.strip()

    if reason := load("--replace"):
        pytest.skip(f"apparmor: no profile can be loaded: {reason}")
    yield PROFILE
    load("--remove")
