"""Rules about network devices and interfaces: names that the kernel takes, and a namespace to put them in."""

from __future__ import annotations

from seatrial.runtime.config import Config
from seatrial.runtime.document import member, quote
from seatrial.runtime.errors import ConfigError

_LONGEST_NAME = 15  # bytes: IFNAMSIZ of the kernel, less the NUL
_BLANKS = " \t\n\v\f\r"


def validate_network(config: Config) -> None:
    """Raise ConfigError for the first thing that is wrong in `net_devices` and `networks`."""
    if config.net_devices:
        _devices(config)
    if config.networks:
        _networks(config)


def _devices(config: Config) -> None:
    where = "linux.netDevices"
    _namespace(config, where)
    targets: dict[str, str] = {}
    for name, device in config.net_devices.items():
        path = member(where, name)
        _name(name, path, "the name of a network device")
        if device.name:
            _name(device.name, f"{path}.name")
        target = device.name or name
        if "%" not in target and target in targets:
            raise ConfigError(f"{path}.name", f"{target} is also the name of {targets[target]} in the container")
        targets[target] = name


def _networks(config: Config) -> None:
    _namespace(config, "networks")
    for index, network in enumerate(config.networks):
        where = f"networks[{index}]"
        if network.type == "loopback":
            continue
        if network.type != "veth":
            raise ConfigError(f"{where}.type", f"{quote(network.type)}, expected veth or loopback")
        _name(network.name, f"{where}.name")
        _name(network.host_name, f"{where}.host_name")
        if network.bridge:
            _name(network.bridge, f"{where}.bridge")
        if network.gateway and not network.address:
            raise ConfigError(f"{where}.gateway", "needs an address")
        if network.address and not _is_address(network.address):
            raise ConfigError(f"{where}.address", f"{quote(network.address)} is not like 10.0.0.2/24")


def _namespace(config: Config, where: str) -> None:
    if not config.private("net"):
        raise ConfigError(where, "needs a network namespace", "add one to linux.namespaces")
    if config.rootless_euid or config.rootless_cgroups:
        raise ConfigError(where, "a rootless runtime cannot change the host's network devices")


def _name(name: str, where: str, what: str = "a name") -> None:
    """The kernel's dev_valid_name(), and a length that is in bytes."""
    if not name:
        raise ConfigError(where, f"{what} is empty")
    if len(name.encode()) > _LONGEST_NAME:
        raise ConfigError(where, f"{quote(name)} is longer than {_LONGEST_NAME} bytes")
    if name in (".", "..") or any(letter in "/:\0" or letter in _BLANKS for letter in name):
        raise ConfigError(where, f'{quote(name)} is "." or "..", or has a slash, a colon or a blank in it')


def _is_address(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return "/" in text
