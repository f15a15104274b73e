"""process.apparmorProfile, where AppArmor is on and a profile can be loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from bundles import Bundle, CommandLine

from seatrial.runtime.lsm import apparmor_enabled

PROFILE = "seatrial-test"
RULES = f"""\
profile {PROFILE} flags=(attach_disconnected) {{
  file,
  network,
  capability,
  mount,
  signal,
  deny /denied rw,
}}
"""

enabled = pytest.mark.skipif(not apparmor_enabled(), reason="lsm:apparmor: AppArmor is not enabled on this host")


@pytest.fixture
def profile() -> Iterator[str]:
    """A profile that allows everything but one file."""
    parser = shutil.which("apparmor_parser") or "/sbin/apparmor_parser"
    if not os.path.exists(parser):
        pytest.skip("tool:apparmor_parser: not installed")
    subprocess.run([parser, "--replace", "--skip-cache"], input=RULES, text=True, check=True, timeout=60)
    yield PROFILE
    subprocess.run([parser, "--remove"], input=RULES, text=True, check=True, timeout=60)


@enabled
@pytest.mark.parametrize("no_new_privileges", [False, True])
@pytest.mark.parametrize("uid", [0, 7])
def test_the_program_runs_under_the_profile(
    cli: CommandLine, bundle: Bundle, profile: str, uid: int, no_new_privileges: bool
) -> None:
    bundle.config["process"] |= {"apparmorProfile": profile, "noNewPrivileges": no_new_privileges}
    bundle.config["process"]["user"] = {"uid": uid, "gid": uid}
    with open(os.path.join(bundle.rootfs, "denied"), "w"):
        pass
    bundle.args("report", "--", "read", "/denied")
    report, read = [json.loads(line) for line in cli("run", "-b", bundle.path, "c-aa").stdout.splitlines()]
    assert report["lsm"]["current"] == f"{profile} (enforce)"
    assert read["errno"] == "EACCES"


@enabled
@pytest.mark.parametrize("user", ["0", "7"])
def test_exec_takes_the_containers_profile_or_its_own(
    cli: CommandLine, bundle: Bundle, profile: str, user: str
) -> None:
    bundle.config["process"]["apparmorProfile"] = profile
    bundle.args("hold")
    cli("run", "-d", "-b", bundle.path, "c-aax")
    same = json.loads(cli("exec", "--user", user, "c-aax", "/probe", "report").stdout)
    assert same["lsm"]["current"] == f"{profile} (enforce)"
    other = json.loads(cli("exec", "--apparmor", "unconfined", "c-aax", "/probe", "report").stdout)
    assert other["lsm"]["current"] == "unconfined"
    cli("delete", "--force", "c-aax")


@enabled
def test_a_profile_that_is_not_loaded_is_an_error(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["process"]["apparmorProfile"] = "seatrial-no-such-profile"
    bundle.write()
    done = cli("create", "-b", bundle.path, "c-aan", check=False)
    assert done.returncode == 1
    assert "apply AppArmor profile seatrial-no-such-profile: ENOENT" in done.stderr
    assert "is the profile loaded?" in done.stderr
    assert cli.status("c-aan") == ""


@pytest.mark.skipif(apparmor_enabled(), reason="lsm:!apparmor: AppArmor is enabled on this host")
def test_without_apparmor_a_profile_is_an_error(cli: CommandLine, bundle: Bundle) -> None:
    bundle.config["process"]["apparmorProfile"] = "docker-default"
    bundle.write()
    done = cli("create", "-b", bundle.path, "c-aa0", check=False)
    assert (done.returncode, cli.status("c-aa0")) == (1, "")
    assert "process.apparmorProfile: AppArmor is not enabled on this host" in done.stderr
