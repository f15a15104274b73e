"""An image with a symlink wherever the runtime creates, mounts, covers or opens something: the host is left alone.

Each of these containers either starts, and then everything was made inside of it, or is refused.  docs/security.md
says which advisories this is about.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
from bundles import Bundle, CommandLine
from victim import host_state, links_to, make_victim, snapshot

# Places in the image, and a name that the host has below the victim when the place is a file.
DIRECTORIES = (
    "proc", "sys", "dev", "dev/pts", "dev/shm", "dev/mqueue", "etc", "work", "work/dir", "mnt", "mnt/dir", "mnt/new",
    "mask", "mask/dir", "ro", "ro/dir", "tmp", "run",
)  # fmt: skip
FILES = (
    "dev/null", "dev/zero", "dev/tty", "dev/console", "dev/ptmx", "dev/fd", "dev/stdin", "dev/core", "dev/custom",
    "etc/passwd", "etc/group", "mnt/file", "mask/file", "ro/file",
)  # fmt: skip
MUST_BE_REFUSED = ("proc", "sys")  # where procfs and sysfs are is not the image's to say


@pytest.fixture
def victim(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_victim(str(tmp_path_factory.mktemp("v") / "victim"))


@pytest.fixture
def sources(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Host sources of the bind mounts."""
    path = str(tmp_path_factory.mktemp("s") / "sources")
    os.makedirs(os.path.join(path, "dir"))
    with open(os.path.join(path, "file"), "w") as file:
        file.write("source\n")
    return path


def demanding(bundle: Bundle, sources: str, *, own_dev: bool) -> Bundle:
    """A config that makes the runtime do something at each of the places."""
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=666"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["size=64k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
        {"destination": "/run/made/deep", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/mnt/dir", "source": os.path.join(sources, "dir"), "options": ["bind", "ro"]},
        {"destination": "/mnt/file", "source": os.path.join(sources, "file"), "options": ["bind", "nosuid"]},
        {"destination": "/mnt/new/dir", "source": os.path.join(sources, "dir"), "options": ["rbind", "rro"]},
        {"destination": "/mnt/new/file", "source": os.path.join(sources, "file"), "options": ["bind", "rshared"]},
    ]
    bundle.config["mounts"] = [mount for mount in mounts if own_dev or mount["destination"] != "/dev"]
    bundle.config["linux"].update(
        maskedPaths=["/mask/dir", "/mask/file", "/proc/kcore", "/nosuch"],
        readonlyPaths=["/ro/dir", "/ro/file", "/proc/sys"],
        sysctl={"kernel.msgmax": "4242"},
        devices=[{"type": "c", "path": "/dev/custom", "major": 1, "minor": 3}],
    )
    bundle.config["process"].update(cwd="/work/dir", user={"uid": 5, "gid": 5})
    for name in ("mask/dir", "ro/dir", "work/dir", "mnt/dir", "mnt/new", "tmp", "etc"):
        os.makedirs(os.path.join(bundle.rootfs, name), exist_ok=True)
    for name in ("mask/file", "ro/file", "mnt/file", "etc/passwd", "etc/group"):
        with open(os.path.join(bundle.rootfs, name), "w") as file:
            file.write("x:x:5:5::/x:\n")
    return bundle.args("report")


def replace(bundle: Bundle, place: str, text: str) -> None:
    """Put a symlink at a place of the image."""
    path = os.path.join(bundle.rootfs, place)
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(text, path)


def check(done: Any, place: str) -> None:
    """It ran, with what was asked for, or was refused with a sentence."""
    if done.returncode == 0:
        report = json.loads(done.stdout.splitlines()[0])
        assert report["ids"]["uid"][0] == 5
        fstypes = {mount["target"]: mount["fstype"] for mount in report["mounts"]}
        assert fstypes["/proc"] == "proc"
        assert fstypes["/sys"] == "sysfs"
    else:
        assert done.returncode == 1
        assert done.stderr.strip(), place


def attempt(cli: CommandLine, bundle: Bundle, victim: str, place: str, text: str) -> None:
    before, host = snapshot(victim), host_state(bundle.path)
    replace(bundle, place, text)
    done = cli("run", "--bundle", bundle.path, f"symlink-{os.getpid()}", check=False)
    assert snapshot(victim) == before, f"{place} -> {text}"
    assert host_state(bundle.path) == host, f"{place} -> {text}"
    check(done, place)
    if place in MUST_BE_REFUSED:
        assert done.returncode == 1


@pytest.mark.parametrize("own_dev", [True, False], ids=["tmpfs on dev", "dev of the image"])
def test_the_config_works_on_an_honest_image(cli: CommandLine, bundle: Bundle, sources: str, own_dev: bool) -> None:
    done = cli("run", "--bundle", demanding(bundle, sources, own_dev=own_dev).path, f"honest-{os.getpid()}")
    report = json.loads(done.stdout.splitlines()[0])
    assert report["cwd"] == "/work/dir"
    assert "HOME=/x" in report["env"]
    targets = {mount["target"] for mount in report["mounts"]}
    assert {"/mnt/dir", "/mnt/file", "/mnt/new/dir", "/mnt/new/file", "/mask/dir", "/ro/dir", "/dev/shm"} <= targets


@pytest.mark.parametrize("place", [*DIRECTORIES, *FILES])
def test_a_symlink_to_the_host(cli: CommandLine, bundle: Bundle, victim: str, sources: str, place: str) -> None:
    """CVE-2019-18837, CVE-2019-19921, CVE-2023-27561, CVE-2025-54867, CVE-2026-41579, CVE-2026-47766."""
    demanding(bundle, sources, own_dev=False)
    target = os.path.join(victim, os.path.basename(place)) if place in FILES else victim
    for text in links_to(target, os.path.join(bundle.rootfs, place)).values():
        attempt(cli, bundle, victim, place, text)


@pytest.mark.parametrize("place", [place for place in (*DIRECTORIES, *FILES) if place.startswith("dev")])
def test_a_symlink_where_only_devices_are_made(
    cli: CommandLine, bundle: Bundle, victim: str, sources: str, place: str
) -> None:
    """CVE-2026-41579 as it was found: no mount on or below /dev, whose target would be looked at a second time."""
    demanding(bundle, sources, own_dev=False)
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    del bundle.config["linux"]["maskedPaths"]
    bundle.write()
    for name in ("null", "zero", "fd", "stdin", "console"):  # a name that exists already would stop the first step
        os.unlink(os.path.join(victim, name))
    target = os.path.join(victim, os.path.basename(place)) if place in FILES else victim
    for text in links_to(target, os.path.join(bundle.rootfs, place)).values():
        attempt(cli, bundle, victim, place, text)


@pytest.mark.parametrize("place", ["dev", "mnt", "proc"])
def test_a_symlink_below_a_tmpfs_on_dev(
    cli: CommandLine, bundle: Bundle, victim: str, sources: str, place: str
) -> None:
    demanding(bundle, sources, own_dev=True)
    for text in links_to(victim, os.path.join(bundle.rootfs, place)).values():
        attempt(cli, bundle, victim, place, text)


@pytest.mark.parametrize("place", [*DIRECTORIES, *FILES])
def test_a_dangling_symlink_and_a_loop(cli: CommandLine, bundle: Bundle, victim: str, sources: str, place: str) -> None:
    """CVE-2024-45310: nothing is created on the host where a symlink ends in something that is not there."""
    demanding(bundle, sources, own_dev=False)
    for text in (os.path.join(victim, "missing", "deep"), "/" + place, os.path.basename(place)):
        attempt(cli, bundle, victim, place, text)


@pytest.mark.parametrize("place", DIRECTORIES)
def test_a_symlink_to_another_directory_of_the_image(
    cli: CommandLine, bundle: Bundle, victim: str, sources: str, place: str
) -> None:
    """Followed inside, except for /proc and /sys."""
    demanding(bundle, sources, own_dev=False)
    os.makedirs(os.path.join(bundle.rootfs, "elsewhere"))
    attempt(cli, bundle, victim, place, "/elsewhere")
