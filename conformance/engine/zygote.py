"""A warm `seatrial`: an interpreter that has imported pytest, the harness and every case, and waits to be the command.

    python -m seatrial.conformance.engine.zygote SOCKET

It listens on a Unix socket (SOCK_SEQPACKET).  A message is the JSON of {argv, env, cwd, terminal} with the three
standard streams as SCM_RIGHTS; the answer is {pid} or {errno, error, path}.  The process that answers is the command:
it was forked before, so that the first one need not wait for a fork, and another takes its place.  The harness has
collected all cases once, so their modules are there; what it does with them (collection, needs, runtime, cgroup view)
is done anew by each command.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import termios
import time
from collections.abc import Sequence
from fcntl import ioctl
from typing import Any

from seatrial.conformance.engine import interpreter

MESSAGE = 1 << 20  # bytes
PAUSE = 0.2  # seconds that a new command has the processor to itself, before its successor is forked


def load() -> None:
    """Import all that a run may need; HarnessBug when a case cannot be collected."""
    from seatrial.conformance import cli  # noqa: F401
    from seatrial.conformance.airlock import airlock, confine, custody  # noqa: F401
    from seatrial.conformance.engine import collect

    collect.collect()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page


def serve(path: str) -> None:
    """Listen at `path`, which must not exist, until this process is ended; who waits then ends too."""
    lifeline, held = os.pipe()  # `held` is this process's alone
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(16)
        while True:
            mine, its = os.pipe()
            between = os.fork()  # which ends at once, so that the command is a child of the init process
            if between == 0:
                os.close(mine)
                os.close(held)
                if os.fork():
                    os._exit(0)
                wait(listener, its, lifeline)
            os.close(its)
            os.waitpid(between, 0)
            os.read(mine, 1)  # nothing comes: it closes when there is a command
            os.close(mine)
            time.sleep(PAUSE)


def wait(listener: socket.socket, taken: int, lifeline: int) -> None:
    """Wait for a command and become it; does not return."""
    words = {}
    try:
        if lifeline in select.select([listener.fileno(), lifeline], [], [])[0]:
            os._exit(0)
        peer, _ = listener.accept()
        listener.close()
        os.close(taken)
        os.close(lifeline)
        data, descriptors, _, _ = socket.recv_fds(peer, MESSAGE, 3)
        words = json.loads(data)
        answer = _settle(words, descriptors)
        peer.send(json.dumps(answer).encode())
        peer.close()
        if "errno" in answer:
            os._exit(127)
    except BaseException:
        os._exit(127)
    interpreter.warm = True
    interpreter.become("seatrial.conformance.cli", words["argv"][1:], words["env"], ())


def _settle(words: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
    """Session, streams and directory of the command; the answer to who asked."""
    try:
        os.setsid()
        for target, number in enumerate(descriptors):
            os.dup2(number, target)
        for number in descriptors:
            os.close(number)
        if words["terminal"]:
            ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(words["cwd"])
    except OSError as error:
        return {"errno": error.errno, "error": error.strerror, "path": str(error.filename or "")}
    return {"pid": os.getpid()}


def main() -> int:
    """Entry point; the socket's path is the only argument."""
    load()
    serve(sys.argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
