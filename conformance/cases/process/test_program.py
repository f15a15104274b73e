"""config.md#process: the program, its arguments, environment and working directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

Reader = Callable[..., Report]
Rejected = Callable[..., Result]


@covers("config/process/1")
def test_process_may_be_left_out(runtime: Runtime, bundle: Bundle) -> None:
    """A config without process creates (config.md#process)."""
    del bundle.config["process"]
    assert runtime.create(bundle).status() == "created"


@covers("config/process/2")
def test_start_needs_process(runtime: Runtime, bundle: Bundle) -> None:
    """Without process, start is an error (config.md#process)."""
    del bundle.config["process"]
    container = runtime.create(bundle)
    assert not container.start(check=False).ok


@covers("config/process/9")
def test_cwd_is_the_working_directory(bundle: Bundle, report: Reader) -> None:
    """The program starts in process.cwd (config.md#process)."""
    bundle.directory("work/below")
    bundle.process["cwd"] = "/work/below"
    assert report(bundle)["cwd"] == "/work/below"


@covers("config/process/9")
def test_cwd_is_required(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A process without cwd is refused (config.md#process)."""
    del bundle.process["cwd"]
    rejected(runtime, bundle, by="start")


@pytest.mark.parametrize("cwd", [pytest.param("", id="empty"), ".", "tmp"])
@covers("config/process/10")
def test_cwd_is_absolute(runtime: Runtime, bundle: Bundle, rejected: Rejected, cwd: str) -> None:
    """A relative cwd is refused (config.md#process)."""
    bundle.process["cwd"] = cwd
    rejected(runtime, bundle, by="start")


@covers("config/process/11")
def test_env_is_the_environment(runtime: Runtime, bundle: Bundle, report: Reader) -> None:
    """Each NAME=value of env arrives, nothing of the caller's does (config.md#process)."""
    env = ["PATH=/bin", "EMPTY=", "EQUALS=a=b=c", "LINES=one\ntwo", "UNICODE=\u00fc\u4e2d"]
    bundle.process["env"] = env
    found = report(bundle, env={"SEATRIAL_CALLER": "1"})["env"]
    assert [entry for entry in found if not entry.startswith("HOME=")] == env


@covers("config/process/11")
def test_env_may_be_left_out(bundle: Bundle, report: Reader) -> None:
    """Without env nothing of the caller's environment arrives (config.md#process)."""
    del bundle.process["env"]
    found = report(bundle, env={"SEATRIAL_CALLER": "1"})["env"]
    assert [entry for entry in found if entry.split("=")[0] not in ("HOME", "PATH")] == []


@pytest.mark.parametrize("args", [pytest.param([], id="empty"), pytest.param(None, id="absent")])
@covers("config/process/12")
def test_args_are_required(runtime: Runtime, bundle: Bundle, rejected: Rejected, args: list[str] | None) -> None:
    """A process without a program is refused (config.md#process)."""
    bundle.process["args"] = args
    if args is None:
        del bundle.process["args"]
    rejected(runtime, bundle, by="start")


@covers("config/process/13")
def test_program_is_found_in_the_path_of_the_container(bundle: Bundle, report: Reader) -> None:
    """args[0] without a slash is looked up in env's PATH, inside (config.md#process)."""
    bundle.directory("opt/bin")
    shutil.copy(os.path.join(bundle.rootfs, "probe"), os.path.join(bundle.rootfs, "opt/bin/trial"))
    bundle.process["env"] = ["PATH=/no/such:/opt/bin"]
    found = report(bundle.args("trial", "report"))
    assert found["exe"] == "/opt/bin/trial"


@covers("config/process/13")
def test_program_with_a_slash_counts_from_cwd(bundle: Bundle, report: Reader) -> None:
    """args[0] with a slash is a path, relative to cwd (config.md#process)."""
    bundle.directory("opt/bin")
    shutil.copy(os.path.join(bundle.rootfs, "probe"), os.path.join(bundle.rootfs, "opt/bin/trial"))
    bundle.process.update(cwd="/opt", env=["PATH=/"])
    assert report(bundle.args("bin/trial", "report"))["exe"] == "/opt/bin/trial"


@pytest.mark.parametrize("name", ["nosuch", "/nosuch", "/etc/passwd"])
@covers("config/process/13")
def test_missing_program_is_an_error(runtime: Runtime, bundle: Bundle, rejected: Rejected, name: str) -> None:
    """A program that cannot be executed makes create or start fail (config.md#process)."""
    rejected(runtime, bundle.args(name), by="start")


@covers("config/process/14")
def test_args_arrive_unchanged(bundle: Bundle, report: Reader) -> None:
    """argv is args: empty strings, spaces, quotes and non-ASCII included (config.md#process)."""
    words = ["/probe", "report", "--", "print", "", " two  spaces ", "'\"\\$(x)", "\u00fc\u4e2d"]
    assert report(bundle.args(*words[:4], "".join(words[4:])))["argv"] == [*words[:4], "".join(words[4:])]


@covers("config/process/14")
def test_empty_arguments_arrive(bundle: Bundle, report: Reader) -> None:
    """An empty string is an argument too (config.md#process)."""
    words = ["/probe", "report", "--", "print", ""]
    assert report(bundle.args(*words))["argv"] == words


@pytest.mark.parametrize("terminal", [None, False])
@covers("config/process/3")
def test_without_terminal_there_is_no_tty(bundle: Bundle, report: Reader, terminal: bool | None) -> None:
    """terminal false or absent: the standard streams are the caller's, and there is no /dev/console
    (config.md#process)."""
    bundle.process["terminal"] = terminal
    if terminal is None:
        del bundle.process["terminal"]
    found = report(bundle)
    assert [stream["tty"] for stream in found["stdio"]] == [False] * 3
    assert found["controlling_tty"] is False
    assert "/dev/console" not in found["devices"]


@pytest.mark.parametrize("terminal", [None, False])
@covers("config/process/6")
def test_console_size_without_terminal_is_ignored(bundle: Bundle, report: Reader, terminal: bool | None) -> None:
    """consoleSize means nothing without a terminal (config.md#process)."""
    bundle.process["consoleSize"] = {"height": 25, "width": 80}
    bundle.process["terminal"] = terminal
    if terminal is None:
        del bundle.process["terminal"]
    assert [stream["tty"] for stream in report(bundle)["stdio"]] == [False] * 3


@covers("config/root/1")
def test_root_is_required(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A config without root is refused (config.md#root)."""
    del bundle.config["root"]
    rejected(runtime, bundle)


@covers("config/root/2")
def test_root_path_is_required(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A root without path is refused (config.md#root)."""
    bundle.config["root"] = {}
    rejected(runtime, bundle)


@covers("config/root/3")
def test_absolute_root_path_is_taken_as_it_is(
    bundle: Bundle, make_bundle: Callable[[], Bundle], report: Reader
) -> None:
    """An absolute root.path may lie outside the bundle (config.md#root)."""
    other = make_bundle()
    other.file("marker", "other")
    bundle.config["root"] = {"path": other.rootfs}
    found = report(bundle.probe("read /marker"))
    assert found.verbs[0].value == "other"


@pytest.mark.parametrize("path", ["rootfs", "a/b/rootfs", "./rootfs"])
@covers("config/root/4")
def test_relative_root_path_counts_from_the_bundle(runtime: Runtime, bundle: Bundle, report: Reader, path: str) -> None:
    """A relative root.path is taken from the bundle, whatever the caller's cwd (config.md#root)."""
    bundle.file("marker", "here")
    if path.startswith("a/"):
        os.makedirs(bundle.outside("a/b"))
        os.rename(bundle.rootfs, bundle.outside(path))
    bundle.config["root"]["path"] = path
    found = report(bundle.probe("read /marker"))
    assert found.verbs[0].value == "here"


@pytest.mark.parametrize("kind", ["missing", "file"])
@covers("config/root/6")
def test_root_path_is_a_directory(runtime: Runtime, bundle: Bundle, rejected: Rejected, kind: str) -> None:
    """A root.path that is missing or no directory is refused (config.md#root)."""
    if kind == "file":
        with open(bundle.outside("file"), "w", encoding="utf-8"):
            pass
    bundle.config["root"]["path"] = kind
    rejected(runtime, bundle)


@covers("config/root/7")
def test_readonly_root(bundle: Bundle, report: Reader) -> None:
    """root.readonly: nothing can be created in /, a tmpfs below stays writable (config.md#root)."""
    bundle.config["root"]["readonly"] = True
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    found = report(bundle.probe("touch /x -- touch /mnt/x"))
    assert [verb.errno for verb in found.verbs] == ["EROFS", None]
    assert found["root"]["readonly"] is True


@pytest.mark.parametrize("readonly", [None, False])
@covers("config/root/8")
def test_root_is_writable_by_default(bundle: Bundle, report: Reader, readonly: bool | None) -> None:
    """Without root.readonly, or with false, files can be made in / (config.md#root)."""
    root: dict[str, Any] = {"path": "rootfs"}
    if readonly is not None:
        root["readonly"] = readonly
    bundle.config["root"] = root
    found = report(bundle.probe("touch /x -- unlink /x"))
    assert [verb.errno for verb in found.verbs] == [None, None]
    assert found["root"]["readonly"] is False
