"""Target: mount options.  No flag is both set and cleared, one atime mode is in force, nobody's word gets lost."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["seatrial.runtime"]):
    from seatrial.runtime import mount_options

# Written down here, not taken from the module: what is checked must not follow what is planted.
_ATIME_MODES = 0x400 | 0x200000 | 0x1000000  # mount(2): MS_NOATIME, MS_RELATIME, MS_STRICTATIME
_ATTR_ATIME = 0x70  # mount_setattr(2): MOUNT_ATTR__ATIME


_KNOWN = mount_options.known()


def encode(words: list[str]) -> bytes:
    """The input that stands for these words: known ones by their number, then a NUL and the others as text."""
    numbers = bytes(_KNOWN.index(word) + 1 for word in words if word in _KNOWN)
    return numbers + b"\0" + ",".join(word for word in words if word not in _KNOWN).encode()


def check(data: bytes) -> None:
    """Parse a list of options.  Known words are one byte each: a mutation makes another word, not a misspelt one."""
    numbers, _, text = data.partition(b"\0")
    words = [_KNOWN[(number - 1) % len(_KNOWN)] for number in numbers] + text.decode("utf-8", "replace").split(",")
    found = mount_options.Options(words)
    if found.flags & found.cleared_flags:
        raise AssertionError(f"set and cleared: {found.flags & found.cleared_flags:#x}")
    if (found.flags & _ATIME_MODES).bit_count() > 1:
        raise AssertionError(f"several atime modes: {found.flags & _ATIME_MODES:#x}")
    if found.rec_attr_set & found.rec_attr_clr & ~_ATTR_ATIME:
        raise AssertionError("recursively set and cleared")
    if found.rec_attr_set & _ATTR_ATIME and found.rec_attr_clr & _ATTR_ATIME != _ATTR_ATIME:
        raise AssertionError("mount_setattr(2) wants the whole atime field cleared")
    if found.data != ",".join(word for word in words if word not in _KNOWN):
        raise AssertionError(f"options became {found.data!r}")


if __name__ == "__main__":
    from seatrial.fuzz.targets import engine

    engine.run(check)
