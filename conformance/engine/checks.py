"""Checks that many cases share."""

from __future__ import annotations

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.errors import Finding


def rejected(
    runtime: Runtime, bundle: Bundle, *, id: str | None = None, by: str = "create", control: Bundle | None = None
) -> Result:
    """The runtime refuses the bundle: create exits non-zero (by a status, not by a crash), state of that id fails
    afterwards.

    by="start": a refusal may come as late as start, which then fails; the container is deleted.  `control`: a bundle
    that the runtime must accept first, for a bad value whose good sibling is not in the default config.  Returns the
    refusing Result.
    """
    runtime.prove_sane()
    if control is not None:
        accepted(runtime, control)
    container = runtime.create(bundle, id=id, check=False)
    result = container.created
    if result.crashed:
        raise Finding(f"a crash is no refusal: {result.describe()}")
    if result.ok and by == "start":
        result = container.start(check=False)
        if result.ok:
            raise Finding(f"{result.describe()}: accepted, should be refused")
        container.remove()
        return result
    if result.ok:
        raise Finding(f"{result.describe()}: accepted, should be refused")
    if runtime.knows(container.id):
        raise Finding(f"create was refused, but state of {container.id} succeeds")
    return result


def accepted(runtime: Runtime, bundle: Bundle) -> None:
    """The runtime creates the bundle and deletes it again.  Once per worker: what it has done for an equal bundle it
    need not do again."""
    same = bundle.fingerprint()
    if same is not None and same in runtime.accepted:
        return
    container = runtime.create(bundle)
    status = container.status()
    if status != "created":
        raise Finding(f"after create the status is {status!r}")
    container.remove()
    if same is not None:
        runtime.accepted.add(same)


def proper_refusal(result: Result) -> None:
    """Finding unless an invocation refused what it was asked: an exit status, not a crash, and no program started."""
    if result.ok or result.crashed or result.stdout:
        raise Finding(f"no proper refusal: {result.describe()}")
