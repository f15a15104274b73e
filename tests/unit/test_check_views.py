"""seatrial check --cgroup-view: one view, or several, each of which is a run."""

from __future__ import annotations

import argparse

import pytest

from seatrial.conformance.command.check import add, views


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    return parser.parse_args(["check", *words])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("v2", ("v2",)), ("v2,v1,hybrid", ("v2", "v1", "hybrid")), ("v1,v1", ("v1",))],
)
def test_views_are_taken_in_order_and_once(text: str, wanted: tuple[str, ...]) -> None:
    assert views(text) == wanted
    assert parse("--cgroup-view", text).cgroup_view == wanted


@pytest.mark.parametrize("text", ["", "v3", "v1,", "v1 v2"])
def test_unknown_view_is_an_error(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--cgroup-view", text)
    assert caught.value.code == 2
    assert "is expected" in capsys.readouterr().err


def test_the_view_is_the_runtimes_choice_by_default() -> None:
    assert parse().cgroup_view == ("auto",)
