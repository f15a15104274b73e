"""The mount options of config.md#linux-mount-options: flags, propagation, recursive attributes, data."""

from __future__ import annotations

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_MANDLOCK = 0x40
MS_DIRSYNC = 0x80
MS_NOSYMFOLLOW = 0x100
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SILENT = 0x8000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_I_VERSION = 0x800000
MS_STRICTATIME = 0x1000000
MS_LAZYTIME = 0x2000000

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR__ATIME = 0x70
MOUNT_ATTR_RELATIME = 0x0
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

# One of the three at most is in force: the later option wins, as with mount(8).
ATIME_MODES = MS_NOATIME | MS_RELATIME | MS_STRICTATIME

FLAGS = {
    "bind": MS_BIND,
    "dirsync": MS_DIRSYNC,
    "iversion": MS_I_VERSION,
    "lazytime": MS_LAZYTIME,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "nosymfollow": MS_NOSYMFOLLOW,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "ro": MS_RDONLY,
    "silent": MS_SILENT,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}
CLEARS = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "loud": MS_SILENT,
    "noiversion": MS_I_VERSION,
    "nolazytime": MS_LAZYTIME,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "symfollow": MS_NOSYMFOLLOW,
}
PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "rshared": MS_SHARED | MS_REC,
    "rslave": MS_SLAVE | MS_REC,
    "runbindable": MS_UNBINDABLE | MS_REC,
    "shared": MS_SHARED,
    "slave": MS_SLAVE,
    "unbindable": MS_UNBINDABLE,
}
# Recursive options as (attributes to set, attributes to clear) of mount_setattr(2).  The kernel wants the whole
# atime field cleared when one of its modes is set; relatime is the mode 0, so "not noatime" ends there as well.
RECURSIVE = {
    "ratime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rdev": (0, MOUNT_ATTR_NODEV),
    "rdiratime": (0, MOUNT_ATTR_NODIRATIME),
    "rexec": (0, MOUNT_ATTR_NOEXEC),
    "rnoatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "rnodev": (MOUNT_ATTR_NODEV, 0),
    "rnodiratime": (MOUNT_ATTR_NODIRATIME, 0),
    "rnoexec": (MOUNT_ATTR_NOEXEC, 0),
    "rnorelatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rnostrictatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rnosuid": (MOUNT_ATTR_NOSUID, 0),
    "rnosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0),
    "rrelatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rro": (MOUNT_ATTR_RDONLY, 0),
    "rrw": (0, MOUNT_ATTR_RDONLY),
    "rstrictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "rsuid": (0, MOUNT_ATTR_NOSUID),
    "rsymfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
}
IGNORED = ("defaults",)  # the default flags are what a mount without options gets
EXTENSIONS = ("tmpcopyup",)
IDMAP = {"idmap": False, "ridmap": True}  # whether the mounts below are id-mapped too


class Options:
    """Parsed options; the fields are those of `seatrial.runtime.config.Mount`."""

    __slots__ = (
        "cleared_flags",
        "copy_up",
        "data",
        "flags",
        "idmap",
        "propagation_flags",
        "rec_attr_clr",
        "rec_attr_set",
    )

    def __init__(self, words: list[str]) -> None:
        """Parse a list of options; the last of a pair wins."""
        flags = cleared = rec_set = rec_clr = 0
        data = []
        self.propagation_flags: list[int] = []
        self.copy_up = False
        self.idmap: bool | None = None  # None: not asked for; True: recursively
        for word in words:
            if word in FLAGS:
                flag = FLAGS[word]
                if flag & ATIME_MODES:
                    flags &= ~ATIME_MODES
                flags |= flag
                cleared &= ~flag
            elif word in CLEARS:
                flag = CLEARS[word]
                flags &= ~flag
                cleared |= flag
            elif word in PROPAGATION:
                self.propagation_flags.append(PROPAGATION[word])
            elif word in RECURSIVE:
                to_set, to_clear = RECURSIVE[word]
                rec_set = rec_set & ~to_clear | to_set
                # The atime field stays cleared as a whole: mount_setattr(2) refuses to set a mode otherwise.
                rec_clr = rec_clr & ~(to_set & ~MOUNT_ATTR__ATIME) | to_clear
            elif word == "tmpcopyup":
                self.copy_up = True
            elif word in IDMAP:
                self.idmap = IDMAP[word]
            elif word not in IGNORED:
                data.append(word)
        self.flags = flags
        self.cleared_flags = cleared
        self.rec_attr_set = rec_set
        self.rec_attr_clr = rec_clr
        self.data = ",".join(data)


def known() -> list[str]:
    """Every option that this runtime implements itself, sorted: what `features` lists."""
    return sorted([*FLAGS, *CLEARS, *PROPAGATION, *RECURSIVE, *IGNORED, *EXTENSIONS, *IDMAP])
