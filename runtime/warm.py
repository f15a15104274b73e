"""A warm runtime: an interpreter that has loaded everything, and becomes one command line after the other by fork(2).

    python -m seatrial.runtime.warm FD

For callers that run thousands of short containers and are not about a command's start, such as a fuzzer.  FD is a Unix
socket (SOCK_SEQPACKET).  A request is the JSON of {argv, env, cwd} with the three standard streams as SCM_RIGHTS; the
answers are {pid}, and at its end {status}, as of waitpid(2).  One request at a time; the end of file is the end.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from seatrial import runtime
from seatrial.runtime.cli.main import main as command

REQUEST = 1 << 17  # bytes
DESCRIPTORS = 1024  # those from 3 to here are not the command's


def load() -> None:
    """Import the whole runtime, but for what lacks an optional dependency."""
    for module in pkgutil.walk_packages(runtime.__path__, f"{runtime.__name__}."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    gc.disable()  # as the launcher does


def serve(peer: socket.socket) -> None:
    """Answer until the other end is closed."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(peer, REQUEST, 3)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            _become(json.loads(data), descriptors)
        for number in descriptors:
            os.close(number)
        peer.send(json.dumps({"pid": pid}).encode())
        _, status = os.waitpid(pid, 0)
        peer.send(json.dumps({"status": status}).encode())


def _become(words: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Be the command, in a session of its own, with what a new process would have; does not return."""
    status = 127
    try:
        os.setsid()
        for target, number in enumerate(descriptors):
            os.dup2(number, target)
        os.closerange(3, DESCRIPTORS)
        if words["cwd"] is not None:
            os.chdir(words["cwd"])
        os.environ.clear()
        os.environ.update(words["env"])
        sys.argv = words["argv"]
        status = command(words["argv"][1:])
    finally:
        os._exit(status)


def main() -> int:
    """Entry point; the socket's number is the only argument."""
    load()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket(fileno=int(sys.argv[1])) as peer:
        serve(peer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
