"""Become an ordinary user who can run what is tested here, and execute a command:

    python ordinary_user.py HOME --id ID [--ranges FIRST:COUNT] [--view v1] [--cgroup NAME] -- COMMAND...

It happens in a private mount namespace.  There the user has an entry in /etc/passwd (newuidmap wants one) and, with
--ranges, in /etc/subuid and /etc/subgid; and where a directory above the interpreter or the sources keeps others out (a
checkout below /root), a tmpfs with just those trees takes its place.  The host's files stay as they are.

--view v1 shows the v1 hierarchies alone, for runtimes that refuse a hybrid host.  --cgroup makes a cgroup NAME below
the caller's in every hierarchy, gives it to the user and moves there: delegation (cgroups(7)).  The caller removes it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from seatrial.conformance.driver.ordinary import bind, give_name, open_the_way
from seatrial.native import mount_api, syscall

USER = "sailor"
ID = 600000 + os.getpid() % 100000  # uid and gid; nobody else's, one hopes, and not that of another worker
RANGES = f"{(ID - 590000) * 65536}:65536"  # for --ranges
HERE = os.path.abspath(__file__)
REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))


def command(home: str, *words: str, ranges: str = "", view: str = "", cgroup: str = "") -> list[str]:
    """The command line that does it; `home` is a directory that the user gets."""
    asked = {"--id": str(ID), "--ranges": ranges, "--view": view, "--cgroup": cgroup}
    options = [word for name, value in asked.items() if value for word in (name, value)]
    return [sys.executable, HERE, home, *options, "--", *words]


def in_ranges(uid: int) -> bool:
    """Whether a uid is one of RANGES."""
    first, count = map(int, RANGES.split(":"))
    return first <= uid < first + count


def environment(home: str) -> dict[str, str]:
    """What a login would give: HOME and XDG_RUNTIME_DIR below `home`, the interpreter's directory first in PATH."""
    path = f"{os.path.dirname(sys.executable)}:/usr/sbin:/usr/bin:/sbin:/bin"
    directories = {"HOME": home, "XDG_RUNTIME_DIR": f"{home}/run", "TMPDIR": f"{home}/tmp"}
    return {**directories, "USER": USER, "PATH": path, "LANG": "C.UTF-8"}


def show_v1() -> None:
    """Only the v1 hierarchies below /sys/fs/cgroup."""
    mount_api.mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755")
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = [line.split() for line in file if " - cgroup " in line]
    places = [words[4] for words in lines if words[4].startswith("/sys/fs/cgroup/")]
    for place in places:
        os.mkdir(f"/mnt/{os.path.basename(place)}")
        bind(place, f"/mnt/{os.path.basename(place)}")
    mount_api.umount("/sys/fs/cgroup", mount_api.MNT_DETACH)
    bind("/mnt", "/sys/fs/cgroup")


def delegate(cgroup: str, id: int) -> None:
    """Move into a cgroup of this name below our own, which is the user's, in each hierarchy."""
    from seatrial.conformance.airlock.subtree import hierarchies

    for hierarchy in hierarchies():
        directory = os.path.join(hierarchy.own, cgroup)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory)
        if hierarchy.version == 1 and "cpuset" in hierarchy.option.split(","):
            for file in ("cpuset.cpus", "cpuset.mems"):
                with open(f"{hierarchy.own}/{file}", encoding="ascii") as source:
                    value = source.read()
                with open(f"{directory}/{file}", "w", encoding="ascii") as target:
                    target.write(value)
        for name in (".", "cgroup.procs", "tasks", "cgroup.subtree_control"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(f"{directory}/{name}", id, id)
        with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--ranges", default="")
    parser.add_argument("--view", default="", choices=("", "v1"))
    parser.add_argument("--cgroup", default="")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    home = os.path.abspath(options.home)
    for path in (home, f"{home}/run", f"{home}/tmp"):
        os.makedirs(path, exist_ok=True)
        os.chown(path, options.id, options.id)
    if options.cgroup:
        delegate(options.cgroup, options.id)
    syscall.unshare(syscall.CLONE_NEWNS)
    mount_api.mount(None, "/", None, mount_api.MS_REC | mount_api.MS_PRIVATE)
    give_name(home, USER, options.id, options.ranges)
    if options.view == "v1":
        show_v1()
    open_the_way([home, REPOSITORY, sys.prefix, sys.base_prefix])
    os.setgroups([])
    os.setresgid(options.id, options.id, options.id)
    os.setresuid(options.id, options.id, options.id)
    os.chdir(home)
    os.execve(options.command[0], options.command, environment(home))


if __name__ == "__main__":
    main()
