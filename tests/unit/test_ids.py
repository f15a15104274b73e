"""Which ids an ordinary user can map, and the default bundle that follows from it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.conformance.airlock import ids
from seatrial.conformance.driver import defaults
from seatrial.conformance.engine import needs


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """User 4711 of name sailor, both programs, and these texts for /etc/subuid and /etc/subgid."""
    texts = {"/etc/subuid": "sailor:100000:65536\n", "/etc/subgid": "other:1:9\nsailor:200000:65534\n"}
    real = ids.ranges

    def ranges(table: str, user: str, uid: int) -> list[tuple[int, int]]:
        path = tmp_path / os.path.basename(table)
        path.write_text(texts[table])
        return real(str(path), user, uid)

    monkeypatch.setattr(ids, "ranges", ranges)
    monkeypatch.setattr(ids.shutil, "which", lambda name, path: f"/bin/{name}")
    for call in ("getuid", "geteuid", "getegid"):
        monkeypatch.setattr(os, call, lambda: 4711)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="sailor"))
    ids.lacking.cache_clear()
    yield texts
    ids.lacking.cache_clear()


def test_with_ranges_the_own_id_is_root_and_the_others_follow(tables: dict[str, str]) -> None:
    assert ids.lacking() is None
    uids, gids = ids.mappings()
    own = {"containerID": 0, "hostID": 4711, "size": 1}
    assert uids == [own, {"containerID": 1, "hostID": 100000, "size": 65535}]
    assert gids == [own, {"containerID": 1, "hostID": 200000, "size": 65534}]


def test_without_a_range_it_is_the_own_id_alone(tables: dict[str, str]) -> None:
    tables["/etc/subgid"] = "sailor:1:65533\n"
    assert ids.lacking() == "/etc/subgid has no range of 65534 ids for sailor"
    assert ids.mappings() == ([{"containerID": 0, "hostID": 4711, "size": 1}],) * 2


def test_without_the_programs_too(tables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids.shutil, "which", lambda name, path: None if name == "newgidmap" else name)
    assert ids.lacking() == "no program newgidmap"


def test_the_need_of_ids_is_typed(tables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    needs.check_word("ids")
    assert needs.HOST["ids"]() is None
    ids.lacking.cache_clear()
    tables["/etc/subuid"] = ""
    assert needs.HOST["ids"]() == "only the own ids can be mapped: /etc/subuid has no range of 65534 ids for sailor"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert needs.HOST["ids"]() is None


def test_the_default_config_asks_for_nothing_that_a_user_cannot_have(tables: dict[str, str]) -> None:
    config = defaults.config("/c")
    assert "cgroupsPath" not in config["linux"]
    assert "resources" not in config["linux"]
    assert {"type": "user"} in config["linux"]["namespaces"]
    assert not any(word.startswith(("uid=", "gid=")) for entry in config["mounts"] for word in entry.get("options", ()))
    assert {"type": "network"} in config["linux"]["namespaces"]
    assert "cgroupsPath" in defaults._CONFIG["linux"] or "resources" in defaults._CONFIG["linux"]  # the original stays


def test_limits_of_a_user_are_not_judged(tables: dict[str, str]) -> None:
    needs._host.cache_clear()
    assert "no place of its own" in (needs.unmet("cgroup:memory") or "")
    needs._host.cache_clear()
