"""`exec` against `delete --force`: whoever comes first, nothing of the container is left."""

from __future__ import annotations

import os
import time

import pytest
from bundles import Bundle, CommandLine, cgroups, processes_of


@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "shared pids"])
def test_delete_beside_processes_that_are_starting(cli: CommandLine, bundle: Bundle, own_pids: bool) -> None:
    if not own_pids:
        kept = [entry for entry in bundle.config["linux"]["namespaces"] if entry["type"] != "pid"]
        bundle.config["linux"]["namespaces"] = kept
        bundle.write()
    for attempt in range(4):
        id = f"xd-{os.getpid()}-{own_pids}-{attempt}"
        cli("run", "-d", "-b", bundle.path, id)
        running = [cli.begin("exec", id, "/probe", "hold") for _ in range(6)]
        time.sleep(0.05 * attempt)
        cli("delete", "--force", id)
        statuses = {one.end().returncode for one in running}
        # Killed with the container, or too late for it.
        assert statuses <= {137, 255}
        assert cgroups(id) == []
    assert processes_of(bundle.rootfs) == []
    assert os.listdir(cli.root) == []
