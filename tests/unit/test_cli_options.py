"""The option parser, against Go's flag package as runc's callers know it."""

from __future__ import annotations

import pytest

from seatrial.runtime.cli.options import parse
from seatrial.runtime.errors import UsageError

TABLE = {
    "bundle": ("bundle", "text"),
    "b": ("bundle", "text"),
    "detach": ("detach", "flag"),
    "d": ("detach", "flag"),
    "preserve-fds": ("preserve_fds", "count"),
    "env": ("env", "list"),
    "e": ("env", "list"),
}


@pytest.mark.parametrize(
    "words",
    [
        ["--bundle", "/x", "id"],
        ["--bundle=/x", "id"],
        ["-b", "/x", "id"],
        ["-b=/x", "id"],
        ["-bundle", "/x", "id"],
        ["id", "--bundle", "/x"],
        ["id", "-b=/x"],
    ],
)
def test_forms_of_an_option_with_a_value(words: list[str]) -> None:
    options, arguments = parse(TABLE, words, interspersed=True)
    assert options.text("bundle") == "/x"
    assert arguments == ["id"]
    assert options.given == {"bundle"}


@pytest.mark.parametrize(
    ("word", "value"),
    [("-d", True), ("--detach", True), ("--detach=true", True), ("--detach=false", False), ("-d=0", False)],
)
def test_forms_of_a_flag(word: str, value: bool) -> None:
    options, arguments = parse(TABLE, [word, "id"], interspersed=True)
    assert options.flag("detach") is value
    assert arguments == ["id"]


def test_what_was_not_given_has_a_default() -> None:
    options, arguments = parse(TABLE, [], interspersed=True)
    assert (options.text("bundle"), options.flag("detach"), options.count("preserve_fds")) == ("", False, 0)
    assert options.text("bundle", "/d") == "/d"
    assert arguments == []
    assert options.given == set()


def test_the_first_argument_can_end_the_options() -> None:
    _, arguments = parse(TABLE, ["id", "-9", "--bundle"], interspersed=False)
    assert arguments == ["id", "-9", "--bundle"]


def test_two_dashes_end_the_options() -> None:
    options, arguments = parse(TABLE, ["-d", "--", "-b", "x"], interspersed=True)
    assert options.flag("detach")
    assert arguments == ["-b", "x"]


def test_a_single_dash_is_an_argument() -> None:
    assert parse(TABLE, ["-"], interspersed=True)[1] == ["-"]


def test_a_value_may_hold_an_equals_sign_and_be_empty() -> None:
    assert parse(TABLE, ["--bundle=a=b"], interspersed=True)[0].text("bundle") == "a=b"
    assert parse(TABLE, ["--bundle="], interspersed=True)[0].text("bundle") == ""


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--nope"], "unknown option --nope"),
        (["--nope=1"], "unknown option --nope"),
        (["--bundle"], "needs a value"),
        (["--detach=maybe"], "true or false"),
        (["--preserve-fds", "x"], "takes a number"),
        (["--preserve-fds=-1"], "takes a number"),
        (["--preserve-fds", "\u0663"], "takes a number"),
    ],
)
def test_usage_errors_name_the_option(words: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse(TABLE, words, interspersed=True)


def test_an_option_that_may_be_repeated_keeps_its_order_and_every_comma() -> None:
    options, arguments = parse(TABLE, ["-e", "A=1,2", "id", "--env=B=", "-env", "A=3"], interspersed=True)
    assert options.repeated("env") == ["A=1,2", "B=", "A=3"]
    assert options.repeated("cap") == []
    assert arguments == ["id"]
    with pytest.raises(UsageError, match="needs a value"):
        parse(TABLE, ["-e"], interspersed=True)
