"""Target: linux.seccomp to a BPF program.  A whole number of instructions, or a clear error."""

from __future__ import annotations

import atheris

from seatrial.native.seccomp import FILTER_FLAG_NEW_LISTENER

with atheris.instrument_imports(include=["seatrial.runtime"]):
    from seatrial.runtime import convert_seccomp, document, validate_seccomp
    from seatrial.runtime.errors import SeatrialError
    from seatrial.runtime.seccomp import filter as filters
    from seatrial.runtime.spec import rules, schema

_FLAGS = sum(filters.FLAGS.values()) | FILTER_FLAG_NEW_LISTENER


def check(data: bytes) -> None:
    """Compile a profile, as for a kernel that knows every flag."""
    try:
        block = document.loads(data)
        rules.check(schema.SECCOMP, block, "linux.seccomp")
        profile = convert_seccomp.convert_seccomp(block, "/bundle")
        validate_seccomp.validate_seccomp(profile)
        compiled = filters.compile_filter(profile, known_flags=_FLAGS)
    except SeatrialError:
        return
    if not compiled.filter or len(compiled.filter) % 8:
        raise AssertionError(f"{len(compiled.filter)} bytes are no BPF program")


if __name__ == "__main__":
    from seatrial.fuzz.targets import engine

    engine.run(check)
