"""Annotations (config.md#annotations): what create takes and what state shows."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers
from seatrial.conformance.cases.config.visible import visible
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report
from seatrial.conformance.engine.checks import accepted

IMAGE = {
    "os": (9, "linux"),
    "os.version": (10, "12.7"),
    "os.features": (11, "seatrial.one,seatrial.two"),
    "architecture": (12, "amd64"),
    "variant": (13, "v3"),
    "author": (14, "A. Uthor <author@example.org>"),
    "created": (15, "2015-10-31T22:22:56.015925234Z"),
    "stopSignal": (16, "SIGUSR1"),
}  # what follows org.opencontainers.image. : row of the ledger, a valid value by the image spec
PREFIX = "org.opencontainers.image."
_image_state: dict[str, Any] = {}


def shown(runtime: Runtime, bundle: Bundle, annotations: dict[str, str]) -> Any:
    """The annotations that state shows for a container created with these."""
    bundle.config["annotations"] = annotations
    return runtime.create(bundle).state().get("annotations")


@covers("config/annotations/1")
def test_state_shows_the_annotations(runtime: Runtime, bundle: Bundle) -> None:
    """state shows the annotations unchanged, created and running: runtime.md#state."""
    wanted = {"org.example.one": "1", "com.example.two": "two"}
    bundle.config["annotations"] = dict(wanted)
    bundle.probe("hold", report=False)
    container = runtime.create(bundle)
    assert container.state().get("annotations") == wanted
    container.start()
    assert container.state().get("annotations") == wanted


@covers("config/annotations/1")
def test_state_shows_a_key_with_an_equals_sign(runtime: Runtime, bundle: Bundle) -> None:
    """Keys and values are not mixed up, whatever they are made of: config.md#annotations."""
    wanted = {"org.example.a=b": "c=d"}
    assert shown(runtime, bundle, dict(wanted)) == wanted


@covers("config/annotations/1", "config/annotations/20")
def test_unknown_annotations_change_nothing(
    bundle: Bundle, default_report: Report, report: Callable[..., Report]
) -> None:
    """An annotation that nobody knows has no effect on the container: config.md#annotations."""
    bundle.config["annotations"] = {"org.example.nosuch": "privileged", "com.example.nosuch/readonly": "true"}
    assert visible(report(bundle)) == visible(default_report)


@covers("config/annotations/18")
def test_stop_signal(runtime: Runtime, bundle: Bundle) -> None:
    """kill without a signal sends the image's stop signal, or TERM, the command's own default: it SHOULD be the former
    (config.md#annotations).  A signal that is named is sent whatever the annotation says."""
    bundle.config["annotations"] = {PREFIX + "stopSignal": "SIGUSR1"}
    container = runtime.create(bundle.probe("signal-log 10 --until HUP", report=False))
    container.start()
    container.wait_output('"ready"')
    container.kill("USR2")
    container.wait_output('"verb":"signal"')
    if not runtime.command("kill", container.id).ok:
        pytest.skip("kill wants a signal")
    container.kill("HUP")
    container.wait_status("stopped")
    lines = [json.loads(line) for line in container.output().splitlines()]
    numbers = [line["value"]["number"] for line in lines if line["verb"] == "signal"]
    sent = signal.SIGUSR1 if signal.SIGUSR1 in numbers else signal.SIGTERM
    assert numbers == [signal.SIGUSR2, sent, signal.SIGHUP]


@covers("config/annotations/20", "config/annotations/22")
def test_state_shows_unknown_and_empty_annotations(runtime: Runtime, bundle: Bundle) -> None:
    """Unknown keys are ignored, not refused, and a value may be empty: config.md#annotations."""
    wanted = {"org.example.nosuch": "", "k": ""}
    assert shown(runtime, bundle, dict(wanted)) == wanted


@covers("config/annotations/2")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(json.dumps({"a": [1, {"b": None}], "c": '"'}), id="json"),
        pytest.param("  two  words\tand a tab ", id="blanks"),
        pytest.param("first\nsecond\r\n\nlast\n", id="newlines"),
        pytest.param("schön 船 🚢 \u2028\u007f", id="unicode"),
        pytest.param("back\\slash \"quotes\" 'single' <&> \u0001\u001f", id="escapes"),
    ],
)
def test_state_keeps_structured_values(runtime: Runtime, bundle: Bundle, value: str) -> None:
    """Annotation values may be structured or not; they come back byte for byte: config.md#annotations."""
    assert shown(runtime, bundle, {"org.example.value": value}) == {"org.example.value": value}


@covers("config/annotations/3")
@pytest.mark.parametrize("value", [pytest.param(["a", "b"], id="array"), pytest.param("a=b", id="string")])
def test_refuses_annotations_that_are_no_map(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], value: Any
) -> None:
    """annotations is a key-value map: config.md#annotations."""
    bundle.config["annotations"] = value
    rejected(runtime, bundle)


@covers("config/annotations/4")
@pytest.mark.parametrize("form", ["absent", "empty"])
def test_runs_without_annotations(runtime: Runtime, bundle: Bundle, form: str) -> None:
    """Without annotations the property is absent or empty: config.md#annotations."""
    if form == "empty":
        bundle.config["annotations"] = {}
    accepted(runtime, bundle)


@covers("config/annotations/6")
def test_refuses_an_empty_key(runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]) -> None:
    """An annotation key is not empty: config.md#annotations."""
    bundle.config["annotations"] = {"": "x"}
    rejected(runtime, bundle)


@covers("config/annotations/7")
def test_takes_keys_that_are_no_reverse_domain(runtime: Runtime, bundle: Bundle) -> None:
    """The reverse domain form of keys is advice: others are shown as well: config.md#annotations."""
    wanted = {"a": "1", "Key With Blanks/and:signs": "2", "-": "3"}
    assert shown(runtime, bundle, dict(wanted)) == wanted


@covers("config/annotations/21")
@pytest.mark.parametrize(
    "value", [pytest.param(value, id=json.dumps(value)) for value in (1, True, None, {"a": "b"}, ["a"])]
)
def test_refuses_a_value_that_is_no_string(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], value: Any
) -> None:
    """Annotation values are strings: config.md#annotations."""
    bundle.config["annotations"] = {"org.example.key": value}
    rejected(runtime, bundle)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=covers(f"config/annotations/{row}")) for name, (row, _) in IMAGE.items()]
)
def test_state_keeps_image_annotations(runtime: Runtime, make_bundle: Callable[[], Bundle], name: str) -> None:
    """The image spec's annotations with valid values are taken and shown unchanged: config.md#annotations."""
    if runtime.path not in _image_state:
        wanted = {PREFIX + key: value for key, (_, value) in IMAGE.items()}
        _image_state[runtime.path] = shown(runtime, make_bundle(), wanted) or {}
    assert _image_state[runtime.path].get(PREFIX + name) == IMAGE[name][1]
