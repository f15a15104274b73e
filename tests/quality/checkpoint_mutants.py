"""Mutants that checkpoint or restore wrongly.  They need CRIU: without it their cases are skipped."""

from __future__ import annotations

from planting import Mutant, applied, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _without_limits(_real: Callable[..., None], restoration: Any, pid: int) -> None:
    applied()
    restoration.cgroup.join(pid)


def _option(name: str, value: object) -> Callable[..., Any]:
    """CRIU always gets this value of an option that dump and restore have in common."""

    def common(real: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        chosen = real(*arguments)
        if chosen[name] != value:
            applied()
            chosen[name] = value
        return chosen

    return common


def _never_left(real: Callable[..., dict[str, Any]], dump: Any) -> dict[str, Any]:
    chosen = real(dump)
    if chosen["leave_running"]:
        applied()
        chosen["leave_running"] = False
    return chosen


def _always_linked(real: Callable[..., dict[str, Any]], dump: Any) -> dict[str, Any]:
    chosen = real(dump)
    if not chosen["link_remap"]:
        applied()
        chosen["link_remap"] = True
    return chosen


def _no_pid_file(real: Callable[..., None], restoration: Any, pid: int) -> None:
    if restoration.process.pid_file:
        applied()
        restoration.process.pid_file = ""
    real(restoration, pid)


def _logs_among_images(real: Callable[..., None], dump: Any) -> None:
    if dump.options.work_directory:
        applied()
        dump.options.work_directory = ""
    real(dump)


def _whole_hierarchies(real: Callable[..., dict[str, str]], config: Any, environment: Any) -> dict[str, str]:
    """As runc 1.1: what was the container's own cgroup is the root of the hierarchy afterwards."""
    import os

    binds = real(config, environment)
    own = {hierarchy.path for hierarchy in environment.cgroup_hierarchies}
    whole = {key: os.path.dirname(source) if source in own else source for key, source in binds.items()}
    if whole != binds:
        applied()
    return whole


def _no_network(real: Callable[..., list[dict[str, str | int]]], *arguments: Any) -> list[dict[str, str | int]]:
    entries = real(*arguments)
    kept = [entry for entry in entries if entry["key"] != "extRootNetNS"]
    if kept != entries:
        applied()
    return kept


def _no_streams(_real: Callable[..., Any], *_arguments: Any) -> list[dict[str, str | int]]:
    applied()
    return []


def _where_it_was(_real: Callable[..., Any], *_arguments: Any) -> list[dict[str, str]]:
    applied()
    return []


STATE, COMMAND = "checkpoint/test_state.py", "checkpoint/test_command.py"
NETWORK, STREAMS = "checkpoint/test_network.py", "checkpoint/test_streams.py"
IMAGES, SURROUNDINGS = "checkpoint/test_images.py", "checkpoint/test_surroundings.py"

TABLE = (
    Mutant(
        "restore-forgets-limits",
        "a restored container has no limits",
        replaced("criu.restore:Restoration._place", _without_limits),
        f"{SURROUNDINGS}::test_limits",
    ),
    Mutant(
        "restore-forgets-the-number-of-processes",
        "a restored container may have as many processes as it likes",
        replaced("criu.restore:Restoration._limit_processes", skipped),
        f"{SURROUNDINGS}::test_limits",
    ),
    Mutant(
        "restore-keeps-the-terminal",
        "the master of a restored terminal is sent to nobody",
        replaced("criu.restore:Restoration._take_master", skipped),
        f"{STREAMS}::test_terminal",
    ),
    Mutant(
        "restore-forgets-the-streams",
        "a restored container has no new standard streams",
        replaced("criu.restore:inherited_streams", _no_streams),
        f"{STREAMS}::test_pipes",
    ),
    Mutant(
        "leave-running-kills",
        "checkpoint --leave-running ends the container's processes",
        replaced("criu.dump:Dump._options", _never_left),
        f"{COMMAND}::test_leave_running",
    ),
    Mutant(
        "restore-writes-no-pid-file",
        "restore ignores --pid-file",
        replaced("criu.restore:Restoration._finish", _no_pid_file),
        f"{COMMAND}::test_restored_container_is_running",
    ),
    Mutant(
        "checkpointed-container-stays",
        "checkpoint does not delete the container",
        replaced("container:Container.destroy", skipped),
        f"{COMMAND}::test_checkpointed_container_is_gone",
    ),
    Mutant(
        "logs-among-the-images",
        "checkpoint ignores --work-path",
        replaced("criu.dump:Dump.perform", _logs_among_images),
        f"{COMMAND}::test_logs_are_where_they_are_wanted",
    ),
    Mutant(
        "locks-are-never-dumped",
        "--file-locks is ignored",
        replaced("criu.dump:common", _option("file_locks", False)),
        f"{STATE}::test_file_locks_are_as_before",
    ),
    Mutant(
        "locks-are-always-dumped",
        "file locks are dumped without --file-locks",
        replaced("criu.dump:common", _option("file_locks", True)),
        f"{STATE}::test_file_locks_are_refused_without_the_flag",
    ),
    Mutant(
        "files-are-always-linked",
        "files that have another name are dumped without --link-remap",
        replaced("criu.dump:Dump._options", _always_linked),
        f"{STATE}::test_file_with_another_name",
    ),
    Mutant(
        "outside-sockets-are-always-dumped",
        "sockets that are connected to others outside are dumped without --ext-unix-sk",
        replaced("criu.dump:common", _option("ext_unix_sk", True)),
        f"{NETWORK}::test_socket_outside_of_the_container",
    ),
    Mutant(
        "images-are-kept-whole",
        "checkpoint ignores --auto-dedup",
        replaced("criu.dump:common", _option("auto_dedup", False)),
        f"{IMAGES}::test_images_give_up_what_is_had_twice",
    ),
    Mutant(
        "connections-are-always-dumped",
        "TCP connections are dumped without --tcp-established",
        replaced("criu.dump:common", _option("tcp_established", True)),
        f"{NETWORK}::test_connections_are_refused_without_the_flag",
    ),
    Mutant(
        "connections-are-never-restored",
        "--tcp-established is ignored",
        replaced("criu.dump:common", _option("tcp_established", False)),
        f"{NETWORK}::test_sockets_are_as_before[tcp]",
    ),
    Mutant(
        "restore-leaves-the-network",
        "a container that had joined a network namespace is not restored into it",
        replaced("criu.restore:inherited_namespaces", _no_network),
        f"{NETWORK}::test_sockets_are_as_before[tcp-listener]",
    ),
    Mutant(
        "restored-cgroup-mounts-show-all",
        "a restored container sees the cgroups of the host",
        replaced("criu.restore:cgroup_binds", _whole_hierarchies),
        f"{STATE}::test_report_is_as_before[mounts]",
        view="v1",
    ),
    Mutant(
        "restore-goes-by-the-cgroups-of-the-images",
        "a restored container is in the cgroups that the images name",
        replaced("criu.restore:cgroup_roots", _where_it_was),
        f"{SURROUNDINGS}::test_another_cgroup",
    ),
    Mutant(
        "failed-restore-leaves-all",
        "a restore that fails leaves its state and its cgroup",
        replaced("criu.restore:Restoration.undo", skipped),
        f"{IMAGES}::test_failed_restore_leaves_nothing[no core]",
    ),
    Mutant(
        "lazy-pages-are-not-lazy",
        "restore ignores --lazy-pages",
        replaced("criu.restore:common", _option("lazy_pages", False)),
        f"{IMAGES}::test_lazy_pages",
    ),
)
