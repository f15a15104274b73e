"""Mutants whose bug is in the network (devices that move, and what they keep) or in resctrl."""

from __future__ import annotations

from planting import Mutant, applied, dropped, plan, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEVICES = "linux/test_network_devices.py::"


def _only_brought_down(real: Callable[..., None], route: Any, index: int, *rest: Any, up: bool | None = None) -> None:
    """Route.change that never brings a device up."""
    if up:
        return applied()
    return real(route, index, *rest, up=up)


def _name_ignored(real: Callable[..., None], route: Any, index: int, attributes: Any = (), **state: Any) -> None:
    kept = [entry for entry in attributes if entry[0] != "IFLA_IFNAME"]
    if len(kept) < len(attributes):
        applied()
    real(route, index, kept, **state)


def _without_broadcast(real: Callable[..., None], *arguments: Any) -> None:
    *rest, attributes = arguments
    applied()
    real(*rest, [entry for entry in attributes if entry[0] != "IFA_BROADCAST"])


def _without_rdt(real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    config = real(*arguments, **options)
    if config.intel_rdt is not None:
        applied()
        config.intel_rdt = None
    return config


TABLE = (
    Mutant(
        "network-devices-ignored",
        "linux.netDevices is ignored",
        plan(dropped("sync", where=lambda values: values["point"] == 3)),
        DEVICES + "test_a_device_moves_and_is_up",
    ),
    Mutant(
        "network-device-stays-down",
        "a network device is not brought up in the container",
        replaced("network.route:Route.change", _only_brought_down),
        DEVICES + "test_a_device_moves_and_is_up",
    ),
    Mutant(
        "network-device-keeps-its-name",
        "the name of a network device in the container is ignored",
        replaced("network.route:Route.change", _name_ignored),
        DEVICES + "test_a_renamed_device_keeps_what_is_its_own",
    ),
    Mutant(
        "network-addresses-lost",
        "a network device loses its addresses on its way",
        replaced("network.addresses:Address.add", skipped),
        DEVICES + "test_a_renamed_device_keeps_what_is_its_own",
    ),
    Mutant(
        "network-broadcast-lost",
        "the broadcast address of a network device is lost",
        replaced("network.route:Route.add_address", _without_broadcast),
        DEVICES + "test_a_renamed_device_keeps_what_is_its_own",
    ),
    Mutant(
        "network-device-not-returned",
        "a network device is lost when its move fails half way",
        replaced("network.devices:DeviceMoves._give_back", skipped),
        DEVICES + "test_a_name_that_no_device_can_have_is_refused",
    ),
    Mutant(
        "intel-rdt-ignored",
        "linux.intelRdt is ignored",
        replaced("cli.launching:load_config", _without_rdt),
        "linux/test_intel_rdt.py::test_without_resctrl_it_is_refused[root class]",
    ),
)
