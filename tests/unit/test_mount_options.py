"""The option table of config.md#linux-mount-options."""

from __future__ import annotations

import pytest

from seatrial.runtime.mount_options import Options, known

# The kernel's numbers (include/uapi/linux/mount.h), written down again.
SET = {
    "bind": 0x1000,
    "dirsync": 0x80,
    "iversion": 0x800000,
    "lazytime": 0x2000000,
    "mand": 0x40,
    "noatime": 0x400,
    "nodev": 4,
    "nodiratime": 0x800,
    "noexec": 8,
    "nosuid": 2,
    "nosymfollow": 0x100,
    "rbind": 0x5000,
    "relatime": 0x200000,
    "remount": 0x20,
    "ro": 1,
    "silent": 0x8000,
    "strictatime": 0x1000000,
    "sync": 0x10,
}
PAIRS = [
    ("sync", "async"),
    ("noatime", "atime"),
    ("nodev", "dev"),
    ("nodiratime", "diratime"),
    ("noexec", "exec"),
    ("silent", "loud"),
    ("iversion", "noiversion"),
    ("lazytime", "nolazytime"),
    ("mand", "nomand"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nosymfollow", "symfollow"),
]
PROPAGATION = {
    "private": 0x40000,
    "rprivate": 0x44000,
    "shared": 0x100000,
    "rshared": 0x104000,
    "slave": 0x80000,
    "rslave": 0x84000,
    "unbindable": 0x20000,
    "runbindable": 0x24000,
}
RECURSIVE = {
    "rro": (1, 0),
    "rrw": (0, 1),
    "rnosuid": (2, 0),
    "rsuid": (0, 2),
    "rnodev": (4, 0),
    "rdev": (0, 4),
    "rnoexec": (8, 0),
    "rexec": (0, 8),
    "rnodiratime": (0x80, 0),
    "rdiratime": (0, 0x80),
    "rnosymfollow": (0x200000, 0),
    "rsymfollow": (0, 0x200000),
    "rnoatime": (0x10, 0x70),
    "ratime": (0, 0x70),
    "rrelatime": (0, 0x70),
    "rnorelatime": (0, 0x70),
    "rstrictatime": (0x20, 0x70),
    "rnostrictatime": (0, 0x70),
}


@pytest.mark.parametrize("word", SET)
def test_a_flag(word: str) -> None:
    options = Options([word])
    assert (options.flags, options.cleared_flags, options.data) == (SET[word], 0, "")


@pytest.mark.parametrize(("on", "off"), PAIRS)
def test_the_later_of_a_pair_wins(on: str, off: str) -> None:
    assert Options([on, off]).flags == 0
    assert Options([on, off]).cleared_flags == SET[on]
    assert Options([off, on]).flags == SET[on]
    assert Options([off, on]).cleared_flags == 0
    assert Options([off]).data == ""


@pytest.mark.parametrize("word", PROPAGATION)
def test_propagation_is_kept_in_order(word: str) -> None:
    options = Options([word, "rslave"])
    assert options.propagation_flags == [PROPAGATION[word], 0x84000]
    assert (options.flags, options.data) == (0, "")


@pytest.mark.parametrize("word", RECURSIVE)
def test_recursive_attributes(word: str) -> None:
    options = Options([word])
    assert (options.rec_attr_set, options.rec_attr_clr) == RECURSIVE[word]
    assert (options.flags, options.data) == (0, "")


def test_recursive_attributes_combine() -> None:
    assert (Options(["rro", "rrw"]).rec_attr_set, Options(["rro", "rrw"]).rec_attr_clr) == (0, 1)
    assert (Options(["rrw", "rro"]).rec_attr_set, Options(["rrw", "rro"]).rec_attr_clr) == (1, 0)
    options = Options(["rnoatime", "rstrictatime", "rro"])
    assert (options.rec_attr_set, options.rec_attr_clr) == (0x21, 0x70)


def test_one_atime_mode_is_in_force() -> None:
    assert Options(["noatime", "relatime"]).flags == SET["relatime"]
    assert Options(["relatime", "strictatime", "noatime"]).flags == SET["noatime"]


def test_the_rest_is_data_in_order() -> None:
    options = Options(["size=1k", "nosuid", "mode=0700,nr_inodes=5", "acl"])
    assert options.data == "size=1k,mode=0700,nr_inodes=5,acl"
    assert options.flags == SET["nosuid"]


def test_defaults_is_no_data() -> None:
    assert (Options(["defaults"]).data, Options(["defaults"]).flags) == ("", 0)


def test_tmpcopyup() -> None:
    assert Options(["tmpcopyup"]).copy_up
    assert Options(["tmpcopyup"]).data == ""
    assert not Options([]).copy_up


@pytest.mark.parametrize(
    ("words", "idmap"),
    [([], None), (["idmap"], False), (["ridmap"], True), (["ridmap", "idmap"], False), (["idmap", "ridmap"], True)],
)
def test_idmap_never_becomes_data(words: list[str], idmap: bool | None) -> None:
    options = Options(["bind", *words])
    assert (options.idmap, options.data) == (idmap, "")


def test_known_options_are_those_of_the_table() -> None:
    table = {*SET, *(off for _, off in PAIRS), *PROPAGATION, *RECURSIVE, "defaults", "tmpcopyup", "idmap", "ridmap"}
    assert known() == sorted(table)
