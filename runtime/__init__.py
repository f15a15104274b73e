"""libcontainer in Python.  The names below are imported when they are first used: start-up time is a feature."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.config import Config as Config
    from seatrial.runtime.container import Container as Container
    from seatrial.runtime.errors import SeatrialError as SeatrialError
    from seatrial.runtime.load import load_config as load_config
    from seatrial.runtime.process import Process as Process

_PLACES = {
    "Container": "container",
    "Process": "process",
    "load_config": "load",
    "ConfigError": "errors",
    "ContainerExistsError": "errors",
    "ContainerNotFoundError": "errors",
    "HookError": "errors",
    "SeatrialError": "errors",
    "StateError": "errors",
    "SyscallError": "errors",
    "UsageError": "errors",
}


def __getattr__(name: str) -> object:
    """A public name of the library; the records of the model (Config, Mount, Namespace ...) are in `config`."""
    if name not in _PLACES and not name[:1].isupper():  # a submodule, or something private
        raise AttributeError(f"module 'seatrial.runtime' has no attribute {name!r}")
    module = __import__(f"seatrial.runtime.{_PLACES.get(name, 'config')}", fromlist=(name,))
    value: object = getattr(module, name, None)
    if value is None or (name not in _PLACES and getattr(value, "__module__", "") != module.__name__):
        raise AttributeError(f"module 'seatrial.runtime' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from seatrial.runtime import config

    return sorted([*_PLACES, *(name for name, value in vars(config).items() if isinstance(value, type))])
