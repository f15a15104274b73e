"""Generate the C decoder's header from operations.py."""

from __future__ import annotations

import operations


def header() -> str:
    """The text of operations.h."""
    lines = ["#pragma once", f"#define PLAN_VERSION {operations.VERSION}"]
    lines += [f"#define OP_{name.upper()} {code}" for name, code, _, _ in operations.OPERATIONS]
    return "\n".join(lines) + "\n"
