"""exec and the session keyring: a process that is added later finds the keys of the container."""

from __future__ import annotations

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import executed
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse


@needs("exec", "root", "call:keyctl")
@profile("runc-compat")
@pytest.mark.parametrize("user", [False, pytest.param(True, marks=needs("userns"))], ids=["root", "user namespace"])
@covers("config-linux/namespaces/6")
def test_session_keyring_is_the_containers(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    """An executed process joins the session keyring of init, which whoever joins it must be able to search
    (session-keyring(7)); it gets no other one of the same name."""
    if user:
        bundle.user_namespace()
    container = runtime.create(bundle.probe("hold"))
    container.start()
    container.wait_output('"verb":"hold"')
    init = parse(container.output(), container.created)["keyring"]
    assert container.id in init["session"]
    assert executed(container)["keyring"]["id"] == init["id"]
