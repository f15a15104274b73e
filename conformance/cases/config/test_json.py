"""The encoding of config.json (glossary.md#json)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from seatrial.conformance.case import covers, profile
from seatrial.conformance.cases.config.visible import visible
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.driver.probe import Report

WORDS = "naïve Ünïcödé 船 🚢 \u2028"  # two, three and four bytes in UTF-8; U+2028 is no line end in JSON
MARK = "@mark@"


@covers("glossary/json/1")
def test_passes_utf8_to_the_process(bundle: Bundle, report: Callable[..., Report]) -> None:
    """Configuration JSON is UTF-8: args, env and cwd arrive as they were written (glossary.md#json)."""
    directory = f"/tmp/{WORDS}"
    bundle.directory(directory)
    bundle.process["args"] += ["--", "print", WORDS]
    bundle.process["env"].append(f"WORDS={WORDS}")
    bundle.process["cwd"] = directory
    bundle.raw = json.dumps(bundle.config, ensure_ascii=False)
    seen = report(bundle)
    assert seen["argv"][-1] == WORDS
    assert seen.env["WORDS"] == WORDS
    assert seen["cwd"] == directory


@covers("glossary/json/1")
def test_passes_utf8_annotations_to_state(runtime: Runtime, bundle: Bundle) -> None:
    """Configuration JSON is UTF-8: annotations come back from state as they were written (glossary.md#json)."""
    bundle.config["annotations"] = {f"org.example.{WORDS}": WORDS}
    bundle.raw = json.dumps(bundle.config, ensure_ascii=False)
    assert runtime.create(bundle).state()["annotations"][f"org.example.{WORDS}"] == WORDS


def _utf16(text: str) -> bytes:
    return text.encode("utf-16")


@covers("glossary/json/1")
@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(_utf16, id="utf-16"),
        pytest.param(lambda text: text.encode().replace(MARK.encode(), b"a\xffb"), id="invalid-byte"),
        pytest.param(lambda text: text.encode().replace(MARK.encode(), b"a\xe2\x82"), id="truncated-sequence"),
        pytest.param(lambda text: text.encode().replace(MARK.encode(), b"\xc0\xaf"), id="overlong-slash"),
    ],
)
def test_refuses_what_is_not_utf8(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], encode: Callable[[str], bytes]
) -> None:
    """Configuration JSON is UTF-8: another encoding, or bytes that are no UTF-8, are an error (glossary.md#json)."""
    bundle.process["env"].append(f"A={MARK}")
    bundle.raw = encode(json.dumps(bundle.config))
    rejected(runtime, bundle)


def _hostname_twice(bundle: Bundle) -> str:
    bundle.config["hostname"] = "first"
    text = json.dumps(bundle.config)
    return text.replace('"hostname": "first"', '"hostname": "first", "hostname": "second"', 1)


@covers("glossary/json/2")
@profile("spec")
def test_refuses_a_repeated_member(runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result]) -> None:
    """An object does not repeat a member name: glossary.md#json; an invalid config is an error:
    config.md#valid-values."""
    bundle.raw = _hostname_twice(bundle)
    rejected(runtime, bundle)


@covers("glossary/json/2")
@profile("runc-compat")
def test_takes_the_last_of_a_repeated_member(bundle: Bundle, report: Callable[..., Report]) -> None:
    """Practice for repeated member names, which glossary.md#json forbids: the last one counts."""
    bundle.raw = _hostname_twice(bundle)
    assert report(bundle)["uts"]["nodename"] == "second"


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return [_reversed(entry) for entry in value] if isinstance(value, list) else value


@covers("glossary/json/3")
def test_ignores_the_order_of_members(bundle: Bundle, default_report: Report, report: Callable[..., Report]) -> None:
    """The order of an object's members carries no meaning: glossary.md#json."""
    bundle.config = _reversed(bundle.config)
    assert next(iter(bundle.config)) != "ociVersion"
    assert visible(report(bundle)) == visible(default_report)
