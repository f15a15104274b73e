"""One running container for the cases of a module that do not change it."""

from __future__ import annotations

from seatrial.conformance.cases import shared
from seatrial.conformance.cases.exec.executing import held
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime

UID, GID, GROUPS, UMASK, SCORE = 11, 12, [13, 14], 0o077, 123


def make(runtime: Runtime, bundle: Bundle) -> Container:
    """A container whose process differs in everything from what a careless `exec` would give."""
    bundle.process["user"] = {"uid": UID, "gid": GID, "additionalGids": GROUPS, "umask": UMASK}
    bundle.process["oomScoreAdj"] = SCORE
    bundle.process["noNewPrivileges"] = False
    bundle.process["env"] = ["PATH=/bin", "KEPT=yes"]
    bundle.process["cwd"] = "/srv"
    bundle.directory("/srv", 0o777)
    return held(runtime, bundle)


lasting_container, container = shared.fixtures(make)
