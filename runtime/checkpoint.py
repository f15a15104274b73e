"""What checkpoint and restore through CRIU take: libcontainer's CriuOpts.  criu(8)."""

from __future__ import annotations

from seatrial.runtime.record import Record


class VethPair(Record):
    """A veth pair of the container: on restore CRIU makes it anew."""

    container_name: str
    host_name: str


class PageServer(Record):
    """Where memory pages go, in place of the images directory."""

    address: str
    port: int


class CriuOptions(Record):
    """Options of `Container.checkpoint` and `Container.restore`; a path is a host path."""

    images_directory: str  # `checkpoint` makes it, mode 0700, where it is missing
    work_directory: str = ""  # logs and statistics; "": the images directory
    parent_image: str = ""  # relative to the images directory: the dump before this one
    leave_running: bool = False
    tcp_established: bool = False
    tcp_skip_in_flight: bool = False
    tcp_close: bool = False  # on restore: connections come back closed
    link_remap: bool = False  # files that have been unlinked
    external_unix_connections: bool = False
    shell_job: bool = False  # a terminal of somebody else's session
    file_locks: bool = False
    pre_dump: bool = False
    page_server: PageServer | None = None
    veth_pairs: list[VethPair] = []
    empty_namespaces: int = 0  # CLONE_NEW* of namespaces that are restored empty
    auto_dedup: bool = False
    lazy_pages: bool = False
    status_fd: int = -1  # gets a NUL byte when the lazy-pages server is ready, and is closed
    lsm_profile: str = ""  # "apparmor:PROFILE" or "selinux:LABEL", on restore
    lsm_mount_context: str = ""
    manage_cgroups_mode: str = ""  # "soft" (also ""), "full", "strict", "ignore"
    network_lock: str = ""  # "iptables", "nftables", "skip": what keeps packets away meanwhile; "": what there is
    criu: str = "criu"  # the program: a path, or a name to look up in PATH
