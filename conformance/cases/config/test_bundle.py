"""What a bundle is: a directory with config.json at its top (bundle.md#container-format)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.cases.config.visible import visible
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.checks import accepted

Rejected = Callable[..., Result]


@covers("bundle/container-format/1")
def test_refuses_a_bundle_without_config_json(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """A bundle contains a config.json: bundle.md#container-format."""
    bundle.frozen = True
    rejected(runtime, bundle)


@covers("bundle/container-format/2")
def test_refuses_config_json_in_a_subdirectory(runtime: Runtime, bundle: Bundle, rejected: Rejected) -> None:
    """config.json is at the top of the bundle; moved there, the same file is taken: bundle.md#container-format."""
    path = bundle.write()
    bundle.frozen = True
    below = bundle.outside("sub")
    os.mkdir(below)
    os.rename(path, os.path.join(below, "config.json"))
    rejected(runtime, bundle)
    os.rename(os.path.join(below, "config.json"), path)
    accepted(runtime, bundle)


@covers("bundle/container-format/3")
@pytest.mark.parametrize("name", ["Config.json", "config.jsonc"])
def test_refuses_other_names_of_the_config(runtime: Runtime, bundle: Bundle, rejected: Rejected, name: str) -> None:
    """The file is named exactly config.json: bundle.md#container-format."""
    path = bundle.write()
    bundle.frozen = True
    os.rename(path, bundle.outside(name))
    rejected(runtime, bundle)


@covers("bundle/container-format/4")
def test_takes_a_bundle_that_was_copied_elsewhere(
    runtime: Runtime, bundle: Bundle, make_bundle: Callable[[], Bundle], report: Callable[..., Report]
) -> None:
    """The directory's own name and place are not part of the bundle: bundle.md#container-format."""
    bundle.file("etc/mark", "copied")
    bundle.probe("read /etc/mark")
    here = report(bundle)
    place = os.path.join(make_bundle().path, "another parent")
    shutil.copytree(bundle.path, os.path.join(place, "other-name"), symlinks=True)
    copy = Bundle(os.path.join(place, "other-name"), f"{bundle.name}-copy", bundle.hook_program)
    copy.frozen = True
    there = report(copy)
    assert there.verb("read").value == here.verb("read").value == "copied"
    assert visible(there) == visible(here)
    container = runtime.create(copy, id=f"{bundle.name}-again")
    container.start()
    container.wait_status("stopped")
    container.delete()
