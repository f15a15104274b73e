"""What counts as left behind by a case."""

from __future__ import annotations

import os

from seatrial.conformance.airlock.leaks import state_entries


def test_what_a_runtime_keeps_for_itself_is_no_container(tmp_path: os.PathLike[str]) -> None:
    for name in (".cache", "st-1-1", "file"):
        os.mkdir(os.path.join(tmp_path, name))
    assert sorted(state_entries(os.fspath(tmp_path))) == ["file", "st-1-1"]
    assert state_entries(os.path.join(tmp_path, "nosuch")) == []
