"""The cache of compiled seccomp profiles: hits, misses, and what is not trusted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from plan_configs import compiled, config

from seatrial.runtime.config import Seccomp, SeccompRule
from seatrial.runtime.errors import ConfigError, SeatrialError
from seatrial.runtime.seccomp import cache
from seatrial.runtime.seccomp import filter as filter_module
from seatrial.runtime.seccomp.compiled import CompiledFilter
from seatrial.runtime.seccomp.libseccomp import Library

try:
    Library()
except SeatrialError as reason:
    pytest.skip(str(reason), allow_module_level=True)

PROFILE = Seccomp(
    default_action="SCMP_ACT_ALLOW",
    syscalls=[SeccompRule(names=["getpid"], action="SCMP_ACT_NOTIFY")],
    listener_path="/agent",
)


class Counter:
    """Counts what is compiled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = filter_module.compile_filter

        def counted(*arguments: object, **words: object) -> CompiledFilter:
            self.count += 1
            return real(*arguments, **words)  # type: ignore[arg-type]

        monkeypatch.setattr(filter_module, "compile_filter", counted)


@pytest.fixture
def root(tmp_path: os.PathLike[str]) -> str:
    return os.fspath(tmp_path)


@pytest.fixture
def place(root: str) -> str:
    return os.path.join(root, *cache.PLACE)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    return Counter(monkeypatch)


def same(one: CompiledFilter, other: CompiledFilter) -> bool:
    return (one.filter, one.flags, one.notify) == (other.filter, other.flags, other.notify)


def only_entry(place: str) -> str:
    (name,) = os.listdir(place)
    return os.path.join(place, name)


def test_second_time_comes_from_the_cache(root: str, place: str, counter: Counter) -> None:
    first = cache.filter_of(PROFILE, root)
    second = cache.filter_of(PROFILE, root)
    assert counter.count == 1
    assert same(first, second)
    assert second.notify
    entry = os.stat(only_entry(place))
    assert entry.st_mode & 0o7777 == 0o600
    assert [os.stat(os.path.join(root, part)).st_mode & 0o7777 for part in (".cache", ".cache/seccomp")] == [0o700] * 2


def test_without_a_root_there_is_no_cache(counter: Counter) -> None:
    cache.filter_of(PROFILE, "")
    cache.filter_of(PROFILE, "")
    assert counter.count == 2


def test_the_agent_is_not_part_of_the_program(root: str, counter: Counter) -> None:
    cache.filter_of(PROFILE, root)
    cache.filter_of(PROFILE.replace(listener_path="/other", listener_metadata="x"), root)
    assert counter.count == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"default_action": "SCMP_ACT_LOG"},
        {"flags": ["SECCOMP_FILTER_FLAG_LOG"]},
        {"architectures": ["SCMP_ARCH_X86"]},
        {"syscalls": [SeccompRule(names=["getppid"], action="SCMP_ACT_ERRNO")]},
        {"syscalls": [SeccompRule(names=["getpid"], action="SCMP_ACT_ERRNO", errno=5)]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_profile_is_another_entry(root: str, place: str, counter: Counter, changes: dict[str, object]) -> None:
    cache.filter_of(PROFILE, root)
    other = cache.filter_of(PROFILE.replace(**changes), root)
    assert counter.count == 2
    assert len(os.listdir(place)) == 2
    assert same(other, cache.filter_of(PROFILE.replace(**changes), root))


def test_another_kernel_is_another_entry(root: str, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.filter_of(PROFILE, root)
    monkeypatch.setattr(cache, "supported_flags", lambda: 0x0F)
    cache.filter_of(PROFILE, root)
    assert counter.count == 2


def test_another_library_makes_it_anew(root: str, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.filter_of(PROFILE, root)
    real = cache._identity
    monkeypatch.setattr(cache, "_identity", lambda path: real(path) and real(path) + b" upgraded")
    cache.filter_of(PROFILE, root)
    assert counter.count == 2
    cache.filter_of(PROFILE, root)  # the new one has taken the place of the old one
    assert counter.count == 2


@pytest.mark.parametrize(
    "damage", ["empty", "cut", "flipped", "foreign magic", "longer", "directory", "symlink", "fifo", "writable"]
)
def test_a_damaged_entry_is_a_miss(root: str, place: str, counter: Counter, damage: str) -> None:
    good = cache.filter_of(PROFILE, root)
    entry = only_entry(place)
    with open(entry, "rb") as file:
        data = file.read()
    changed = {
        "empty": b"",
        "cut": data[:-8],
        "flipped": data[:-1] + bytes([data[-1] ^ 1]),
        "foreign magic": b"XXXX" + data[4:],
        "longer": data + b"\0" * 8,
    }
    if damage in changed:
        with open(entry, "wb") as file:
            file.write(changed[damage])
    elif damage == "writable":
        os.chmod(entry, 0o666)
    else:
        os.rename(entry, entry + ".moved")
        if damage == "directory":
            os.mkdir(entry)
        elif damage == "symlink":
            os.symlink(entry + ".moved", entry)
        else:
            os.mkfifo(entry)
    assert same(cache.filter_of(PROFILE, root), good)
    assert counter.count == 2
    if damage != "directory":  # which nothing can replace
        assert same(cache.filter_of(PROFILE, root), good)
        assert counter.count == 2


@pytest.mark.parametrize("part", [".cache", ".cache/seccomp"])
@pytest.mark.parametrize("kind", ["writable", "symlink", "file"])
def test_a_place_that_others_can_change_is_not_used(
    root: str, counter: Counter, part: str, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = os.path.join(root, part)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if kind == "writable":
        os.mkdir(path)
        os.chmod(path, 0o777)
    elif kind == "symlink":
        os.symlink(elsewhere, path)
    else:
        with open(path, "w"):
            pass
    cache.filter_of(PROFILE, root)
    cache.filter_of(PROFILE, root)
    assert counter.count == 2
    assert os.listdir(elsewhere) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of another user")
@pytest.mark.parametrize("part", [".cache", ".cache/seccomp", "entry"])
def test_what_belongs_to_another_user_is_not_used(root: str, place: str, counter: Counter, part: str) -> None:
    cache.filter_of(PROFILE, root)
    os.chown(only_entry(place) if part == "entry" else os.path.join(root, part), 4711, -1)
    cache.filter_of(PROFILE, root)
    assert counter.count == 2


def test_a_root_that_is_not_there_is_no_error(root: str) -> None:
    assert cache.filter_of(PROFILE, os.path.join(root, "nosuch")).filter
    assert not os.path.exists(os.path.join(root, "nosuch"))


def test_the_number_of_entries_is_bounded(root: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ENTRIES", 3)
    os.makedirs(place, 0o700)
    with open(os.path.join(place, "left.by.a.killed.runtime"), "w"):
        pass
    os.utime(os.path.join(place, "left.by.a.killed.runtime"), (1, 1))
    for number in range(6):
        rule = SeccompRule(names=["getpid"], action="SCMP_ACT_ERRNO", errno=number)
        cache.filter_of(PROFILE.replace(syscalls=[rule]), root)
        last = set(os.listdir(place))
        assert len(last) <= 3
    assert "left.by.a.killed.runtime" not in last


def test_threads_may_compile_the_same_profile(root: str, place: str) -> None:
    results: list[CompiledFilter] = []
    threads = [threading.Thread(target=lambda: results.append(cache.filter_of(PROFILE, root))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(same(result, results[0]) for result in results)
    assert len(os.listdir(place)) == 1


def test_a_wrong_profile_is_still_an_error_and_leaves_nothing(root: str) -> None:
    with pytest.raises(ConfigError):
        cache.filter_of(PROFILE.replace(architectures=["SCMP_ARCH_Z80"]), root)
    assert os.listdir(root) == []


def test_a_hit_loads_neither_libseccomp_nor_ctypes(root: str) -> None:
    compiled(config(seccomp=PROFILE), cache_root=root)
    code = (
        "import sys\n"
        "from plan_configs import compiled, config\n"
        "from test_seccomp_cache import PROFILE\n"
        "for name in ('ctypes', 'hashlib'): sys.modules.pop(name, None)\n"
        "for name in [name for name in sys.modules if 'libseccomp' in name or name.endswith('seccomp.filter')]:\n"
        "    del sys.modules[name]\n"
        f"plan = compiled(config(seccomp=PROFILE), cache_root={root!r})\n"
        "assert 'seccomp' in [operation.name for operation in plan.operations]\n"
        "assert 'ctypes' not in sys.modules and not any('libseccomp' in name for name in sys.modules)\n"
    )
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([sys.executable, "-c", code], check=True, cwd=here, timeout=60)
