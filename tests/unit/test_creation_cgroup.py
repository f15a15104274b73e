"""Whose a v2 cgroup becomes: config-linux.md#cgroup-ownership."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from seatrial.runtime.config import Config, IDMap, Mount, Namespace, Process
from seatrial.runtime.creation_cgroup import owner


@dataclass
class Variant:
    """What differs from a container that owns its cgroup."""

    namespaces: tuple[tuple[str, str | None], ...] = (("user", None), ("cgroup", None))
    destination: str = "/sys/fs/cgroup"
    source: str = "cgroup"
    fstype: str = "cgroup"
    flags: int = 0
    uid: int = 1000


def config(variant: Variant) -> Config:
    return Config(
        oci_version="1.1.0",
        bundle="/b",
        rootfs="/b/rootfs",
        process=Process(args=["/probe"], cwd="/", uid=variant.uid),
        namespaces=[Namespace(type=type, path=path) for type, path in variant.namespaces],
        uid_mappings=[
            IDMap(container_id=0, host_id=5000, size=1),
            IDMap(container_id=1, host_id=100000, size=65535),
        ],
        mounts=[
            Mount(
                destination=variant.destination, source=variant.source, fstype=variant.fstype, flags=variant.flags
            )
        ],
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        pytest.param(Variant(), 100999, id="user"),
        pytest.param(Variant(uid=0), 5000, id="root"),
        pytest.param(Variant(uid=65535), 165534, id="last mapped id"),
        pytest.param(Variant(uid=65536), None, id="unmapped"),
        pytest.param(Variant(fstype="cgroup2", destination="/sys/fs/cgroup/"), 100999, id="cgroup2"),
        pytest.param(Variant(flags=1), None, id="read-only"),
        pytest.param(Variant(source="none"), None, id="other source"),
        pytest.param(Variant(destination="/mnt"), None, id="elsewhere"),
        pytest.param(Variant(fstype="tmpfs"), None, id="other filesystem"),
        pytest.param(Variant(namespaces=(("user", None),)), None, id="no cgroup namespace"),
        pytest.param(Variant(namespaces=(("user", None), ("cgroup", "/p"))), None, id="joined cgroup namespace"),
        pytest.param(Variant(namespaces=(("cgroup", None),)), None, id="no user namespace"),
    ],
)
def test_owner(variant: Variant, expected: int | None) -> None:
    assert owner(config(variant)) == expected
