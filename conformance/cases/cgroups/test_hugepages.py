"""config-linux.md#huge-page-limits."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.cgroups import control_files
from seatrial.conformance.cases.cgroups.limits import versions
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.errors import EnvironmentProblem

Make = Callable[[], Bundle]
Rejected = Callable[..., Result]
ROW = "config-linux/huge-page-limits/"
SIZES = "/sys/kernel/mm/hugepages"


def page_size() -> tuple[str, int]:
    """The smallest size of huge pages that this kernel has: as in the file names, and in bytes."""
    sizes = sorted(int(name[10:-2]) for name in os.listdir(SIZES))  # hugepages-2048kB
    if not sizes:
        raise EnvironmentProblem(f"{SIZES} is empty")
    size, unit = sizes[0], "KB"
    if size % 1024 == 0:
        size, unit = size // 1024, "MB"
    return f"{size}{unit}", sizes[0] * 1024


def limited(bundle: Bundle, *entries: dict[str, Any]) -> Bundle:
    bundle.linux["resources"]["hugepageLimits"] = list(entries)
    return bundle


def shown(container: Container, size: str, v2: bool, reserved: bool) -> str | None:
    """A limit as the kernel has it; None where it has no such file."""
    suffix = "max" if v2 else "limit_in_bytes"
    name = f"hugetlb.{size}.{'rsvd.' if reserved else ''}{suffix}"
    if not os.path.exists(os.path.join(control_files.directory_of(container, "hugetlb"), name)):
        return None
    return control_files.value(container, name)


ROWS = ("huge-page-limits/1", "huge-page-limits/7")


@needs("hugetlb")
@pytest.mark.parametrize("v2", versions("hugetlb", v1=ROWS, v2=ROWS))
def test_limit_in_bytes(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """The limit is in bytes, and the kernel shows it (config-linux.md#huge-page-limits)."""
    size, octets = page_size()
    container = runtime.create(limited(bundle, {"pageSize": size, "limit": 4 * octets}))
    assert str(4 * octets) in (shown(container, size, v2, True), shown(container, size, v2, False))


@needs("hugetlb", "kernel>=5.7")
@pytest.mark.parametrize("v2", versions("hugetlb", v1=("huge-page-limits/2",), v2=("huge-page-limits/2",)))
def test_limit_is_one_of_reservations(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Where the kernel counts reservations they are what is limited (config-linux.md#huge-page-limits)."""
    size, octets = page_size()
    container = runtime.create(limited(bundle, {"pageSize": size, "limit": 2 * octets}))
    assert shown(container, size, v2, True) == str(2 * octets)


@needs("hugetlb")
@pytest.mark.parametrize("v2", versions("hugetlb", v1=("huge-page-limits/3",), v2=("huge-page-limits/3",)))
def test_limit_falls_back_to_use(runtime: Runtime, bundle: Bundle, v2: bool) -> None:
    """Where it does not, pages in use are (config-linux.md#huge-page-limits)."""
    size, _ = page_size()
    container = runtime.create(limited(bundle, {"pageSize": size, "limit": 0}))
    if shown(container, size, v2, True) is None:
        assert shown(container, size, v2, False) == "0"
    else:
        assert "0" in (shown(container, size, v2, True), shown(container, size, v2, False))


@needs("root", "hugetlb")
@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("pageSize", marks=covers(ROW + "4")),
        pytest.param("limit", marks=covers(ROW + "7")),
    ],
)
def test_entry_is_complete(make_bundle: Make, runtime: Runtime, rejected: Rejected, missing: str) -> None:
    """An entry without its size or its limit is refused (config-linux.md#huge-page-limits)."""
    size, octets = page_size()
    entry = {"pageSize": size, "limit": octets}
    control = limited(make_bundle(), dict(entry))
    del entry[missing]
    rejected(runtime, limited(make_bundle(), entry), control=control)


@needs("root", "hugetlb")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty", marks=covers(ROW + "5")),
        pytest.param("2", id="no unit", marks=covers(ROW + "5")),
        pytest.param("2M", id="no B", marks=covers(ROW + "5")),
        pytest.param("2XB", id="unknown unit", marks=covers(ROW + "5")),
        pytest.param("MB", id="no number", marks=covers(ROW + "5")),
        pytest.param("3MB", id="no such size", marks=covers(ROW + "5")),
        pytest.param("2097KB", id="powers of 1000", marks=covers(ROW + "6")),
    ],
)
def test_page_size_is_one_of_the_kernel(make_bundle: Make, runtime: Runtime, rejected: Rejected, text: str) -> None:
    """pageSize is a size that the kernel has, as its files spell it (config-linux.md#huge-page-limits)."""
    size, octets = page_size()
    control = limited(make_bundle(), {"pageSize": size, "limit": octets})
    rejected(runtime, limited(make_bundle(), {"pageSize": text, "limit": octets}), control=control)


@needs("root", "hugetlb")
@pytest.mark.parametrize("v2", versions("hugetlb", v1=("huge-page-limits/5",), v2=("huge-page-limits/5",)))
def test_page_size_leads_to_no_other_file(
    make_bundle: Make, runtime: Runtime, rejected: Rejected, existing_cgroup: Callable[[Bundle, str], str], v2: bool
) -> None:
    """pageSize is no path: nothing outside the hugetlb files is written (GHSA-5g49-rx9x-qfc6)."""
    size, octets = page_size()
    bundle = make_bundle()
    directory = existing_cgroup(bundle, "hugetlb")
    target = os.path.join(directory, "inner")
    os.mkdir(target)
    suffix = "max" if v2 else "limit_in_bytes"
    before = control_files.read(target, f"hugetlb.{size}.{suffix}") if not v2 else ""
    control = limited(make_bundle(), {"pageSize": size, "limit": octets})
    path = f"{size}.{suffix}/../inner/hugetlb.{size}"
    for text in (path, f"../{os.path.basename(directory)}/inner/hugetlb.{size}"):
        rejected(runtime, limited(bundle, {"pageSize": text, "limit": octets}), control=control)
    if not v2:
        assert control_files.read(target, f"hugetlb.{size}.{suffix}") == before
