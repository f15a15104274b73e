"""Images: chains of dumps, pages that come late, images that are used again or are not good."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.checkpoint.roundtrip import CHECKPOINTS, Trip, wants_flag
from seatrial.conformance.driver import criu
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.errors import EnvironmentProblem, Finding

pytestmark = [CHECKPOINTS, profile("runc-compat")]
LARGE = 2 << 20  # bytes of the changing memory, workload_memory.c


@covers("runtime/state/7")
def test_images_are_good_twice(runtime: Runtime, bundle: Bundle) -> None:
    """What was restored, and ended, is restored again from the same images, as it was."""
    trip = Trip(runtime, bundle, "memory", "threads", "pipes", "signals").start()
    trip.checkpoint()
    for _ in range(2):
        trip.restore()
        trip.after = trip.ask()
        trip.judge()
        trip.container.remove()
        trip.answers.again_from(1)


def pages(directory: str) -> int:
    """Bytes of memory in images."""
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(directory, "pages-*.img")))


@needs("criu:mem_dirty_track")
@covers("runtime/state/7")
def test_chain_of_dumps(runtime: Runtime, bundle: Bundle) -> None:
    """--pre-dump leaves the container running, each dump has what changed since its --parent-path, and together they
    are the whole."""
    trip = Trip(runtime, bundle, "changing-memory").start()
    with trip.attributed():
        trip.checkpoint(images="one", pre_dump=True)
        assert trip.container.status() == "running"
        trip.ask()
        trip.checkpoint(images="two", pre_dump=True, parent_path="../one")
        trip.ask()
        trip.checkpoint(images="three", parent_path="../two")
        trip.restore(images="three")
        trip.after = trip.ask()
        trip.judge()
    assert pages(trip.images("one")) > LARGE
    assert pages(trip.images("three")) < LARGE


def occupied(directory: str) -> int:
    """Bytes that the memory in images takes of the file system."""
    return sum(512 * os.stat(path).st_blocks for path in glob.glob(os.path.join(directory, "pages-*.img")))


@needs("criu:mem_dirty_track")
@covers("runtime/state/7")
def test_images_give_up_what_is_had_twice(runtime: Runtime, bundle: Bundle) -> None:
    """--auto-dedup: a dump takes what it has anew out of its parent, and restore takes out what it has read."""
    wants_flag(runtime, "checkpoint", "auto-dedup")
    trip = Trip(runtime, bundle, "changing-memory").start()
    with trip.attributed():
        trip.checkpoint(images="one", pre_dump=True)
        trip.ask()
        before = occupied(trip.images("one"))
        trip.checkpoint(images="two", parent_path="../one", auto_dedup=True)
        assert 0 < occupied(trip.images("one")) < before
        before = occupied(trip.images("two"))
        trip.restore(images="two", auto_dedup=True)
        assert occupied(trip.images("two")) < before
        trip.after = trip.ask()
        trip.judge()


def lazy_server(trip: Trip, work: str, *words: str) -> subprocess.Popen[bytes]:
    """`criu lazy-pages`, which gives a restored process its pages; it ends when it has given all."""
    command = [criu.program() or "criu", "lazy-pages", "--images-dir", trip.images(), "--work-dir", work, "-v4"]
    return subprocess.Popen([*command, "--log-file", "lazy.log", *words], stdin=subprocess.DEVNULL)


@contextlib.contextmanager
def serving(process: subprocess.Popen[bytes], work: str, timeout: float) -> Iterator[None]:
    """A with block at whose end the server must have given all pages; Finding when it has not."""
    try:
        yield
        if process.wait(timeout) != 0:
            raise Finding(f"not all pages came: {criu.why(os.path.join(work, 'lazy.log'))}")
    except subprocess.TimeoutExpired:
        raise Finding(f"not all pages came within {timeout:g} s") from None
    finally:
        process.kill()
        process.wait()


@needs("criu:uffd-noncoop")
@covers("runtime/state/7")
def test_lazy_pages(runtime: Runtime, bundle: Bundle) -> None:
    """restore --lazy-pages returns before the memory is there, and a process that needs a page gets it."""
    wants_flag(runtime, "restore", "lazy-pages")
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint()
    work = trip.work()
    with serving(lazy_server(trip, work), work, runtime.timeout):
        wait_for(lambda: os.path.exists(os.path.join(work, "lazy-pages.socket")), runtime.timeout)
        trip.restore(lazy_pages=True, work_path=work)
        trip.after = trip.ask()
        trip.judge()


@needs("criu:uffd-noncoop", "cap:SYS_RESOURCE")  # the pipes of a page server are larger than a user may have
@covers("runtime/state/7")
def test_lazy_pages_from_another_host(runtime: Runtime, bundle: Bundle) -> None:
    """checkpoint --lazy-pages --page-server keeps the memory and serves it; --status-fd gets a NUL byte when it does.
    The images have (almost) no pages."""
    wants_flag(runtime, "checkpoint", "lazy-pages")
    trip = Trip(runtime, bundle, "memory").start()
    old, work = trip.container, trip.work()
    port = free_port()
    ready, status = os.pipe()
    words = ["--image-path", trip.images(), "--work-path", work, "--lazy-pages", "--status-fd", str(status)]
    words += ["--page-server", f"127.0.0.1:{port}"]
    command = runtime.argv("--root", runtime.root, "checkpoint", *words, old.id)
    with open(os.path.join(work, "checkpoint.log"), "wb") as log:
        process = subprocess.Popen(command, env=runtime.env, stdin=log, stdout=log, stderr=log, pass_fds=(status,))
    os.close(status)
    try:
        if os.read(ready, 1) != b"\0":
            raise Finding(f"no pages are served: {criu.why(os.path.join(work, 'dump.log'))}")
        assert pages(trip.images()) < LARGE
        there = trip.work()
        server = lazy_server(trip, there, "--page-server", "--address", "127.0.0.1", "--port", str(port))
        with serving(server, there, runtime.timeout):
            wait_for(lambda: os.path.exists(os.path.join(there, "lazy-pages.socket")), runtime.timeout)
            bundle.linux["cgroupsPath"] += "-there"  # another host would have another cgroup
            bundle.write()
            trip.restore(lazy_pages=True, work_path=there, id=f"{old.id}-there")
            trip.after = trip.ask()
            trip.judge()
        assert process.wait(runtime.timeout) == 0
        assert not runtime.state(old.id).ok
    finally:
        os.close(ready)
        process.kill()
        process.wait()
        old.deleted = not runtime.state(old.id).ok


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number: int = listener.getsockname()[1]
    return number


def wait_for(condition: Callable[[], bool], timeout: float) -> None:
    """EnvironmentProblem when a server of CRIU's is not ready in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise EnvironmentProblem("criu lazy-pages is not ready in time")
        time.sleep(0.01)


def without(name: str) -> Callable[[Trip], None]:
    """Removes an image."""
    return lambda trip: os.unlink(glob.glob(os.path.join(trip.images(), name))[0])


def cut(name: str) -> Callable[[Trip], None]:
    """Leaves half of an image."""

    def half(trip: Trip) -> None:
        path = glob.glob(os.path.join(trip.images(), name))[0]
        os.truncate(path, os.path.getsize(path) // 2)

    return half


def grown_program(trip: Trip) -> None:
    """The program of the container is another file, of another size."""
    path = trip.bundle.rootfs + "/probe"
    with open(path, "rb") as file:
        program = file.read()
    os.unlink(path)  # other bundles have a link to it
    with open(path, "wb") as file:
        file.write(program + b"grown")
    os.chmod(path, 0o755)


def missing_file(trip: Trip) -> None:
    """A file that the process has open is gone."""
    os.unlink(trip.bundle.rootfs + "/tmp/workload-plain")


SPOILED: dict[str, Callable[[Trip], None]] = {
    "no inventory": without("inventory.img"),
    "no core": without("core-1.img"),
    "no pages": without("pages-*.img"),
    "half of a core": cut("core-1.img"),
    "another program": grown_program,
    "a file is gone": missing_file,
}


@pytest.mark.parametrize("how", SPOILED)
@covers("runtime/errors/1")
def test_failed_restore_leaves_nothing(runtime: Runtime, bundle: Bundle, how: str) -> None:
    """Images that are not whole, or a root file system that has changed since: restore fails, and there is no state, no
    process and no cgroup afterwards.  (From images that are whole it succeeds.)"""
    trip = Trip(runtime, bundle, "memory", "files").start()
    trip.checkpoint(leave_running=True)
    trip.container.remove()
    trip.restore()
    trip.container.remove()
    SPOILED[how](trip)
    refused = trip.restore(check=False)
    assert not refused.ok, refused.describe()
    assert not refused.timed_out
    assert not runtime.state(trip.container.id).ok


@covers("runtime/errors/1")
def test_restore_without_images_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    """From a directory that is empty, or is not there."""
    trip = Trip(runtime, bundle, "memory").start()
    trip.checkpoint()
    os.mkdir(trip.images("empty"))
    for name in ("empty", "missing"):
        refused = trip.restore(check=False, images=name)
        assert not refused.ok, refused.describe()
        assert not runtime.state(trip.container.id).ok
    trip.restore()
