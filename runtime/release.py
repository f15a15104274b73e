"""The start signal and what follows it: startContainer hooks and exec in the executor, poststart hooks here."""

from __future__ import annotations

import os

from seatrial.native import channel, operations
from seatrial.runtime.config import Config
from seatrial.runtime.errors import HookError, StateError, SyscallError, errno_name
from seatrial.runtime.launch import LaunchError, receive
from seatrial.runtime.state import GATE_SOCKET, RUNNING
from seatrial.runtime.teardown import KILL_SECONDS, await_death, destroy, kill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.creation import Creation
    from seatrial.runtime.log import Log
    from seatrial.runtime.state import State, StateDirectory


def release(directory: StateDirectory, state: State, log: Log) -> None:
    """`start`: open the gate of a created container and wait until its program is executed."""
    try:
        connection = channel.connect(directory.socket_path())
    except OSError as error:
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
            raise StateError(f"container {state.id} cannot be started: its init has gone") from None
        raise SyscallError.of("connect", os.path.join(directory.path, GATE_SOCKET), error) from None
    try:
        _pass_gate(connection, state, log)
    except HookError:
        kill(state)
        destroy(directory, state, log)
        raise
    except LaunchError:
        await_death(state, KILL_SECONDS)
        raise
    finally:
        os.close(connection)
    try:
        os.unlink(GATE_SOCKET, dir_fd=directory.fd)
    except FileNotFoundError:
        pass
    if "poststart" in state.config.get("hooks", ()):
        poststart(directory, state, Config.from_json(state.config), log)


def _pass_gate(connection: int, state: State, log: Log) -> None:
    """Say go; the end of file says that exec closed the socket, an error message that something before it failed."""
    gone = StateError(f"container {state.id} cannot be started: its init has gone")
    try:
        channel.send_message(connection, operations.MESSAGE_GO)
    except (BrokenPipeError, ConnectionResetError):
        raise gone from None
    except OSError as error:
        raise SyscallError.of("send", "the executor", error) from None
    while (message := receive(connection)) is not None:
        text = message.text.decode("utf-8", "replace")
        for fd in message.fds:
            os.close(fd)
        if message.kind == operations.MESSAGE_WARNING:
            log.warning(text)
        elif message.kind == operations.MESSAGE_ERROR:
            name = state.late_operations.get(str(message.operation), f"operation {message.operation + 1}")
            reasons = [errno_name(message.error)] if message.error else []
            sentence = ": ".join([name, *reasons, *([text] if text else [])])
            if " hook (" in name:
                raise HookError(sentence)
            raise LaunchError(sentence, name)


def release_here(creation: Creation) -> None:
    """`run`: the same for a container that this process has just set up.  The caller destroys it after a failure."""
    launch = creation.launch
    assert launch is not None
    launch.release()
    if creation.config.hooks.poststart:
        poststart(creation.directory, creation.state, creation.config, creation.log, teardown=False)


def poststart(directory: StateDirectory, state: State, config: Config, log: Log, *, teardown: bool = True) -> None:
    """Run the poststart hooks; when one fails, destroy the container (runtime-spec 1.3, runtime.md#lifecycle 9)."""
    from seatrial.runtime.hooks import run_hooks, state_document

    try:
        document = state_document(config, state.id, RUNNING, state.init_process_pid)
        run_hooks("poststart", config.hooks.poststart, document)
    except HookError:
        if teardown:
            kill(state)
            destroy(directory, state, log, config=config)
        raise
