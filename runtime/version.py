"""Versions: of this runtime, and of the specification that it follows."""

from __future__ import annotations

VERSION = "0.1.0"
SPEC_VERSION = "1.3.0"  # of the runtime-spec, in `state` and in `features`
