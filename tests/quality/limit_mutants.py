"""Mutants whose bug is in limits: device rules, the members of linux.resources, update."""

from __future__ import annotations

from planting import Mutant, applied, both, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from planting import Plant


def _weakened(**fields: Any) -> Plant:
    """Limits without these fields of Resources, on every kind of host."""

    def apply(real: Callable[..., None], cgroup: Any, resources: Any) -> None:
        if any(getattr(resources, name) != value for name, value in fields.items()):
            applied()
        real(cgroup, resources.replace(**fields))

    return both(replaced("cgroup.v1:CgroupV1.apply", apply), replaced("cgroup.v2:CgroupV2.apply", apply))


def _last_rate(real: Callable[..., dict[str, str]], resources: Any) -> dict[str, str]:
    applied()
    return {device: text.rsplit(" ", 1)[-1] for device, text in real(resources).items()}


def _nothing_taken_back(_real: Callable[..., list[str]], undo: Any) -> list[str]:
    if undo.steps:
        applied()
    return []


def _thawing_update(real: Callable[..., Any], directory: Any, state: Any, *rest: Any) -> Any:
    from seatrial.runtime.cgroup.place import from_paths

    applied()
    from_paths(state.cgroup_paths).thaw()
    return real(directory, state, *rest)


TABLE = (
    Mutant(
        "device-rules-dropped",
        "linux.resources.devices is ignored",
        _weakened(devices=[]),
        "linux/test_devices.py::test_other_devices_cannot_be_opened",
    ),
    Mutant(
        "device-rules-dropped-on-v2",
        "linux.resources.devices is ignored where it takes a program",
        replaced("cgroup.v2:CgroupV2.apply_devices", skipped),
        "linux/test_devices.py::test_other_devices_cannot_be_opened",
        view="v2",
    ),
    Mutant(
        "pids-limit-dropped",
        "linux.resources.pids is ignored",
        _weakened(pids_limit=None),
        "cgroups/test_pids.py::test_limit[pids.limit-v1]",
        "cgroups/test_pids.py::test_limit[pids.limit-v2]",
    ),
    Mutant(
        "memory-limit-dropped",
        "linux.resources.memory.limit is ignored",
        _weakened(memory_limit=None),
        "cgroups/test_memory.py::test_limit[limit-v1]",
        "cgroups/test_memory.py::test_limit[limit-v2]",
    ),
    Mutant(
        "cpu-quota-dropped",
        "linux.resources.cpu.quota is ignored",
        _weakened(cpu_quota=None),
        "cgroups/test_cpu.py::test_limit[quota-v1]",
        "cgroups/test_cpu.py::test_limit[quota-v2]",
    ),
    Mutant(
        "cpuset-dropped",
        "linux.resources.cpu.cpus is ignored",
        _weakened(cpuset_cpus=None),
        "cgroups/test_cpuset.py::test_cpus_in_the_cgroup",
    ),
    Mutant(
        "throttle-dropped",
        "linux.resources.blockIO.throttleReadBpsDevice is ignored",
        _weakened(blkio_read_bps=[]),
        "cgroups/test_block_io.py::test_throttle[throttleReadBpsDevice]",
        "cgroups/test_block_io.py::test_all_rates_of_a_device_hold_on_v2",
    ),
    Mutant(
        "rates-of-a-device-replace-each-other",
        "each rate of a device is written on a line of its own with the others taken away",
        replaced("cgroup.v2_io:throttles", _last_rate),
        "cgroups/test_block_io.py::test_all_rates_of_a_device_hold_on_v2",
        view="v2",
    ),
    Mutant(
        "io-weight-dropped",
        "linux.resources.blockIO.weight is ignored",
        _weakened(blkio_weight=None),
        "cgroups/test_block_io.py::test_weight[v1]",
        "cgroups/test_block_io.py::test_weight[v2]",
    ),
    Mutant(
        "hugepage-limit-dropped",
        "linux.resources.hugepageLimits is ignored",
        _weakened(hugepage_limits=[]),
        "cgroups/test_hugepages.py::test_limit_in_bytes[v2]",
        view="v2",
    ),
    Mutant(
        "unknown-rdma-device-ignored",
        "linux.resources.rdma is ignored",
        _weakened(rdma={}),
        "cgroups/test_rdma.py::test_device_that_is_not_there",
    ),
    Mutant(
        "unified-dropped",
        "linux.resources.unified is ignored",
        _weakened(unified={}),
        "cgroups/test_unified.py::test_file_is_written[cgroup.max.depth]",
        view="v2",
    ),
    Mutant(
        "refused-update-stays-half-done",
        "an update that fails leaves the limits that it has written already",
        replaced("cgroup.undo:Undo.run", _nothing_taken_back),
        "cgroups/test_update.py::test_a_refused_update_changes_nothing[v1]",
        "cgroups/test_update.py::test_a_refused_update_changes_nothing[v2]",
    ),
    Mutant(
        "update-wakes-a-paused-container",
        "update thaws the container",
        replaced("update:update", _thawing_update),
        "cgroups/test_update.py::test_a_paused_container_stays_paused",
    ),
)
