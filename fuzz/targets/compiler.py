"""Target: from config.json to the plan's bytes.  The same plan each time, which decodes to itself; or a clear error."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["seatrial.runtime"]):
    from seatrial.runtime import load, validate
    from seatrial.runtime.config import Config
    from seatrial.runtime.errors import SeatrialError
    from seatrial.runtime.plan.compile import compile_init
    from seatrial.runtime.plan.decode import decode
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.exec import compile_exec


def check(data: bytes) -> None:
    """Load, check, compile and encode, twice."""
    try:
        first, second = _plans(data), _plans(data)
    except SeatrialError:
        return
    if first != second:
        raise AssertionError("two plans for one configuration")


def _plans(data: bytes) -> list[bytes]:
    config = load.parse_config(data, "/bundle")
    config.rootfs = "/"  # `validate` wants a directory: any will do
    validate.validate(config)
    plans = [compile_init(config, _environment(config))]
    if config.process is not None:
        plans.append(compile_exec(config, _environment(config)))
    found = []
    for plan in plans:
        encoded = plan.encode()
        if decode(encoded) != plan.operations:
            raise AssertionError("a plan that does not decode to itself")
        found.append(encoded)
    return found


def _environment(config: Config) -> Environment:
    descriptors = {namespace.type: 6 + index for index, namespace in enumerate(config.namespaces)}
    return Environment(id="fuzz", gate=5, namespace_fds=descriptors)


if __name__ == "__main__":
    from seatrial.fuzz.targets import engine

    engine.run(check)
