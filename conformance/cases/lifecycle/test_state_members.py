"""What engines read in `state` beyond the runtime-spec: runc's members, which crun prints too."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime, timedelta

from seatrial.conformance.case import covers, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import Finding


@profile("runc-compat")
@covers("runtime/state/10")
def test_further_members(runtime: Runtime, bundle: Bundle) -> None:
    """`created` is the time of the creation (RFC 3339), `rootfs` the root, `owner` the caller's name."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    state = runtime.create(bundle).state()
    after = datetime.now(UTC) + timedelta(seconds=1)
    text = state["created"].replace("Z", "+00:00")
    seconds, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789")
    try:
        created = datetime.fromisoformat(seconds + zone if rest else text)
    except ValueError as error:
        raise Finding(f"created is no time: {state['created']!r}") from error
    assert before <= created <= after
    assert os.path.samefile(os.path.join(bundle.path, state["rootfs"]), bundle.rootfs)
    assert state["owner"] in (pwd.getpwuid(os.geteuid()).pw_name, "")
