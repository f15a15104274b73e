"""The options that `checkpoint` and `restore` have in common, and the `CriuOptions` of both."""

from __future__ import annotations

import os

from seatrial.runtime.checkpoint import CriuOptions, PageServer
from seatrial.runtime.config import NAMESPACE_FLAGS
from seatrial.runtime.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from seatrial.runtime.cli.main import Context
    from seatrial.runtime.cli.options import Options

OPTIONS = {
    "image-path": ("image_path", "text"),
    "work-path": ("work_path", "text"),
    "tcp-established": ("tcp_established", "flag"),
    "tcp-skip-in-flight": ("tcp_skip_in_flight", "flag"),
    "link-remap": ("link_remap", "flag"),
    "ext-unix-sk": ("ext_unix_sk", "flag"),
    "shell-job": ("shell_job", "flag"),
    "file-locks": ("file_locks", "flag"),
    "manage-cgroups-mode": ("manage_cgroups_mode", "text"),
    "empty-ns": ("empty_ns", "list"),
    "auto-dedup": ("auto_dedup", "flag"),
    "lazy-pages": ("lazy_pages", "flag"),
    "network-lock": ("network_lock", "text"),
}

USAGE = """\
options:
  --image-path DIR           where the images are (default: checkpoint, in the working directory)
  --work-path DIR            where CRIU's logs and statistics go (default: the directory of the images)
  --tcp-established          allow established TCP connections
  --tcp-skip-in-flight       skip TCP connections that are being made
  --link-remap               allow files that have been unlinked
  --ext-unix-sk              allow Unix sockets whose other end is not in the container
  --shell-job                allow a terminal, a session and a process group of somebody else
  --file-locks               allow file locks
  --manage-cgroups-mode MODE soft (default), full, strict or ignore: what of cgroups CRIU restores
  --empty-ns network         leave what is in the network namespace alone; that is always so
  --auto-dedup               remove pages from images that others replace, or that have been restored
  --lazy-pages               move memory pages when they are needed, by userfaultfd
  --network-lock METHOD      iptables (default, where it is), nftables or skip: what holds packets back meanwhile
"""

_DEFAULT_IMAGES = "checkpoint"
_EMPTY = {"network": "net"}


def criu_options(context: Context, options: Options, **more: object) -> CriuOptions:
    """What the command line says.  Raises UsageError."""
    empty = NAMESPACE_FLAGS["net"]  # network devices are the business of whoever made them
    for name in options.repeated("empty_ns"):
        if name not in _EMPTY:
            raise UsageError(f"option --empty-ns takes {', '.join(_EMPTY)}, not {name!r}")
        empty |= NAMESPACE_FLAGS[_EMPTY[name]]
    members = {
        "work_directory": _absolute(options.text("work_path")),
        "tcp_established": options.flag("tcp_established"),
        "tcp_skip_in_flight": options.flag("tcp_skip_in_flight"),
        "link_remap": options.flag("link_remap"),
        "external_unix_connections": options.flag("ext_unix_sk"),
        "shell_job": options.flag("shell_job"),
        "file_locks": options.flag("file_locks"),
        "manage_cgroups_mode": options.text("manage_cgroups_mode"),
        "auto_dedup": options.flag("auto_dedup"),
        "lazy_pages": options.flag("lazy_pages"),
        "network_lock": options.text("network_lock"),
        "empty_namespaces": empty,
        "criu": context.criu,
    }
    images = _absolute(options.text("image_path") or _DEFAULT_IMAGES)
    return CriuOptions(images_directory=images, **(members | more))  # type: ignore[arg-type]


def page_server(text: str) -> PageServer | None:
    """``ADDRESS:PORT``, an IPv6 address in brackets; None for "".  Raises UsageError."""
    if not text:
        return None
    address, _colon, port = text.rpartition(":")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not address or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise UsageError(f"option --page-server takes ADDRESS:PORT, not {text!r}")
    return PageServer(address=address, port=int(port))


def warn_without_root(context: Context) -> None:
    """CRIU needs privileges that an ordinary user lacks; it may work in part."""
    if os.geteuid() != 0:
        context.log.warning("CRIU is not tried with rootless containers")


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""
