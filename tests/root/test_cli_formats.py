"""What the command line prints, byte for byte beside runc where there is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from bundles import Bundle, CommandLine, Running

RUNC = shutil.which("runc") or shutil.which("runc", path="/usr/sbin:/usr/local/sbin")
OURS, THEIRS = "c-fmt-1", "c-fmt-2"


@pytest.fixture
def runc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    if RUNC is None:
        pytest.skip("needs runc")
    root = str(tmp_path_factory.mktemp("runc"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return Running([str(RUNC), "--root", root, *words]).end()

    yield run
    run("delete", "--force", THEIRS)


def plain(text: str) -> str:
    """Without what differs between two containers of one bundle: id, pid, time, version."""
    text = text.replace(THEIRS, OURS)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)
    text = re.sub(r'("ociVersion": ?)"[^"]+"', r'\1"VERSION"', text)
    return re.sub(r'("pid": ?)\d+', r"\1PID", text)


def _narrow(table: str) -> str:
    """Without the width of the column that has the time."""
    return re.sub(r"CREATED +OWNER", "CREATED OWNER", re.sub(r" *TIME *", "TIME", table))


def test_state_and_list_are_runcs(
    cli: CommandLine, bundle: Bundle, runc: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for words in (["list"], ["list", "-f", "json"], ["list", "-q"]):
        os.makedirs(cli.root, exist_ok=True)
        assert cli(*words).stdout == runc(*words).stdout
    bundle.config["annotations"] = {"org.example/key": "<a> & 'b' \"c\" \\ é \u2028 \t"}
    bundle.write()
    cli("run", "-d", "-b", bundle.path, OURS)
    assert runc("run", "-d", "-b", bundle.path, THEIRS).returncode == 0
    for words in (["state", OURS], ["list", "--format", "json"], ["list", "-q"], ["list", "-q", "-f", "json"]):
        theirs = runc(*(word.replace(OURS, THEIRS) for word in words)).stdout
        assert plain(cli(*words).stdout) == plain(theirs)
    # In the table the pid decides the width of nothing: it is narrower than its column.  The time is as wide as its
    # column, and its fraction has no zeros at the end.
    tables = [cli("list").stdout, runc("list").stdout]
    for head, row in (table.splitlines() for table in tables):
        assert re.fullmatch(r".*CREATED +", head[: row.rindex("root")])
        assert re.fullmatch(r".*Z {3}", row[: row.rindex("root")])
    ours, theirs = (re.sub(r" \d+ +", " PID ", plain(text)) for text in tables)
    assert _narrow(ours) == _narrow(theirs)
    for runtime, id in ((cli, OURS), (runc, THEIRS)):
        runtime("pause", id)
    assert plain(cli("state", OURS).stdout) == plain(runc("state", THEIRS).stdout)
    for runtime, id in ((cli, OURS), (runc, THEIRS)):
        runtime("kill", id, "KILL")
        deadline = time.monotonic() + 10
        while json.loads(runtime("state", id).stdout)["status"] != "stopped":
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert plain(cli("state", OURS).stdout) == plain(runc("state", THEIRS).stdout)


def test_ps_is_runcs(cli: CommandLine, bundle: Bundle, runc: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    bundle.args("child", "hold")
    cli("run", "-d", "-b", bundle.path, OURS)
    assert runc("run", "-d", "-b", bundle.path, THEIRS).returncode == 0

    def shape(text: str) -> str:
        return re.sub(r"\d+", "N", text)

    for words in ([], ["-o", "pid,comm", "-e"], ["-e", "-o", "comm,pid"], ["aux"]):
        ours, theirs = cli("ps", OURS, *words).stdout, runc("ps", THEIRS, *words).stdout
        assert len(ours.splitlines()) == 3
        assert [line.split() for line in shape(ours).splitlines()] == [
            line.split() for line in shape(theirs).splitlines()
        ]
    assert re.fullmatch(r"\[\d+,\d+\]\n", cli("ps", "-f", "json", OURS).stdout)
    assert shape(cli("ps", "--format", "json", OURS).stdout) == shape(runc("ps", "--format", "json", THEIRS).stdout)
    for words in (["ps", OURS, "-o", "comm"], ["ps", "-f", "xml", OURS], ["ps", OURS, "-o", "nonsense"], ["ps"]):
        assert cli(*words, check=False).returncode == 1
        assert runc(*(word.replace(OURS, THEIRS) for word in words)).returncode == 1


def test_features_are_laid_out_as_runcs(
    cli: CommandLine, runc: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    ours, theirs = cli("features").stdout, runc("features").stdout
    for text in (ours, theirs):
        assert text == json.dumps(json.loads(text), indent=4) + "\n"
    missing = set(json.loads(theirs)) - set(json.loads(ours))
    assert missing == set()


def log_lines(run: Callable[..., subprocess.CompletedProcess[str]], path: str, *words: str) -> tuple[str, str]:
    """The log file and stderr of a failing command."""
    done = run("--log", path, "--log-format", "json", *words)
    assert done.returncode == 1
    with open(path, encoding="utf-8") as file:
        return file.read(), done.stderr


def test_json_log_is_what_engines_read(
    cli: CommandLine, runc: Callable[..., subprocess.CompletedProcess[str]], tmp_path: os.PathLike[str]
) -> None:
    def ours(*words: str) -> subprocess.CompletedProcess[str]:
        return cli(*words, check=False)

    for number, run in enumerate((ours, runc)):
        log, error = log_lines(run, os.path.join(tmp_path, f"log{number}"), "state", "no<body")
        record = json.loads(log)
        assert list(record) == ["level", "msg", "time"]
        assert record["level"] == "error"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["time"])
        assert log == log_text(record)
        assert record["msg"] in error  # podman and containerd show stderr when the log is empty
        done = run("--log-format", "json", "pause", "nobody")
        record = json.loads(done.stderr)
        assert list(record) == ["level", "msg", "time"]
        assert "does not exist" in record["msg"]
        assert done.stdout == ""


def log_text(record: dict[str, str]) -> str:
    """The record as Go's encoder writes it."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") + "\n"
