"""Target: schema and conversion of config.json.  A Config that survives its own JSON, or an error with a path."""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["seatrial.runtime"]):
    from seatrial.runtime import convert, document
    from seatrial.runtime.config import Config
    from seatrial.runtime.errors import ConfigError
    from seatrial.runtime.spec import rules, schema


def check(data: bytes) -> None:
    """Convert a document, and store and load the result as state.json does."""
    try:
        value = document.loads(data)
    except ConfigError:
        return
    try:
        rules.check(schema.CONFIG, value)
        config = convert.convert(value, "/bundle")
    except ConfigError as error:
        if not error.path and isinstance(value, dict):
            raise AssertionError(f"a refusal without a path: {error}") from error
        return
    if Config.from_json(document.loads(document.dumps(config.to_json()).encode())) != config:
        raise AssertionError("a Config changes when it is stored")


if __name__ == "__main__":
    from seatrial.fuzz.targets import engine

    engine.run(check)
