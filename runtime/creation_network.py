"""The parent's part in the container's network, while the executor waits at the sync point NETWORK."""

from __future__ import annotations

import os

from seatrial.runtime.errors import SyscallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.runtime.config import Config
    from seatrial.runtime.network.devices import DeviceMoves
    from seatrial.runtime.state import State, StateDirectory


class ContainerNetwork:
    """Devices that move into the container's namespace, and pairs that are made for it.

    The descriptor of the namespace is kept until `settle` or `give_back`: when the creation fails later on, devices of
    the host can still be fetched out of a namespace whose last process is dead.
    """

    def __init__(self, config: Config, pid: int, warn: Callable[[str], None]) -> None:
        self.config = config
        self.warn = warn
        self.moves: DeviceMoves | None = None
        path = f"/proc/{pid}/ns/net"
        try:
            self.namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SyscallError.of("open the net namespace", path, error) from None

    def set_up(self, state: State, directory: StateDirectory) -> None:
        """Move the devices and make the pairs.  Raises ConfigError and SyscallError."""
        if self.config.net_devices:
            from seatrial.runtime.network.devices import DeviceMoves

            self.moves = DeviceMoves(self.config.net_devices, self.namespace)
            self.moves.perform(self.warn)
        for network in self.config.networks:
            if network.type == "veth":
                from seatrial.runtime.network.veth import connect

                # Saved one by one: whoever cleans up after us finds it (and the kernel does, with the namespace).
                state.interfaces.append(connect(network, self.namespace))
                directory.save(state)

    def give_back(self) -> None:
        """The creation has failed: return the host's devices.  Pairs are removed with the rest of the container."""
        if self.namespace >= 0 and self.moves is not None:
            self.moves.give_back(self.warn)
        self.settle()

    def settle(self) -> None:
        """The container is created: from now on its devices are its own."""
        if self.namespace >= 0:
            os.close(self.namespace)
            self.namespace = -1
