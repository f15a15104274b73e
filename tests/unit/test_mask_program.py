"""Masks: every generated filter is run, call by call, and compared with what its table says."""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Iterator

import pytest
from cbpf import AARCH64, ALLOW, I386, X86_64, errno_action, run

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.mask import history, names, numbers
from seatrial.conformance.mask.features import BY_NAME_OF_FEATURE, FEATURES
from seatrial.conformance.mask.names import Mask, profile, resolve, union
from seatrial.conformance.mask.program import assemble
from seatrial.conformance.mask.rule import Rule, bits, equal, least, other

RELEASES = sorted({(4, 18), *(row.kernel for row in history.ROWS if row.kernel >= (4, 18))})
EVERY = [*(resolve(name) for name in names.features()), *(profile(release) for release in RELEASES)]
FEW = [mask for mask in EVERY if mask.version in (None, (4, 18), (5, 10))]
OUR_ARCHITECTURES = [(machine, arch) for machine, arches in numbers.MACHINES.items() for arch in arches]
HIGH = (1 << 32, (1 << 32) + 88, (1 << 64) - 1)


def arguments_for(rules: tuple[Rule, ...]) -> Iterator[tuple[int, ...]]:
    """Argument lists about one call's rules: values near to what they ask for in the registers that they look at, in
    all combinations, and the same values in the registers that they do not look at."""
    looked = sorted({test.argument for rule in rules for test in rule.tests})
    near = {
        place: sorted(
            {
                *HIGH,
                0,
                *(
                    value + step
                    for rule in rules
                    for test in rule.tests
                    for value in test.values
                    for step in (-1, 0, 1)
                    if test.argument == place and value + step >= 0
                ),
            }
        )
        for place in looked
    }
    for chosen in itertools.product(*near.values()):
        picked = dict(zip(looked, chosen, strict=True))
        yield tuple(picked.get(place, 0) for place in range(6))
    for place in set(range(6)) - set(looked):
        yield tuple(0xFFFFFFFFFFFFFFFF if position == place else 0 for position in range(6))


def expected(rules: tuple[Rule, ...], call: str, arguments: tuple[int, ...]) -> int:
    return next((errno_action(rule.errno) for rule in rules if rule.answers(call, arguments)), ALLOW)


@pytest.mark.parametrize("mask", EVERY, ids=lambda mask: mask.name)
def test_the_filter_says_what_the_table_says(mask: Mask) -> None:
    compare(mask, "x86_64", X86_64)


@pytest.mark.parametrize("mask", FEW, ids=lambda mask: mask.name)
@pytest.mark.parametrize(("machine", "arch"), OUR_ARCHITECTURES, ids=str)
def test_on_each_architecture(mask: Mask, machine: str, arch: int) -> None:
    compare(mask, machine, arch)


def compare(mask: Mask, machine: str, arch: int) -> None:
    program = assemble(mask.rules, machine)
    assert len(program) // 8 <= 4096  # BPF_MAXINSNS
    for call in sorted(numbers.CALLS):
        own = tuple(rule for rule in mask.rules if rule.call == call)
        for number in numbers.numbers(arch, call):
            if not own:
                assert run(program, number, 1, 2, 3, arch=arch) == ALLOW
                continue
            for arguments in arguments_for(own):
                assert run(program, number, *arguments, arch=arch) == expected(own, call, arguments), (call, arguments)


@pytest.mark.parametrize("mask", FEW, ids=lambda mask: mask.name)
def test_no_other_call_fails(mask: Mask) -> None:
    program = assemble(mask.rules, "x86_64")
    ours = {number for rule in mask.rules for number in numbers.numbers(X86_64, rule.call)}
    ours32 = {number for rule in mask.rules for number in numbers.numbers(I386, rule.call)}
    for number in range(600):
        for arch, known in ((X86_64, ours), (I386, ours32)):
            if number not in known:
                assert run(program, number, 3, 88, 0, 0x10200, 0x10200, arch=arch) == ALLOW
    foreign = run(program, numbers.COMMON["clone3"], 0, 88, arch=AARCH64)
    assert foreign == ALLOW  # no program of this machine has that architecture


def test_x32_is_masked_too() -> None:
    program = assemble(resolve("no-pidfd").rules, "x86_64")
    x32 = numbers.X32_BIT
    assert run(program, x32 | 434) == errno_action(errno.ENOSYS)
    assert run(program, x32 | 529, 3) == errno_action(errno.EINVAL)  # its own waitid
    assert run(program, x32 | 529, 2) == ALLOW


def test_upper_halves() -> None:
    """An int is its lower half, a size all of it."""
    tests = {"bits": bits(1, 0x8), "equal": equal(1, 8), "other": other(1, 0), "least": least(1, 8)}
    for test in tests.values():
        program = assemble((Rule("openat2", errno.EPERM, (test,)),), "x86_64")
        assert run(program, 437, 0, (7 << 32) + 8) == errno_action(errno.EPERM)
        assert run(program, 437, 0, 7 << 32) == ALLOW
    wide = {
        "equal": (equal(1, 8, 9, wide=True), ALLOW),
        "other": (other(1, 8, wide=True), errno_action(errno.EPERM)),
        "least": (least(1, 9, wide=True), errno_action(errno.EPERM)),
    }
    for test, answer in wide.values():
        program = assemble((Rule("openat2", errno.EPERM, (test,)),), "x86_64")
        assert run(program, 437, 0, (7 << 32) + 8) == answer


def test_the_first_mask_decides() -> None:
    """Several masks: what any of them refuses fails, with the errno of the first that answers the call."""
    both = union((resolve("openat2-eperm"), resolve("no-openat2"), resolve("no-close-range")))
    program = assemble(both, "x86_64")
    assert run(program, 437) == errno_action(errno.EPERM)
    assert run(program, 436) == errno_action(errno.ENOSYS)
    turned = assemble(union((resolve("no-openat2"), resolve("openat2-eperm"))), "x86_64")
    assert run(turned, 437) == errno_action(errno.ENOSYS)


@pytest.mark.parametrize(
    ("release", "call", "arguments", "answer"),
    [
        ((4, 18), "clone3", (0, 64), errno.ENOSYS),
        ((5, 2), "clone3", (0, 88), errno.ENOSYS),
        ((5, 3), "clone3", (0, 64), 0),
        ((5, 4), "clone3", (0, 80), errno.E2BIG),
        ((5, 5), "clone3", (0, 80), 0),
        ((5, 6), "clone3", (0, 88), errno.E2BIG),
        ((5, 6), "clone3", (0, 88, 0x7F0000000000), errno.ENOSYS),
        ((5, 7), "clone3", (0, 88), 0),
        ((5, 5), "openat2", (), errno.ENOSYS),
        ((5, 6), "openat2", (), 0),
        ((5, 8), "close_range", (), errno.ENOSYS),
        ((5, 9), "close_range", (3, 9, 4), errno.EINVAL),
        ((5, 10), "close_range", (3, 9, 2), 0),
        ((5, 11), "close_range", (3, 9, 4), 0),
        ((5, 11), "mount_setattr", (), errno.ENOSYS),
        ((5, 12), "mount_setattr", (), 0),
        ((5, 5), "unshare", (0x80,), errno.EINVAL),
        ((5, 7), "setns", (3, 0x28000000), errno.EINVAL),
        ((5, 7), "setns", (3, 0x08000000), 0),
        ((5, 8), "setns", (3, 0x28000000), 0),
        ((6, 2), "memfd_create", (0, 0x11), errno.EINVAL),
        ((6, 3), "memfd_create", (0, 0x11), 0),
        ((6, 5), "fchmodat2", (), errno.ENOSYS),
        ((6, 6), "fchmodat2", (), 0),
    ],
)  # fmt: skip
def test_milestones(release: tuple[int, int], call: str, arguments: tuple[int, ...], answer: int) -> None:
    """Well-known ones by hand: the table against what the manual pages say."""
    program = assemble(profile(release).rules, "x86_64")
    got = run(program, numbers.numbers(X86_64, call)[0], *arguments)
    assert got == (errno_action(answer) if answer else ALLOW)


# -- the tables --------------------------------------------------------------------------------------------------------


def test_rows_are_complete() -> None:
    assert len(history.BY_NAME) == len(history.ROWS)
    assert [row.kernel for row in history.ROWS] == sorted(row.kernel for row in history.ROWS)
    for row in history.ROWS:
        assert row.rules
        assert row.source
        assert all(rule.call in numbers.CALLS for rule in row.rules)
    whole = {row.name for row in history.ROWS if row.rules[0].tests == ()}
    assert set(numbers.COMMON) <= whole  # each newer system call has its row
    assert len(BY_NAME_OF_FEATURE) == len(FEATURES)


def headers() -> list[tuple[int, str]]:
    directory = "/usr/include/x86_64-linux-gnu/asm"
    files = [(X86_64, "unistd_64.h"), (I386, "unistd_32.h"), (X86_64, "unistd_x32.h")]
    return [(arch, os.path.join(directory, name)) for arch, name in files if os.path.exists(f"{directory}/{name}")]


@pytest.mark.parametrize(("arch", "path"), headers(), ids=lambda value: os.path.basename(str(value)))
def test_numbers_are_those_of_the_headers(arch: int, path: str) -> None:
    with open(path, encoding="utf-8") as file:
        found = re.findall(r"#define __NR_(\w+) \(?(?:__X32_SYSCALL_BIT \+ )?(\d+)\)?", file.read())
    theirs = {name: int(number) for name, number in found}
    assert theirs
    for call in sorted(numbers.CALLS):
        if call in theirs:
            assert theirs[call] in numbers.numbers(arch, call), call


def test_numbers_are_those_of_libseccomp() -> None:
    library = pytest.importorskip("seatrial.runtime.seccomp.libseccomp")
    try:
        known = library.Library()
    except Exception as error:
        pytest.skip(str(error))
    checked = 0
    for call in sorted(numbers.CALLS):
        for arch in (X86_64, I386, numbers.AARCH64, numbers.ARM, numbers.RISCV64):
            number = known.syscall_on(arch, call)
            if number is not None:
                assert number in numbers.numbers(arch, call), (call, hex(arch))
                checked += 1
    assert checked > 100


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("no-clone", "no-clone3"), ("linux-5.40", "linux-5.4"), ("no-openat", "no-openat2"), ("zzz", "--list")],
)  # fmt: skip
def test_an_unknown_mask_is_told_with_what_is_near(wrong: str, near: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        resolve(wrong)
    assert wrong in str(caught.value)
    assert near in str(caught.value)


def test_a_kernel_cannot_become_newer() -> None:
    with pytest.raises(EnvironmentProblem):
        resolve("linux-6.6", release="5.15.0-91-generic")
    assert resolve("linux-5.15", release="5.15.0-91-generic").version == (5, 15)


def test_hidden_rows() -> None:
    old, none = resolve("linux-5.4", "6.18.0"), resolve("no-statx")
    assert names.masked_by((none, old), "openat2") == "linux-5.4"
    assert names.masked_by((none, old), "clone3") is None
    assert names.oldest((resolve("linux-5.15", "6.18.0"), old, none)) == old
    assert names.oldest((none,)) is None
