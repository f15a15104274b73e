"""`update`: change the limits of a container, by options or by a document.

The options make the same document that --resources reads, so that both go one way.
"""

from __future__ import annotations

import os

from seatrial.runtime.cli.main import Context, one_id
from seatrial.runtime.cli.options import Options
from seatrial.runtime.container import Container
from seatrial.runtime.errors import SyscallError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# option -> (block, member, kind)
_LIMITS = {
    "blkio-weight": ("blockIO", "weight", "number"),
    "cpu-period": ("cpu", "period", "number"),
    "cpu-quota": ("cpu", "quota", "number"),
    "cpu-burst": ("cpu", "burst", "number"),
    "cpu-share": ("cpu", "shares", "number"),
    "cpu-rt-period": ("cpu", "realtimePeriod", "number"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", "number"),
    "cpuset-cpus": ("cpu", "cpus", "text"),
    "cpuset-mems": ("cpu", "mems", "text"),
    "cpu-idle": ("cpu", "idle", "number"),
    "memory": ("memory", "limit", "size"),
    "memory-reservation": ("memory", "reservation", "size"),
    "memory-swap": ("memory", "swap", "size"),
    "pids-limit": ("pids", "limit", "number"),
}
_IGNORED = ("kernel-memory", "kernel-memory-tcp")
_RDT = ("l3-cache-schema", "mem-bw-schema")

OPTIONS = {name: (name, "text") for name in (*_LIMITS, *_IGNORED, *_RDT)} | {
    "resources": ("resources", "text"),
    "r": ("resources", "text"),
}

USAGE = """\
usage: seatrial-runtime update [OPTIONS] ID

Change the limits of a container.  What is not given stays as it is.  Sizes take a suffix (k, m, g, t: powers of 1024);
-1 is unlimited.  When a limit is refused, all limits stay as they were.

options:
  --resources, -r FILE         read the limits from FILE ("-": standard input), a linux.resources block as JSON; the
                               other options are ignored then.  Device rules in it are ignored
  --blkio-weight N             weight for block devices, 10 to 1000
  --cpu-period N               length of a period, in microseconds
  --cpu-quota N                CPU time in a period, in microseconds
  --cpu-burst N                unused time that may be spent later, in microseconds
  --cpu-share N                weight for CPU time, 2 to 262144
  --cpu-rt-period N            the same as period and quota for real-time tasks
  --cpu-rt-runtime N
  --cpu-idle 0|1               whether to run only when nobody else would
  --cpuset-cpus LIST           CPUs to run on, such as 0-2,7
  --cpuset-mems LIST           memory nodes to use
  --memory SIZE                memory limit
  --memory-reservation SIZE    memory to protect when the host runs short
  --memory-swap SIZE           limit of memory and swap together
  --pids-limit N               number of tasks
  --l3-cache-schema TEXT       cache and memory bandwidth (resctrl)
  --mem-bw-schema TEXT
"""


def main(context: Context, options: Options, arguments: list[str]) -> int:
    """Run the verb."""
    from seatrial.runtime.convert_resources import limits
    from seatrial.runtime.spec.rules import check
    from seatrial.runtime.spec.schema import RESOURCES

    id = one_id("update", arguments)
    for name in _IGNORED:
        if options.text(name):
            context.log.warning(f"option --{name} is ignored: kernels since 5.16 have no such limit")
    if options.text("resources"):
        ignored = [f"--{name}" for name in _LIMITS if options.text(name)]
        if ignored:
            context.log.warning(f"--resources is given: {', '.join(ignored)} ignored")
        block = _document(options.text("resources"))
    else:
        block = block_of(options)
    check(RESOURCES, block, "linux.resources")
    if block.get("devices"):
        context.log.debug("the device rules stay as they are: update changes limits only")
    with Container.load(context.root, id, log=context.log) as container:
        container.set(limits(block), **{name.replace("-", "_"): options.text(name) for name in _RDT})
    return 0


def _document(path: str) -> Any:
    from seatrial.runtime.document import loads

    name = path
    try:
        if path == "-":
            name = "standard input"
        fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(fd, "rb", closefd=fd != 0) as file:
            return loads(file.read(), name)
    except OSError as error:
        raise SyscallError.of("read", name, error) from None


def block_of(options: Options) -> dict[str, Any]:
    """The resources block that the options describe.  An empty text is as good as none (as runc's callers write it)."""
    block: dict[str, Any] = {}
    for name, (group, member, kind) in _LIMITS.items():
        text = options.text(name)
        if text:
            value = text if kind == "text" else size(name, text) if kind == "size" else _number(name, text)
            block.setdefault(group, {})[member] = value
    return block


def _number(name: str, text: str) -> int:
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise UsageError(f"option --{name} takes a number, not {text!r}")
    return int(text)


def size(name: str, text: str) -> int:
    """Bytes: a number, which may have a fraction, and k, m, g, t or p (powers of 1024), "b" or "ib" behind it; -1."""
    if text == "-1":
        return -1
    word = text.lower().removesuffix("b")
    if word != text.lower():
        word = word.removesuffix("i")
    power = "kmgtp".find(word[-1:]) + 1 if word else 0
    digits, point, fraction = (word[:-1] if power else word).rstrip(" ").partition(".")
    if (
        not (digits.isascii() and digits.isdigit() and len(digits) < 20)
        or (point and not (fraction.isascii() and fraction.isdigit() and len(fraction) < 20))
        or (word[-1:] == "i")
    ):
        raise UsageError(f"option --{name} takes a size such as 64m, not {text!r}")
    number: int = int(digits + fraction) * 1024**power // 10 ** len(fraction)
    if number >= 1 << 63:
        raise UsageError(f"option --{name}: {text} is more than 64 bits hold")
    return number
