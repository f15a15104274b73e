"""The parent's part of `exec` that needs no container: the affinity before the cgroup."""

from __future__ import annotations

import os
import threading

import pytest

from seatrial.runtime.config import Config, CPUAffinity
from seatrial.runtime.errors import SyscallError
from seatrial.runtime.execution import InitialAffinity


def config(initial: str | None) -> Config:
    affinity = None if initial is None else CPUAffinity(initial=initial, final="0")
    return Config(oci_version="1.3.0", bundle="/b", rootfs="/b/r", exec_cpu_affinity=affinity)


@pytest.mark.parametrize("fails", [False, True])
def test_the_spawning_thread_is_pinned_and_nobody_else(fails: bool) -> None:
    before = os.sched_getaffinity(0)
    wanted = max(before)
    others: list[set[int]] = []
    inside: list[set[int]] = []
    ready, done = threading.Event(), threading.Event()

    def other() -> None:
        ready.wait()
        others.append(os.sched_getaffinity(0))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        with InitialAffinity(config(str(wanted))):
            inside.append(os.sched_getaffinity(0))
            ready.set()
            done.wait()
            if fails:
                raise OSError("clone3")
    except OSError:
        assert fails
    thread.join()
    assert (inside, others, os.sched_getaffinity(0)) == ([{wanted}], [before], before)


@pytest.mark.parametrize("initial", [None, ""])
def test_without_initial_the_runtimes_own_stays(initial: str | None) -> None:
    before = os.sched_getaffinity(0)
    with InitialAffinity(config(initial)):
        assert os.sched_getaffinity(0) == before


def test_cpus_that_are_not_there_are_an_error() -> None:
    before = os.sched_getaffinity(0)
    sentence = r"sched_setaffinity 8191: EINVAL; process\.execCPUAffinity\.initial"
    with pytest.raises(SyscallError, match=sentence), InitialAffinity(config("8191")):
        pass
    assert os.sched_getaffinity(0) == before
