"""ociVersion (config.md#specification-version)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.checks import accepted

Rejected = Callable[..., Result]
RELEASES = ("1.0.0", "1.0.1", "1.0.2", "1.1.0", "1.2.0", "1.2.1", "1.3.0")


@covers("config/specification-version/1")
def test_refuses_a_config_without_oci_version(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """ociVersion is REQUIRED: config.md#specification-version."""
    del bundle.config["ociVersion"]
    rejected(runtime, bundle)


@covers("config/specification-version/2")
@pytest.mark.parametrize(
    "version", [pytest.param(version, id=version or "empty") for version in ("invalid", "1.0", "v1.0.0", "")]
)
def test_refuses_what_is_no_semver(runtime: Runtime, bundle: Bundle, rejected: Rejected, version: str) -> None:
    """ociVersion has the form of SemVer 2.0.0: config.md#specification-version."""
    bundle.config["ociVersion"] = version
    rejected(runtime, bundle)


@covers("config/specification-version/2")
@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.0.0+build.7"])
def test_takes_semver_forms(runtime: Runtime, bundle: Bundle, version: str) -> None:
    """A pre-release and build metadata are part of SemVer: config.md#specification-version."""
    bundle.config["ociVersion"] = version
    accepted(runtime, bundle)


@covers("config/specification-version/3")
def test_runs_configs_of_every_earlier_minor(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], report: Callable[..., Report]
) -> None:
    """A runtime for 1.x takes configs of all earlier 1.y: config.md#specification-version.  The runtime's own version
    is the one that its state states."""
    container = runtime.create(bundle)
    own = container.state()["ociVersion"]
    assert isinstance(own, str)
    container.remove()
    earlier = [release for release in RELEASES if _numbers(release) <= _numbers(own)]
    assert earlier, f"state states version {own}, which is no version from 1.0.0 on"
    for release in earlier:
        other = make_bundle()
        other.config["ociVersion"] = release
        assert report(other)["uts"]["nodename"] == "seatrial"


def _numbers(version: str) -> tuple[int, ...]:
    core = version.partition("+")[0].partition("-")[0].split(".")
    assert [part.isdigit() for part in core] == [True] * 3, f"{version!r} is no version"
    return tuple(int(part) for part in core)


@covers("config/specification-version/4")
def test_refuses_a_version_of_a_far_future(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A version that the runtime does not support is an unsupported value, hence an error: config.md#valid-values."""
    bundle.config["ociVersion"] = "99.0.0"
    rejected(runtime, bundle)
