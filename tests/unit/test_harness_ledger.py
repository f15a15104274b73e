"""The ledger and the words of needs are checked, not trusted."""

from __future__ import annotations

import pytest

from seatrial.conformance import case
from seatrial.conformance.engine import needs
from seatrial.conformance.errors import HarnessBug
from seatrial.conformance.ledger import ledger

ROW = """
[[requirement]]
id = "{id}"
file = "config.md"
section = "hostname"
level = "{level}"
subject = "runtime"
text = "t"
observable = "o"
needs = {needs}
since = "1.0.0"
"""


def row(id: str = "config/hostname/1", level: str = "MUST", needs: str = "[]") -> str:
    return ROW.format(id=id, level=level, needs=needs)


def test_shipped_ledger_is_complete_and_unique() -> None:
    requirements = ledger.load()
    assert len(requirements) >= 987
    assert all(requirement.id == name for name, requirement in requirements.items())
    assert requirements["config/hostname/1"].chapter == "config.md#hostname"


def test_rows_keep_their_order_and_members() -> None:
    found = ledger.parse(row("b/1") + row("a/1", needs='["root", "kernel>=5.12"]'))
    assert list(found) == ["b/1", "a/1"]
    assert found["a/1"].needs == ("root", "kernel>=5.12")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (row() + row(), "appears twice"),
        (row(level="MIGHT"), "unknown level"),
        (row(needs='["moonlight"]'), "unknown need 'moonlight'"),
        (row(needs='"root"'), "needs must be a list"),
        (row() + 'extra = "x"\n', "unknown members: extra"),
        (row().replace('since = "1.0.0"', ""), "missing or unknown members: since"),
        (row().replace('text = "t"', "text = 1"), "text must be a string"),
        ("[[requirement]\n", "ledger: "),
        ("other = 1\n", "only [[requirement]]"),
    ],
)
def test_malformed_ledger_is_a_bug_of_ours(text: str, complaint: str) -> None:
    with pytest.raises(HarnessBug) as caught:
        ledger.parse(text)
    assert complaint in str(caught.value)


def test_decorators_refuse_unknown_words() -> None:
    with pytest.raises(HarnessBug, match="not in the ledger: no/such/1"):
        case.covers("config/hostname/1", "no/such/1")
    with pytest.raises(HarnessBug, match="at least one"):
        case.covers()
    with pytest.raises(HarnessBug, match="unknown need"):
        case.needs("root", "rooot")
    with pytest.raises(HarnessBug, match="unknown profile"):
        case.profile("crun-compat")


@pytest.mark.parametrize(
    "word",
    [
        "kernel>=6",
        "kernel>5.1",
        "cap:CAP_KILL",
        "cap:FLY",
        "cgroup:",
        "cgroup:love",
        "program:",
        "Root",
        "",
        "program:a b",
    ],
)
def test_unknown_need_is_an_error(word: str) -> None:
    with pytest.raises(HarnessBug):
        needs.check_word(word)


def test_needs_are_answered_from_the_host() -> None:
    assert needs.unmet("kernel>=3.0") is None
    assert "is older than 99.1" in str(needs.unmet("kernel>=99.1"))
    assert needs.unmet("program:sh") is None
    assert needs.unmet("program:no-such-program-anywhere") == "no program no-such-program-anywhere"
    assert needs.unmet("filesystem:proc") is None
    assert needs.unmet("filesystem:nosuchfs") == "the kernel has no file system nosuchfs"


def test_kernel_versions_compare_as_numbers() -> None:
    assert needs.kernel_version("5.9.0-1-amd64") < needs.kernel_version("5.10")
    with pytest.raises(HarnessBug):
        needs.kernel_version("plan9")
