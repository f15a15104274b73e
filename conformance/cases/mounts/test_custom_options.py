"""config.md#linux-mount-options: options outside the table, and idmap and ridmap, which are not for the filesystem."""

from __future__ import annotations

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse
from seatrial.conformance.engine.checks import proper_refusal

ROW = "config/linux-mount-options/"


@needs("root", "call:mount_setattr", "filesystem:ramfs")
@pytest.mark.parametrize(
    "word", [pytest.param(word, marks=covers(f"{ROW}{word}-not-passed")) for word in ("idmap", "ridmap")]
)
def test_mapping_is_not_left_to_the_filesystem(runtime: Runtime, bundle: Bundle, word: str) -> None:
    """The option is not given to mount(2): ramfs takes any data and ignores it (fs/ramfs/inode.c), so a mount of it
    is mapped, or refused where the kernel cannot map it, but not there as if nothing had been asked."""
    runtime.prove_sane()
    bundle.config["ociVersion"] = "1.2.0"
    bundle.mount("/mnt", "ramfs", "ramfs", word)
    mapping = [{"containerID": 0, "hostID": 1000, "size": 10}]
    bundle.config["mounts"][-1].update(uidMappings=mapping, gidMappings=[dict(entry) for entry in mapping])
    result = runtime.run(bundle, check=False)
    if result.ok:
        found = parse(result.stdout, result)
        assert "idmapped" in found.mount_options("/mnt")
    else:
        proper_refusal(result)


@pytest.mark.parametrize(
    ("word", "implied"),
    [
        pytest.param("user", {"nosuid", "nodev", "noexec"}, id="user"),
        pytest.param("owner", {"nosuid", "nodev"}, id="owner"),
        pytest.param("group", {"nosuid", "nodev"}, id="group"),
    ],
)
@covers(ROW + "custom-mount8", ROW + "custom")
def test_option_of_mount8(runtime: Runtime, bundle: Bundle, word: str, implied: set[str]) -> None:
    """An option of mount(8) that is not in the table may be implemented: then it implies what mount(8) says, and tmpfs,
    which refuses what it does not know, does not get it.  A runtime without it leaves it to tmpfs, and fails."""
    runtime.prove_sane()
    result = runtime.run(bundle.mount("/mnt", "tmpfs", "tmpfs", word), check=False)
    if result.ok:
        assert implied - parse(result.stdout, result).mount_options("/mnt") == set()
    else:
        proper_refusal(result)
