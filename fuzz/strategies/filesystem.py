"""The root, mounts, device nodes, masked and read-only paths."""

from __future__ import annotations

from hypothesis import strategies as st

from seatrial.fuzz.strategies import text
from seatrial.fuzz.strategies.draft import Document, Draft, Part

# config.md#linux-mount-options that every file system and kernel takes, each beside its opposite.
PAIRS = (
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("noatime", "atime"),
    ("nodiratime", "diratime"),
    ("relatime", "strictatime"),
    ("sync", "async"),
    ("silent", "loud"),
)
RESTRICTIONS = ("ro", "nosuid", "nodev", "noexec")  # what a user namespace may add to a mount that it has inherited
PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable")
SOURCES = ("/etc", "/usr", "/dev/null")  # directories and a file of every host
# What is under /proc and /sys on most kernels, and what is nowhere: a path that does not exist is left alone.
PATHS = ("/proc/bus", "/proc/kcore", "/proc/sys", "/sys/firmware", "/tmp", "/etc/passwd", "/nowhere", "/nowhere/below")
# char devices that every host has, with their numbers (Documentation/admin-guide/devices.txt)
NUMBERS = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (10, 229), (240, 0))


def root(draw: st.DrawFn, draft: Draft) -> None:
    """readonly, either way."""
    draft.config.setdefault("root", {"path": "rootfs"})["readonly"] = draw(st.booleans())


def _options(draw: st.DrawFn, pairs: tuple[tuple[str, ...], ...]) -> list[str]:
    chosen = draw(st.lists(st.sampled_from(range(len(pairs))), unique=True, max_size=4))
    return [draw(st.sampled_from(pairs[index])) for index in chosen]


def _tmpfs(draw: st.DrawFn) -> Document:
    options = _options(draw, PAIRS)
    if draw(st.booleans()):
        options.append(f"size={draw(st.integers(64, 65536))}k")
    if draw(st.booleans()):
        options.append(f"mode={draw(st.integers(0o700, 0o1777)):o}")
    if draw(st.booleans()):
        options.append(f"nr_inodes={draw(st.integers(16, 65536))}")
    return {"type": "tmpfs", "source": "tmpfs", "options": options}


def _bind(draw: st.DrawFn, draft: Draft) -> Document:
    source = draw(st.sampled_from([*SOURCES, draft.config.get("root", {}).get("path", "/usr")]))
    if "user" in draft.namespaces:
        # Of another user namespace's mounts only whole trees can be bound, and nothing can be made laxer.
        options = ["rbind", *_options(draw, tuple((word,) for word in RESTRICTIONS))]
    else:
        options = [draw(st.sampled_from(["bind", "rbind"])), *_options(draw, PAIRS[:7])]
    if draw(st.booleans()):
        options.append(draw(st.sampled_from(PROPAGATIONS)))
    entry = {"source": source, "options": options}
    return {"type": "bind", **entry} if draw(st.booleans()) else entry


def mounts(draw: st.DrawFn, draft: Draft) -> None:
    """tmpfs and bind mounts below /mnt, on places of their own."""
    for name in draw(st.lists(text.components, min_size=1, max_size=3, unique=True)):
        entry = _tmpfs(draw) if draw(st.booleans()) else _bind(draw, draft)
        draft.mounts.append({"destination": f"/mnt/{name}", **entry})


def propagation(draw: st.DrawFn, draft: Draft) -> None:
    """rootfsPropagation, one of the specification's four."""
    draft.linux["rootfsPropagation"] = draw(st.sampled_from(["private", "slave", "shared", "unbindable"]))


def masked(draw: st.DrawFn, draft: Draft) -> None:
    """maskedPaths."""
    draft.linux["maskedPaths"] = draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=4))


def readonly(draw: st.DrawFn, draft: Draft) -> None:
    """readonlyPaths."""
    draft.linux["readonlyPaths"] = draw(st.lists(st.sampled_from(PATHS), unique=True, max_size=4))


def devices(draw: st.DrawFn, draft: Draft) -> None:
    """Nodes below /dev; in a user namespace, where nobody may mknod(2), fifos alone."""
    entries = []
    kinds = ["p"] if "user" in draft.namespaces else ["c", "u", "b", "p"]
    for name in draw(st.lists(text.names, min_size=1, max_size=3, unique=True)):
        entry: Document = {"path": f"/dev/seatrial-{name}", "type": draw(st.sampled_from(kinds))}
        if entry["type"] == "b":
            entry |= {"major": 7, "minor": draw(st.integers(0, 255))}
        elif entry["type"] != "p":
            entry["major"], entry["minor"] = draw(st.sampled_from(NUMBERS))
        if draw(st.booleans()):
            entry["fileMode"] = draw(st.integers(0, 0o777))
        for member in ("uid", "gid"):
            if draw(st.booleans()):
                entry[member] = draw(st.integers(0, draft.mapped(member) - 1))
        entries.append(entry)
    draft.linux["devices"] = entries


def idmapped(draw: st.DrawFn, draft: Draft) -> None:
    """An id-mapped bind mount (Linux 5.12, and a file system that can)."""
    line = {"containerID": 0, "hostID": draw(st.integers(0, 2**31)), "size": draw(st.integers(1, 65536))}
    draft.mounts.append(
        {
            "destination": "/mnt/idmapped",
            "source": draft.config.get("root", {}).get("path", "/usr"),
            "options": ["bind", draw(st.sampled_from(["idmap", "ridmap"]))],
            "uidMappings": [line],
            "gidMappings": [dict(line)],
        }
    )


PARTS: dict[str, Part] = {
    "root.readonly": root,
    "mounts": mounts,
    "rootfsPropagation": propagation,
    "maskedPaths": masked,
    "readonlyPaths": readonly,
    "devices": devices,
}
HOST_PARTS: dict[str, Part] = {"id-mapped mount": idmapped}
