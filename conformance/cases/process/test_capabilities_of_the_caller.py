"""config.md#linux-process, capabilities: a caller that lacks one itself, as in a container or a restricted service."""

from __future__ import annotations

import os

from seatrial.conformance.case import covers, needs
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

LACKING = "CAP_SYS_MODULE"  # runtimes do not need it


@needs("root", "program:setpriv", f"cap:{LACKING.removeprefix('CAP_')}")
@covers("config/linux-process/5")
def test_what_cannot_be_granted_is_left_out(runtime: Runtime, bundle: Bundle) -> None:
    """A capability outside of the runtime's own bounding set cannot be granted: no reason to fail; the others are."""
    bundle.capabilities("CAP_KILL", LACKING)
    path = bundle.outside("restricted")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec setpriv --bounding-set=-sys_module -- "{runtime.path}" "$@"\n')
    os.chmod(path, 0o755)
    bundle.write()
    runtime.prove_sane()
    usual, runtime.path = runtime.path, path
    try:
        result = runtime.run(bundle)
    finally:
        runtime.path = usual
    found = parse(result.stdout, result)
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        assert found.caps(kind) == {"CAP_KILL"}, kind
