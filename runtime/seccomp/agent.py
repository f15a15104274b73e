"""Handing the listener of SCMP_ACT_NOTIFY to the agent at listenerPath (config-linux.md#the-container-process-state).

The executor passes the descriptor on before the process makes a call that the filter could notify of.
"""

from __future__ import annotations

import os

from seatrial.native import channel
from seatrial.runtime.document import dumps
from seatrial.runtime.errors import SyscallError
from seatrial.runtime.hooks import state_document
from seatrial.runtime.peer import connect
from seatrial.runtime.version import SPEC_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config


def announce(config: Config, id: str, status: str, init: int, pid: int, listener: int) -> None:
    """Send the listener with the state of process `pid`: one JSON object on a connection of its own.

    `status` is the container's: creating for its first process (`init` equals `pid`), running for one that joins.
    The listener stays open here.  Raises SyscallError when nobody listens, or what listens is not a stream socket.
    """
    assert config.seccomp is not None
    document = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": config.seccomp.listener_metadata,
        "state": state_document(config, id, status, init),
    }
    path = config.seccomp.listener_path
    connection = connect("seccomp agent", path)
    try:
        channel.send_all(connection, dumps(document).encode("utf-8", "surrogateescape"), [listener])
    except OSError as error:
        raise SyscallError.of("sendmsg to the seccomp agent", path, error) from None
    finally:
        os.close(connection)
