"""What a runtime that is not root refuses before it makes anything."""

from __future__ import annotations

from typing import Any

import pytest
from oci_documents import plain, put

from seatrial.runtime.convert import convert
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.validate_rootless import validate_rootless


def checked(gid: int = 4711, size: int = 1, **members: Any) -> None:
    """Check an example in which 0 is mapped to the ids 1000 and `gid` (`size` of them), with members changed."""
    document = plain()
    put(document, "linux.namespaces", [*document["linux"]["namespaces"], {"type": "user"}])
    put(document, "linux.uidMappings", [{"containerID": 0, "hostID": 1000, "size": size}])
    put(document, "linux.gidMappings", [{"containerID": 0, "hostID": gid, "size": size}])
    for path, value in members.items():
        put(document, path.replace("__", "."), value)
    validate_rootless(convert(document, "/b"))


@pytest.fixture(autouse=True)
def own_gid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getegid", lambda: 4711)


def test_the_example_passes() -> None:
    checked()


def test_a_user_namespace_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"^linux\.namespaces: .*user namespace.*spec --rootless"):
        validate_rootless(convert(plain(), "/b"))


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"process__user": {"uid": 1, "gid": 0}}, "process.user.uid"),
        ({"process__user": {"uid": 0, "gid": 1}}, "process.user.gid"),
        ({"process__user": {"uid": 0, "gid": 0, "additionalGids": [0, 5]}}, "process.user.additionalGids[1]"),
        ({"process__user": {"uid": 0, "gid": 0, "additionalGids": [0]}}, "process.user.additionalGids"),
        (
            {"mounts": [{"destination": "/p", "type": "devpts", "source": "d", "options": ["gid=5"]}]},
            "mounts[0].options",
        ),
        (
            {"mounts": [{"destination": "/p", "type": "tmpfs", "source": "d", "options": ["mode=1,uid=7"]}]},
            "mounts[0].options",
        ),
    ],
)
def test_unmapped_ids(members: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(**members)
    assert caught.value.path == path


def test_with_more_gids_there_are_additional_groups_and_options() -> None:
    user = {"uid": 5, "gid": 6, "additionalGids": [7]}
    mounts = [{"destination": "/p", "type": "devpts", "source": "d", "options": ["gid=5"]}]
    checked(size=10, process__user=user, mounts=mounts)


def test_an_option_that_is_no_number_is_left_to_the_file_system() -> None:
    checked(mounts=[{"destination": "/p", "type": "tmpfs", "source": "d", "options": ["gid=x"]}])
