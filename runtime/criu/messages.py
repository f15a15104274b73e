"""CRIU's requests and responses: names and numbers of its `images/rpc.proto`."""

from __future__ import annotations

from seatrial.runtime.criu.wire import decode, encode, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.criu.wire import Value

# criu_req_type
DUMP = 1
RESTORE = 2
PRE_DUMP = 4
NOTIFY = 6
FEATURE_CHECK = 9
VERSION = 10

# criu_opts.  A dict, or a list of dicts, is a nested message with the fields of NESTED.
OPTIONS = {
    "images_dir_fd": 1, "pid": 2, "leave_running": 3, "ext_unix_sk": 4, "tcp_established": 5, "evasive_devices": 6,
    "shell_job": 7, "file_locks": 8, "log_level": 9, "log_file": 10, "ps": 11, "notify_scripts": 12, "root": 13,
    "parent_img": 14, "track_mem": 15, "auto_dedup": 16, "work_dir_fd": 17, "link_remap": 18, "manage_cgroups": 24,
    "cg_root": 25, "rst_sibling": 26, "inherit_fd": 27, "manage_cgroups_mode": 34, "external": 37, "empty_ns": 38,
    "join_ns": 39, "freeze_cgroup": 44, "tcp_skip_in_flight": 46, "lazy_pages": 48, "orphan_pts_master": 50,
    "config_file": 51, "tcp_close": 52, "lsm_profile": 53, "lsm_mount_context": 63, "network_lock": 64,
}  # fmt: skip
NESTED = {
    "ps": {"address": 1, "port": 2},
    "cg_root": {"ctrl": 1, "path": 2},
    "inherit_fd": {"key": 1, "fd": 2},
    "join_ns": {"ns": 1, "ns_file": 2},
}
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5, "": 6}  # criu_cg_mode
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}  # criu_network_lock_method
FEATURES = {"mem_track": 1, "lazy_pages": 2}


def request(type: int, options: dict[str, Any] | None = None, features: tuple[str, ...] = ()) -> bytes:
    """A criu_req.  Raises KeyError for a name that is not in the tables."""
    fields: list[tuple[int, Value]] = [(1, type)]
    if options is not None:
        fields.append((2, _options(options)))
    if features:
        fields.append((5, encode((FEATURES[name], True) for name in features)))
    return encode(fields)


def answer(success: bool) -> bytes:
    """The criu_req that answers a notification."""
    return encode([(1, NOTIFY), (3, success)])


def _options(options: dict[str, Any]) -> bytes:
    fields: list[tuple[int, Value]] = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                each = encode((NESTED[name][key], inner) for key, inner in each.items())
            fields.append((OPTIONS[name], each))
    return encode(fields)


class Response:
    """A criu_resp."""

    __slots__ = ("errno", "features", "message", "pid", "script", "success", "type", "version")

    def __init__(self, data: bytes) -> None:
        """Raises ValueError for what is none."""
        fields = decode(data)
        if 1 not in fields or 2 not in fields:
            raise ValueError("no response of CRIU")
        self.type = signed(fields[1][-1])
        self.success = bool(fields[2][-1])
        self.errno = signed(fields[7][-1]) if 7 in fields else 0
        self.message = _text(fields[9][-1]) if 9 in fields else ""
        self.script = ""  # of a notification
        self.pid = 0  # of a notification, or of what has been restored
        notify, restored = _message(fields, 5), _message(fields, 4)
        if notify is not None:
            self.script = _text(notify[1][-1]) if 1 in notify else ""
            self.pid = signed(notify[2][-1]) if 2 in notify else 0
        if restored is not None:
            self.pid = signed(restored[1][-1]) if 1 in restored else 0
        said = _message(fields, 8) or {}
        self.features = {name for name, number in FEATURES.items() if said.get(number, [0])[-1]}
        version = _message(fields, 10)
        self.version: tuple[int, int, int] | None = None
        if version is not None:
            major, minor, sublevel = (signed(version.get(number, [0])[-1]) for number in (1, 2, 4))
            self.version = (major, minor, sublevel)


def _message(fields: dict[int, list[int | bytes]], number: int) -> dict[int, list[int | bytes]] | None:
    if number not in fields:
        return None
    data = fields[number][-1]
    if not isinstance(data, bytes):
        raise ValueError("a number where CRIU sends a message")
    return decode(data)


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
