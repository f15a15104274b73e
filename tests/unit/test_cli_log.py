"""What the command line says of a failure: engines read it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from seatrial.runtime.cli.log import Log, in_words

# libpod/oci_util.go, docker's daemon/errors.go and containerd's callers look for these, in any case of letters.
NOT_FOUND = re.compile(r"executable file not found in|no such file or directory", re.IGNORECASE)
NOT_ALLOWED = re.compile(r"permission denied|operation not permitted", re.IGNORECASE)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("open /x: ENOENT", "open /x: ENOENT (no such file or directory)"),
        ("x: EPERM (operation 3 of 5)", "x: EPERM (operation not permitted) (operation 3 of 5)"),
        ("x: EACCES: told; do this", "x: EACCES (permission denied): told; do this"),
        ("x: EINVAL", "x: EINVAL"),
        ("x: ENOENTX, x:ENOENT", "x: ENOENTX, x:ENOENT"),
        ("x: ENOENT (no such file or directory)", "x: ENOENT (no such file or directory)"),
    ],
)
def test_the_words_behind_an_errno_name(message: str, expected: str) -> None:
    assert in_words(message) == expected


def test_both_outputs_have_the_words(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.json"
    Log(str(path), json=True).error("create c1: find executable nosuch: ENOENT")
    record = json.loads(path.read_text())
    assert record["level"] == "error"
    told = capfd.readouterr().err
    for text in (record["msg"], told):
        assert NOT_FOUND.search(text)
        assert not NOT_ALLOWED.search(text)
