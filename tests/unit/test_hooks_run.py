"""Hooks in the runtime namespace: input, order, time-outs, failures."""

from __future__ import annotations

import json
import os
import time

import pytest

from seatrial.runtime.config import Config, Hook
from seatrial.runtime.errors import HookError
from seatrial.runtime.hooks import run_hook, run_hooks, run_poststop, state_around_pid, state_document


def shell(script: str, **fields: object) -> Hook:
    return Hook(path="/bin/sh", args=["sh", "-c", script], **fields)  # type: ignore[arg-type]


@pytest.fixture
def config() -> Config:
    return Config(oci_version="1.0.2", bundle="/b", rootfs="/b/r", annotations={"k": 'v "quoted" \u00e9'})


def test_a_hook_gets_the_state_on_its_stdin(tmp_path: os.PathLike[str], config: Config) -> None:
    out = os.path.join(tmp_path, "state")
    document = state_document(config, "c1", "creating", 42)
    run_hook("test", shell(f"cat > {out}"), document)
    with open(out) as file:
        assert json.load(file) == document
    assert list(document) == ["ociVersion", "id", "status", "pid", "bundle", "annotations"]
    assert "pid" not in state_document(config, "c1", "stopped", None)


def test_a_large_state_and_a_hook_that_does_not_read_it(config: Config) -> None:
    config.annotations["large"] = "x" * 300_000
    run_hook("test", shell("exit 0"), state_document(config, "c1", "creating", 1))


def test_the_two_halves_of_a_state_meet_around_a_pid(config: Config) -> None:
    before, after = state_around_pid(config, "c1", "created")
    assert json.loads(before + b"17" + after) == state_document(config, "c1", "created", 17)


def test_args_and_environment_are_the_hooks(tmp_path: os.PathLike[str]) -> None:
    out = os.path.join(tmp_path, "out")
    run_hook("test", Hook(path="/bin/sh", args=["other", "-c", f'echo "$0 $A $HOME" > {out}', "zero"], env=["A=1"]), {})
    with open(out) as file:
        assert file.read() == "zero 1 \n"


def test_order_and_the_first_failure_stops_the_list(tmp_path: os.PathLike[str]) -> None:
    log = os.path.join(tmp_path, "log")
    hooks = [shell(f"echo 1 >> {log}"), shell(f"echo 2 >> {log}; echo oops >&2; exit 4"), shell(f"echo 3 >> {log}")]
    with pytest.raises(HookError, match=r"prestart hook 1 \(/bin/sh\): exit status 4: oops"):
        run_hooks("prestart", hooks, {})
    with open(log) as file:
        assert file.read() == "1\n2\n"


def test_poststop_goes_on_after_a_failure(tmp_path: os.PathLike[str]) -> None:
    marker = os.path.join(tmp_path, "marker")
    warnings: list[str] = []
    run_poststop([shell("kill -9 $$"), Hook(path="/nonexistent"), shell(f"touch {marker}")], {}, warnings.append)
    assert os.path.exists(marker)
    assert len(warnings) == 2
    assert "killed by signal 9" in warnings[0]
    assert "ENOENT" in warnings[1]


def test_a_timeout_kills_the_hook_and_its_children(tmp_path: os.PathLike[str]) -> None:
    pid_file = os.path.join(tmp_path, "pid")
    began = time.monotonic()
    with pytest.raises(HookError, match="timeout of 1 s"):
        run_hook("test", shell(f"sleep 60 & echo $! > {pid_file}; wait", timeout=1), {})
    assert time.monotonic() - began < 20
    with open(pid_file) as file:
        pid = int(file.read())
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}/exe") and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(OSError, match=r"No such|not found"):
        os.readlink(f"/proc/{pid}/exe")


def test_background_children_do_not_keep_us_waiting() -> None:
    began = time.monotonic()
    run_hook("test", shell("sleep 5 &"), {})
    assert time.monotonic() - began < 4


def test_an_abort_ends_the_hook() -> None:
    read, write = os.pipe()
    os.close(write)
    began = time.monotonic()
    with pytest.raises(HookError, match="init has gone"):
        run_hook("test", shell("sleep 60"), {}, read)
    os.close(read)
    assert time.monotonic() - began < 20


def test_no_descriptor_is_left() -> None:
    before = os.listdir("/proc/self/fd")
    run_hook("test", shell("exit 0"), {})
    with pytest.raises(HookError):
        run_hook("test", Hook(path="/nonexistent"), {})
    assert os.listdir("/proc/self/fd") == before
