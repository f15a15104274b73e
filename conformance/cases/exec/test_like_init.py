"""exec without options: the process is like the container's own in all that the config says (runc; crun in most)."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.executing import executed
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

ALIKE = (
    "ids", "umask", "caps", "rlimits", "no_new_privs", "securebits", "keepcaps", "namespaces", "uts", "cgroup",
    "first_cgroup", "cwd", "oom_score_adj", "personality", "affinity", "uid_map", "gid_map", "keyring", "lsm",
)  # fmt: skip


def root_with_privileges(bundle: Bundle) -> None:
    bundle.process["noNewPrivileges"] = False
    bundle.capabilities("CAP_KILL", "CAP_NET_RAW", "CAP_CHOWN")


def user_with_a_capability(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7, 8]}
    bundle.process["noNewPrivileges"] = True
    bundle.capabilities("CAP_KILL", "CAP_NET_RAW")
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 5, "hard": 10},
    ]


@needs("exec", "ids", "root")
@profile("runc-compat")
@covers("config/posix-platform-user/1", "config/linux-process/1")
@pytest.mark.parametrize("prepare", [root_with_privileges, user_with_a_capability])
def test_process_is_like_the_containers_own(runtime: Runtime, bundle: Bundle, prepare: Any) -> None:
    """Ids, capabilities, limits, namespaces, cgroups, keyring and the rest are those of init; HOME is its user's."""
    prepare(bundle)
    container = runtime.create(bundle.probe("hold"))
    container.start()
    container.wait_output('"verb":"hold"')
    init = parse(container.output(), container.created)
    found = executed(container)
    assert {name: found[name] for name in ALIKE} == {name: init[name] for name in ALIKE}
    assert [found["root"][name] for name in ("dev", "ino")] == [init["root"][name] for name in ("dev", "ino")]
    assert found["seccomp"]["mode"] == init["seccomp"]["mode"]
    assert found.env.get("HOME") == init.env.get("HOME")
    assert [stream["uid"] for stream in found["stdio"]] == [found["ids"]["uid"][0]] * 3
