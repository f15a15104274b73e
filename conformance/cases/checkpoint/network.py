"""A network namespace that is there before the container and after it, as engines make one."""

from __future__ import annotations

from seatrial.conformance.driver.network import KeptNetwork


class LastingNetwork(KeptNetwork):
    """Its loopback device is up, and has an address that nobody else has."""

    def __init__(self) -> None:
        super().__init__("ip link set lo up && ip address add 10.11.12.13/32 dev lo")
