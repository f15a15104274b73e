"""What a failure leaves for somebody else: a directory that shows what was run and what was seen, and that replays."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from seatrial.conformance.airlock import cgroups
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.errors import EnvironmentProblem

if TYPE_CHECKING:
    from seatrial.conformance.driver.driver import Runtime

CASE_FILE = "case.json"
KERNEL_LINES = 60  # the last lines of the kernel's log that are kept


def slug(case: str) -> str:
    """A directory name for a case."""
    return re.sub(r"[^\w.=+-]+", "-", case.replace(".py::", ".")).strip("-")[:150]


def collect(
    base: str, case: dict[str, Any], failure: str, runtime: Runtime | None, stamp: dict[str, Any] | None
) -> str:
    """Write the evidence of a failed case and return its directory.

    `case` is what `seatrial replay` needs (case, requirements, profile, runtime, view, masks); `failure` the traceback.
    """
    again = f"-repeat{case['repetition']}" if case.get("repetition") else ""
    directory = os.path.join(base, slug(case["case"]) + again)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    _write(directory, CASE_FILE, json.dumps(case, indent=1) + "\n")
    _write(directory, "failure.txt", failure + "\n")
    if stamp is not None:
        _write(directory, "stamp.json", json.dumps(stamp, indent=1) + "\n")
    if runtime is not None:
        _write(
            directory, "commands.json", json.dumps([_command(result) for result in runtime.journal], indent=1) + "\n"
        )
        _write(directory, "commands.txt", "".join(_transcript(result) for result in runtime.journal))
        bundles = {container.bundle.path: container.bundle.name for container in runtime.containers}
        for number, path in enumerate(bundles):
            name = "config.json" if number == 0 else f"config-{number + 1}.json"
            _copy(os.path.join(path, "config.json"), os.path.join(directory, name))
            for log in sorted(glob.glob(os.path.join(path, "*", "*.log"))):  # CRIU's, of checkpoints and restores
                _copy(log, os.path.join(directory, "-".join(log.split(os.sep)[-3:])))
    _copy("/proc/self/mountinfo", os.path.join(directory, "mountinfo.txt"))
    _write(directory, "cgroups.txt", cgroup_table())
    _write(directory, "processes.txt", process_table())
    log = kernel_log()
    if log:
        _write(directory, "dmesg.txt", log)
    return directory


def read_case(directory: str) -> dict[str, Any]:
    """The case.json of an evidence directory; EnvironmentProblem when there is none or it is not ours."""
    path = os.path.join(directory, CASE_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            case = json.load(file)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"{directory} is no evidence directory: {error}") from error
    if not isinstance(case, dict) or not {"case", "runtime", "profile", "view", "digest"} <= set(case):
        raise EnvironmentProblem(f"{path} lacks members of a case")
    return case


def cgroup_table() -> str:
    """Every cgroup below the root of our view, with the processes in it."""
    lines = []
    view = cgroups.read_view()
    for root in view.hierarchies():
        for directory, names, _ in os.walk(root):
            names[:] = sorted(names)[:100]
            try:
                with open(os.path.join(directory, "cgroup.procs"), encoding="ascii") as file:
                    lines.append(f"{directory}: {' '.join(file.read().split())}\n")
            except OSError:
                continue
    return f"mode {view.mode}\n" + "".join(lines)


def process_table() -> str:
    """pid, ppid, state and command line of the processes that we can see."""
    lines = []
    for name in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            with open(f"/proc/{name}/cmdline", "rb") as raw:
                command = raw.read(300).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            continue
        lines.append(f"{name:>7} {parent:>7} {state} {command}\n")
    return "    pid    ppid s command\n" + "".join(lines)


def kernel_log() -> str:
    """The last lines of the kernel's log, where we may read it (/dev/kmsg, syslog(2))."""
    try:
        number = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    lines: list[str] = []
    try:
        while True:
            try:
                record = os.read(number, 8192).decode("utf-8", "replace")
            except BrokenPipeError:
                continue  # records were overwritten while we read
            except OSError:
                break
            head, _, text = record.partition(";")
            seconds = int(head.split(",")[2]) / 1e6
            lines.append(f"[{seconds:12.6f}] {text.splitlines()[0] if text else ''}\n")
    finally:
        os.close(number)
    return "".join(lines[-KERNEL_LINES:])


def _command(result: Result) -> dict[str, Any]:
    return {
        "argv": list(result.argv),
        "env": result.env,
        "masks": list(result.masks),
        "status": result.status,
        "timed_out": result.timed_out,
        "seconds": round(result.seconds, 6),
        "stdout": result.output()[:65536],
        "stderr": result.stderr[:65536],
    }


def _transcript(result: Result) -> str:
    mask = f"seatrial mask {' '.join(result.masks)} -- " if result.masks else ""
    text = f"$ {mask}{' '.join(result.argv)}\n"
    output = result.output()[:4000]
    for name, stream in (("stdout", output), ("stderr", result.stderr[:4000])):
        if stream:
            text += f"-- {name}\n{stream.rstrip()}\n"
    return text + f"-- {result.ending()}, {result.seconds * 1000:.0f} ms\n\n"


def _write(directory: str, name: str, text: str) -> None:
    with open(os.path.join(directory, name), "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _copy(source: str, target: str) -> None:
    try:
        with open(source, "rb") as file:
            data = file.read()
    except OSError:
        return
    with open(target, "wb") as file:
        file.write(data)
