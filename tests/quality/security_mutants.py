"""Mutants whose bug lets a hostile image, volume or config out of the container."""

from __future__ import annotations

import contextlib
import os

from planting import Mutant, applied, both, changed, compiling, dropped, plan, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from seatrial.runtime.config import Config, IDMap
    from seatrial.runtime.plan.environment import Environment
    from seatrial.runtime.plan.operation import Operation
    from seatrial.runtime.plan.plan import Plan

PROCFS = "security/test_procfs.py::"
DESTINATIONS = "security/test_destinations.py::"
HANDOVER = "security/test_handover.py::"
IMAGE = "security/test_image.py::"
_MS_RDONLY = 1


def _below_proc(values: dict[str, Any]) -> bool:
    return str(values["target"]).startswith("/proc/")


def _mount_points_by_path(
    real: Callable[[Config, Environment], Plan], config: Config, environment: Environment
) -> Plan:
    """Makes mount points by their path on the host, before anything is mounted: links lead where they like."""
    for mount in config.mounts:
        path = config.rootfs + mount.destination
        if not os.path.isdir(path):
            applied()
            # What lies behind a dangling link is made, as open(O_CREAT) would do it.
            with contextlib.suppress(OSError):
                os.makedirs(os.path.realpath(path))
    return real(config, environment)


def _devices_by_path(real: Callable[[Config, Environment], Plan], config: Config, environment: Environment) -> Plan:
    """Makes device nodes and links by their path on the host."""
    for name in ("fd", "null", "node", "net/tun"):
        with contextlib.suppress(OSError):
            os.symlink("/proc/self/fd", f"{config.rootfs}/dev/{name}")
            applied()
    return real(config, environment)


def _masks_by_the_image(operations: list[Operation]) -> list[Operation]:
    """Masks /masked with whatever the image has at /dev/null."""
    from seatrial.runtime.plan import operation as op

    if not any(entry.name == "mask" and entry.values[0] == "/masked" for entry in operations):
        return operations
    changed_plan = []
    for entry in operations:
        if entry.name == "mask" and entry.values[0] == "/masked":
            changed_plan.append(op.bind_inside("/dev/null", "/masked"))
        elif entry.name != "null_stdio" and entry.values[:1] != ("/dev/null",):
            changed_plan.append(entry)
    return changed_plan


def _executor_from_its_file(_real: Callable[[], int]) -> int:
    """The executor is run from the file that it was installed as."""
    from seatrial.native.programs import path

    applied()
    return os.open(path("executor"), os.O_RDONLY | os.O_CLOEXEC)


def _any_number_of_mappings() -> None:
    from seatrial.runtime import validate

    vars(validate)["_MAPPING_LINES"] = 1 << 20


def _mapped_as_far_as_it_goes(real: Callable[[list[IDMap]], bytes], mappings: list[IDMap]) -> bytes:
    if len(mappings) > 300:
        applied()
    return real(mappings[:300])


def _inheritable_too(real: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    process = real()
    applied()
    process["capabilities"]["inheritable"] = process["capabilities"]["permitted"]
    return process


def _is_cgroup(values: dict[str, Any]) -> bool:
    return str(values["target"]).startswith("/sys/fs/cgroup")


def _writable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] & ~_MS_RDONLY for name in ("flags", "set") if isinstance(values.get(name), int)}


TABLE = (
    Mutant(
        "mounts-below-proc-ignored",
        "mounts over parts of a procfs are left out without a word",
        plan(dropped("bind", where=_below_proc)),
        PROCFS + "test_mounts_below_proc_are_refused[/proc/sys]",
        PROCFS + "test_files_that_show_the_machine_can_be_covered",
    ),
    Mutant(
        "sysctls-lost-below-proc",
        "with something mounted below /proc, sysctls are written nowhere",
        plan(dropped("bind", where=_below_proc), dropped("sysctl")),
        PROCFS + "test_something_else_below_proc[sys]",
        PROCFS + "test_proc_of_the_image_leads_into_a_volume[absolute]",
    ),
    Mutant(
        "mount-points-by-path",
        "mount points are made by their path, before the root is that of the container",
        compiling(_mount_points_by_path),
        DESTINATIONS + "test_mount_point_is_a_dangling_link[absolute]",
    ),
    Mutant(
        "devices-by-path",
        "devices and links are made by their path, before the root is that of the container",
        compiling(_devices_by_path),
        DESTINATIONS + "test_devices_with_a_tmpfs_on_the_link[absolute]",
        DESTINATIONS + "test_devices_below_a_link",
    ),
    Mutant(
        "executor-from-its-file",
        "what runs in the container before its program is a file of the host that can be written to",
        replaced("launch:executor", _executor_from_its_file),
        HANDOVER + "test_waiting_process_does_not_run_a_file_of_the_host",
    ),
    Mutant(
        "joining-process-dumpable",
        "a process that joins namespaces of others can be inspected by them",
        plan(dropped("nondumpable")),
        HANDOVER + "test_joining_process_shows_itself_to_nobody_inside",
    ),
    Mutant(
        "mappings-cut-short",
        "of more mappings than the kernel takes only the first are written",
        both(_any_number_of_mappings, replaced("idmap:map_text", _mapped_as_far_as_it_goes)),
        "security/test_user_namespaces.py::test_too_many_mappings[uidMappings]",
    ),
    Mutant(
        "cgroup-mount-writable",
        "the option ro of a cgroup mount has no effect",
        plan(changed("mount", "remount", "mount_attr", "bind", to=_writable, where=_is_cgroup)),
        "security/test_user_namespaces.py::test_cgroup_filesystem_is_read_only[private]",
    ),
    Mutant(
        "spec-with-inheritable-capabilities",
        "`spec` writes a config with inheritable capabilities",
        replaced("spec_template:_process", _inheritable_too),
        IMAGE + "test_generated_config_gives_no_inheritable_capabilities",
    ),
    Mutant(
        "masks-by-the-image",
        "masks are bind mounts of the image's /dev/null, which nobody looks at",
        plan(_masks_by_the_image),
        IMAGE + "test_null_of_the_image_is_a_link[image]",
    ),
)
