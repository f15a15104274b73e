"""Cgroups below a container's: what --cgroup means, and that it leads nowhere else, with openat2(2) and without."""

from __future__ import annotations

import errno
import os

import pytest

from seatrial.runtime.cgroup import entry
from seatrial.runtime.cgroup.entry import Entry, open_beneath, parse_sub_cgroups
from seatrial.runtime.errors import SyscallError, UsageError


@pytest.mark.parametrize(
    ("options", "sub"),
    [
        ([], {}),
        (["a/b"], {"": "a/b"}),
        (["/"], {"": "/"}),
        (["pids:x"], {"pids": "x"}),
        (["pids,cpu:x", "name=systemd:/y"], {"pids": "x", "cpu": "x", "name=systemd": "/y"}),
    ],
)
def test_options(options: list[str], sub: dict[str, str]) -> None:
    assert parse_sub_cgroups(options) == sub


@pytest.mark.parametrize(
    "options", [["a", "b"], ["pids:x", "pids:y"], ["a", "pids:x"], [":x"], ["pids,:x"], ["pids,pids:x"]]
)
def test_options_that_contradict_each_other(options: list[str]) -> None:
    with pytest.raises(UsageError, match="--cgroup"):
        parse_sub_cgroups(options)


@pytest.fixture
def top(tmp_path: os.PathLike[str]) -> int:
    os.makedirs(os.path.join(tmp_path, "top/sub/deep"))
    os.mkdir(os.path.join(tmp_path, "top-sibling"))
    os.symlink("/", os.path.join(tmp_path, "top/link"))
    with open(os.path.join(tmp_path, "top/file"), "w"):
        pass
    return os.open(os.path.join(tmp_path, "top"), os.O_PATH | os.O_DIRECTORY)


@pytest.fixture(params=["openat2", "before Linux 5.6", "behind a filter"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "openat2":
        error = errno.ENOSYS if request.param == "before Linux 5.6" else errno.EPERM

        def refused(*_arguments: object) -> int:
            raise OSError(error, "openat2: refused")

        monkeypatch.setattr(entry, "openat2", refused)
    return str(request.param)


@pytest.mark.parametrize(("path", "name"), [("sub", "sub"), ("/sub", "sub"), ("//sub/deep/", "sub/deep")])
def test_below(kernel: str, top: int, tmp_path: os.PathLike[str], path: str, name: str) -> None:
    fd = open_beneath(top, path)
    assert os.path.samestat(os.fstat(fd), os.stat(os.path.join(tmp_path, "top", name)))
    os.close(fd)


@pytest.mark.parametrize("path", ["..", "../top-sibling", "/../top-sibling", "sub/../../top-sibling", "sub/../.."])
def test_a_way_out_is_refused(kernel: str, top: int, path: str) -> None:
    with pytest.raises(OSError, match="openat") as refused:
        open_beneath(top, path)
    assert refused.value.errno == errno.EXDEV


@pytest.mark.parametrize("path", ["nosuch", "link", "file"])
def test_what_is_no_directory_is_refused(kernel: str, top: int, path: str) -> None:
    with pytest.raises(OSError, match=path):
        open_beneath(top, path)


class Notes(list[str]):
    """Debug lines and warnings."""


def entry_of(paths: dict[str, str], sub: dict[str, str], notes: Notes, *, tolerant: bool = False) -> Entry:
    return Entry(paths, sub, os.getpid(), tolerant=tolerant, debug=notes.append, warning=notes.append)


def test_hierarchies_are_opened_once(tmp_path: os.PathLike[str]) -> None:
    cpu, unified = os.path.join(tmp_path, "cpu"), os.path.join(tmp_path, "unified")
    os.mkdir(cpu)
    os.mkdir(unified)
    one = entry_of({"cpu": cpu, "cpuacct": cpu, "": unified}, {}, Notes())
    one.open()
    assert [place.names for place in one.places] == [["cpu", "cpuacct"], [""]]
    assert os.path.samestat(os.fstat(one.fd), os.stat(unified))
    with open(os.path.join(cpu, "tasks"), "w"):
        pass
    tasks = one.tasks()
    assert len(tasks) == 1
    os.close(tasks[0])
    one.close()
    one.close()
    assert one.fd == -1


def test_two_places_in_one_hierarchy_are_refused(tmp_path: os.PathLike[str]) -> None:
    directory = str(tmp_path)
    with pytest.raises(UsageError, match="one hierarchy"):
        entry_of({"cpu": directory, "cpuacct": directory}, {"cpu": "a", "cpuacct": "b"}, Notes()).open()


def test_a_controller_that_the_host_has_not(tmp_path: os.PathLike[str]) -> None:
    with pytest.raises(UsageError, match="no cgroup of controller 'pids'; it has none: the host has cgroup v2 only"):
        entry_of({"": str(tmp_path)}, {"pids": "x"}, Notes()).open()
    with pytest.raises(UsageError, match="no cgroup"):
        entry_of({}, {"": "x"}, Notes()).open()


def test_rootless_a_cgroup_that_refuses_is_a_warning(tmp_path: os.PathLike[str]) -> None:
    gone = os.path.join(tmp_path, "gone")
    notes = Notes()
    tolerant = entry_of({"pids": gone}, {}, notes, tolerant=True)
    tolerant.open()
    if not tolerant.places:  # else init's own was found
        assert "cannot be entered: ENOENT" in notes[0]
    tolerant.close()
    with pytest.raises(SyscallError, match="ENOENT"):
        entry_of({"bogus": gone}, {}, Notes()).open()
