"""What CRIU's log says about a failure."""

from __future__ import annotations

import os

from seatrial.runtime.errors import CriuError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.criu.messages import Response

_READ_BYTES = 1 << 18
_SHOWN_LINES = 4
_SHOWN_LETTERS = 300
_HARMLESS = ("rlimit: Can't setup RLIMIT_NOFILE for self",)  # it goes on: without CAP_SYS_RESOURCE, in every log


def last_errors(log: bytes) -> list[str]:
    """The last lines that CRIU marks as errors, without times and places in its source; "..." cuts long ones."""
    found: list[str] = []
    for line in log.decode("utf-8", "replace").splitlines():
        _before, mark, text = line.partition("Error (")
        if mark and "): " in text:
            text = text.partition("): ")[2].strip()
            if text and text not in found[-1:] and not text.startswith(_HARMLESS):
                found.append(text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "...")
    return found[-_SHOWN_LINES:]


def failure(what: str, response: Response | None, log_path: str, shown: str = "") -> CriuError:
    """The exception for a request that CRIU did not fulfil: what failed, the log's last errors, where the log is."""
    errors: list[str] = []
    there = True
    try:
        with open(log_path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ_BYTES))
            errors = last_errors(file.read())
    except OSError:
        there = False  # a configuration file of CRIU may have named another log
    if not errors and response is not None:
        errors = [text for text in (response.message.strip(),) if text] or [f"error {response.errno}"]
    hint = f"the log is {log_path}" if there else ""
    return CriuError(f"CRIU cannot {what}: {'; '.join(errors)}{shown}", hint)
