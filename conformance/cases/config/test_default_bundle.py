"""Everything of one ordinary config at once: what other cases look at one by one may be wrong for one of several."""

from __future__ import annotations

import os
from typing import Any

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.probe import Report

FLAGS = ("ro", "nosuid", "nodev", "noexec")


def options_of(mount: dict[str, Any]) -> list[str]:
    """Of a row of the mount table: its own and the file system's."""
    return f"{mount['options']},{mount['super_options']}".split(",")


@covers("config/mounts/1", "config/mounts/4")
def test_every_mount_is_there(bundle: Bundle, default_report: Report) -> None:
    """Each entry of `mounts`, at its place, of its type, with its flags (config.md#mounts)."""
    wrong = []
    for entry in bundle.config["mounts"]:
        found = [mount for mount in default_report["mounts"] if mount["target"] == entry["destination"]]
        if not found:
            wrong.append(f"{entry['destination']} is not mounted")
            continue
        mount = found[-1]
        if entry["type"] in ("cgroup", "cgroup2"):
            continue  # looks as the host's hierarchies do: see below
        if entry["type"] != mount["fstype"]:
            wrong.append(f"{entry['destination']} is {mount['fstype']}")
        flags = {flag for flag in entry.get("options", ()) if flag in FLAGS}
        wrong += [f"{entry['destination']} is not {flag}" for flag in sorted(flags - set(options_of(mount)))]
        if "strictatime" in entry.get("options", ()) and {"relatime", "noatime"} & set(options_of(mount)):
            wrong.append(f"{entry['destination']} is not strictatime")
    assert wrong == []


@covers("config/mounts/1")
def test_every_cgroup_mount_is_read_only(bundle: Bundle, default_report: Report) -> None:
    """A read-only cgroup mount is read-only in each of its hierarchies (config.md#mounts)."""
    entries = [entry for entry in bundle.config["mounts"] if entry["type"] in ("cgroup", "cgroup2")]
    wanted = [entry["destination"] for entry in entries if "ro" in entry.get("options", ())]
    below = [
        mount
        for mount in default_report["mounts"]
        if mount["fstype"] in ("cgroup", "cgroup2")
        and any(mount["target"] == place or mount["target"].startswith(place + "/") for place in wanted)
    ]
    assert bool(below) == bool(wanted)
    assert [mount["target"] for mount in below if "ro" not in options_of(mount)] == []


@covers("config-linux/masked-paths/1", "config-linux/readonly-paths/1")
def test_every_path_is_hidden_or_read_only(bundle: Bundle, default_report: Report) -> None:
    """Each path of maskedPaths and readonlyPaths that there is has a mount of its own (config-linux.md)."""
    covered = {mount["target"]: mount for mount in default_report["mounts"]}
    there = {path for path in bundle.linux.get("maskedPaths", ()) if os.path.exists(path)}
    kept = {path for path in bundle.linux.get("readonlyPaths", ()) if os.path.exists(path)}
    assert there - set(covered) == set()
    assert kept - set(covered) == set()
    assert [path for path in kept if "ro" not in options_of(covered[path])] == []


@covers("config-linux/default-devices/1")
def test_every_default_device_is_there(default_report: Report) -> None:
    """The six devices, each with its numbers, and /dev/ptmx (config-linux.md#default-devices)."""
    wanted = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
    found = default_report["devices"]
    numbers = {name: (found.get(f"/dev/{name}") or {}).get("minor") for name in wanted}
    assert numbers == wanted
    assert {(found[f"/dev/{name}"]["type"], found[f"/dev/{name}"]["major"]) for name in wanted} == {("c", 1)}
    assert "/dev/tty" in found
    assert "/dev/ptmx" in found
