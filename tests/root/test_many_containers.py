"""A threaded program that runs containers by the hundred: no descriptor, no process, no zombie is left."""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import threading

import pytest
from bundles import PROBE, cgroups, processes_of

from seatrial.conformance.airlock.orphans import children
from seatrial.runtime import Container, Process
from seatrial.runtime.config import Config, Mount, Namespace
from seatrial.runtime.default_devices import with_defaults
from seatrial.runtime.launch import executor

CONTAINERS = 1000
THREADS = 8
PREFIX = f"many-{os.getpid()}"


@pytest.fixture
def config(tmp_path: os.PathLike[str]) -> Config:
    bundle = os.fspath(tmp_path)
    rootfs = os.path.join(bundle, "rootfs")
    os.makedirs(os.path.join(rootfs, "proc"))
    shutil.copy(PROBE, rootfs + "/probe")
    return Config(
        oci_version="1.3.0",
        bundle=bundle,
        rootfs=rootfs,
        namespaces=[Namespace(type=type) for type in ("pid", "mnt")],
        mounts=[Mount(destination="/proc", source="proc", fstype="proc")],
        devices=with_defaults([]),
    )


def one(root: str, config: Config, number: int, *, exec: bool) -> int | None:
    """One container's life; its program's exit status, once with a second process on the way."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        with Container.create(root, f"{PREFIX}-{number}", config) as container:
            if not exec:
                process = Process(["/probe", "exit", str(number % 200)], stdin=null, stdout=null)
                container.run(process)
                status = process.wait(60)
            else:
                process = Process(["/probe", "hold"], stdin=null, stdout=null)
                container.run(process)
                second = Process(["/probe", "exit", str(number % 200)], stdin=null, stdout=null)
                container.exec(second)
                status = second.wait(60)
                container.signal(9)
                assert process.wait(60) == 137
            container.destroy()
        return status
    finally:
        os.close(null)


def test_threads_run_a_thousand_containers(config: Config, tmp_path: os.PathLike[str]) -> None:
    root = os.path.join(tmp_path, "root")
    one(root, config, 0, exec=True)
    executor()
    before, offspring = set(os.listdir("/proc/self/fd")), children()
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(CONTAINERS):
        numbers.put(number)
    wrong: list[object] = []

    def work() -> None:
        while not wrong:
            try:
                number = numbers.get_nowait()
            except queue.Empty:
                return
            try:
                status = one(root, config, number, exec=number % 10 == 0)
                if status != number % 200:
                    wrong.append((number, status))
            except Exception as error:
                wrong.append((number, error))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert os.listdir(root) == []
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == offspring
    assert processes_of(config.rootfs) == []
    assert cgroups(f"{PREFIX}-*") == []


def test_asyncio_runs_containers_in_its_threads(config: Config, tmp_path: os.PathLike[str]) -> None:
    root = os.path.join(tmp_path, "root")
    one(root, config, 0, exec=True)
    before, offspring = set(os.listdir("/proc/self/fd")), children()

    async def main() -> list[int | None]:
        return await asyncio.gather(
            *(asyncio.to_thread(one, root, config, number, exec=number % 10 == 0) for number in range(100))
        )

    assert asyncio.run(main()) == list(range(100))
    assert os.listdir(root) == []
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == offspring
