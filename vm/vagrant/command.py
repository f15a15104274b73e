"""The program vagrant: its command lines, its machine-readable answers, and what its errors mean."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seatrial.vm import programs
from seatrial.vm.errors import BootError, Diagnosis, InfrastructureError

# Names of classes as `vagrant --machine-readable` tells them (error-exit), without their modules.
BOOT = ("VMBootTimeout", "VMBootBadState", "NoIpAddressError", "DomainStartError", "SSHConnectionTimeout")
NO_BOX = (
    "BoxNotFound",
    "BoxNotFoundWithProvider",
    "BoxNotFoundWithProviderArchitecture",
    "BoxNotFoundWithVersion",
    "BoxAddShortNotFound",
    "BoxAddNoMatchingProvider",
    "BoxAddNoMatchingVersion",
    "BoxFileNotExist",
    "DownloaderError",
)
NO_PROVIDER = ("ProviderNotFound", "ProviderNotFoundSuggestion", "ProviderNotUsable", "NoDefaultProvider")
NO_CONNECTION = ("FogLibvirtConnectionError",)
HINTS = {
    **dict.fromkeys(NO_BOX, "`vagrant box list` shows what there is; `seatrial vm build --format box` makes one"),
    **dict.fromkeys(NO_PROVIDER, "install the provider's plugin: the package vagrant-libvirt for libvirt"),
    **dict.fromkeys(
        NO_CONNECTION, "libvirtd must run (`libvirtd -d`), and its socket be yours to open (group libvirt)"
    ),
}
LINES = 12  # of a message that are shown


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vagrant command said: `data` are (kind, fields) of its machine-readable lines."""

    data: tuple[tuple[str, tuple[str, ...]], ...]

    def fields(self, kind: str) -> list[tuple[str, ...]]:
        """The fields of all lines of a kind."""
        return [fields for found, fields in self.data if found == kind]


def run(
    arguments: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 3600,
    what: str = "",
    watch: Callable[[], str | None] | None = None,
) -> Answer:
    """Run vagrant in the directory of an environment.

    BootError when a machine did not come up, InfrastructureError for everything else: no vagrant, no provider, no box,
    no connection to libvirt, a timeout (in seconds) of the command itself.  It is interrupted then, as by Ctrl-C, so
    that it undoes what it had begun.  `watch` is asked twice a second whether there is a reason to wait no longer: it
    becomes that of a BootError.
    """
    argv = [programs.find("vagrant"), "--machine-readable", *arguments]
    surroundings = {**os.environ, "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_NO_COLOR": "1", **(env or {})}
    what = what or f"vagrant {arguments[0]}"
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, complaint = _await(process, time.monotonic() + timeout, watch)
    except subprocess.TimeoutExpired:
        _stop(process)
        raise InfrastructureError(f"{what}: not finished after {timeout:g} s") from None
    except BaseException:
        _stop(process)
        raise
    answer = parse(output.decode("utf-8", "replace"))
    if process.returncode != 0:
        raise explain(what, answer, complaint.decode("utf-8", "replace"))
    return answer


def parse(text: str) -> Answer:
    """Lines of the form `timestamp,target,kind,field,...`, with `%!(VAGRANT_COMMA)` and `\\n` inside of fields."""
    data = []
    for line in text.splitlines():
        stamp, *rest = line.split(",")
        if stamp.isdigit() and len(rest) >= 2:
            fields = tuple(field.replace("%!(VAGRANT_COMMA)", ",").replace("\\n", "\n") for field in rest[2:])
            data.append((rest[1], fields))
    return Answer(tuple(data))


def explain(what: str, answer: Answer, complaint: str) -> BootError | InfrastructureError:
    """The error that a failed command means."""
    kind, message = "", complaint.strip()
    for fields in answer.fields("error-exit"):
        kind = fields[0].rpartition("::")[2]
        message = fields[1].strip() if len(fields) > 1 else message
    shown = "\n".join(line for line in message.splitlines()[:LINES] if line.strip()) or "it gave no reason"
    if kind in BOOT:
        return BootError(what, Diagnosis(f"{kind}: {shown.splitlines()[0]}"))
    hint = f"\n{HINTS[kind]}" if kind in HINTS else ""
    return InfrastructureError(f"{what}: {shown}{hint}")


def _await(process: subprocess.Popen[bytes], end: float, watch: Callable[[], str | None] | None) -> tuple[bytes, bytes]:
    while True:
        try:
            return process.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            verdict = watch() if watch is not None else None
            if verdict:
                raise BootError("the machine does not come up", Diagnosis(verdict)) from None
            if time.monotonic() > end:
                raise


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGINT, 60), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=patience)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            process.communicate()
            return
