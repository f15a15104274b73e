"""Comparing runtimes, without runtimes: places, identities, reduction, verdicts, corpus, baseline, archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.ledger import ledger
from seatrial.fuzz.diff import archive, baseline, identity, judge, paths, reduce
from seatrial.fuzz.diff.bench import Bench, concerns
from seatrial.fuzz.diff.corpus import Corpus
from seatrial.fuzz.diff.identity import Difference
from seatrial.fuzz.diff.observe import ACCEPTED, REFUSED, RUN, Observation, base


def changed(**members: Any) -> dict[str, Any]:
    """The base config with other members of `process` and `linux`."""
    config = base()
    for name, value in members.items():
        config["linux" if name in ("sysctl", "rootfsPropagation") else "process"][name] = value
    return config


def test_features_name_what_is_not_as_in_the_base() -> None:
    config = changed(umask=1, noNewPrivileges=False, rootfsPropagation="shared", env=["RANDOM=1"])
    config["mounts"].append({"destination": "/mnt/x", "type": "tmpfs", "options": ["ro", "size=4k"]})
    config["annotations"] = {"any.name": "x"}
    del config["hostname"]
    found = set(paths.features(base(), config))
    assert {"linux.rootfsPropagation shared", "mounts[tmpfs].options[ro]", "mounts[tmpfs].options[size]"} <= found
    assert {"annotations", "hostname null", "process.env[]", "process.env missing"} <= found
    assert "umask" in " ".join(found)
    assert paths.features(base(), base()) == ()


def test_a_config_becomes_as_small_as_it_can() -> None:
    config = changed(umask=0o777, oomScoreAdj=500, rlimits=[{"type": "RLIMIT_CORE", "soft": 7000, "hard": 9000}])
    config["mounts"] += [{"destination": f"/mnt/{n}", "type": "tmpfs", "options": ["ro", "nosuid"]} for n in "abc"]
    config["annotations"] = {"a": "b"}

    def holds(candidate: dict[str, Any]) -> bool:
        options = [option for entry in candidate["mounts"] for option in entry.get("options", ())]
        return options.count("ro") > base_count and candidate["process"].get("umask") is not None

    base_count = sum("ro" in entry.get("options", ()) for entry in base()["mounts"])
    assert holds(config)
    small = reduce.reduce(config, base(), holds, tries=400)
    assert holds(small)
    wanted = base()
    wanted["process"]["umask"] = small["process"]["umask"]
    wanted["mounts"].append(small["mounts"][-1])
    assert small == wanted
    assert small["mounts"][-1]["options"] == ["ro"]
    assert small["process"]["umask"] in (0, 1)


def test_features_can_be_taken_out_of_a_config() -> None:
    config = changed(umask=1, oomScoreAdj=5)
    umask = next(name for name in paths.features(base(), config) if "umask" in name)
    assert reduce.without(config, base(), {umask}) == changed(oomScoreAdj=5)


def seen(answer: str = ACCEPTED, status: int = 0, left: tuple[str, ...] = (), **report: str) -> Observation:
    return Observation(answer, status, report, (), left, "")


def test_what_differs() -> None:
    assert identity.differences([seen(umask="18"), seen(umask="18")]) == []
    (one,) = identity.differences([seen(umask="18"), seen(umask="0")])
    assert one == Difference("report", "umask", ("18", "0"))
    found = identity.differences([seen(umask="1"), seen(REFUSED, 1, left=("cgroup",))])
    assert [str(one) for one in found] == ["answer: accepted / refused", "left behind: nothing / cgroup"]
    mounts = [Difference("report", f"mounts./x.options[{n}]", ("a", "b")) for n in (3, 4)]
    (group,) = identity.by_area(mounts).values()
    assert str(identity.identify(group, ("mounts[tmpfs]",))) == "report mounts./x.options[] with mounts[tmpfs]"


@pytest.mark.parametrize(
    ("difference", "config", "invalid", "row"),
    [
        (Difference("report", "umask", ("18", "7")), changed(user={"umask": 7}), None, "config/posix-platform-user/3"),
        (
            Difference("report", "uts.nodename", ("'x'", "'seatrial'")),
            {"hostname": "seatrial"},
            None,
            "config/hostname/1",
        ),
        (
            Difference("report", "rlimits.RLIMIT_CORE[0]", ("0", "7")),
            changed(rlimits=[{"type": "RLIMIT_CORE", "soft": 7, "hard": 9}]),
            None,
            "config/posix-process/7",
        ),
        (
            Difference("report", "rootfs.propagation[0]", ("-", "'shared:1'")),
            changed(rootfsPropagation="shared"),
            None,
            "config-linux/rootfs-mount-propagation/3",
        ),
        (Difference("report", "env.A", ("-", "'b'")), changed(env=["A=b"]), None, "config/process/11"),
        (Difference("answer", "", ("accepted", "refused")), base(), "process.cwd", "config/valid-values/1"),
        (Difference("answer", "", ("crashed", "accepted")), base(), None, "runtime/create/7"),
        (Difference("left behind", "", ("cgroup", "nothing")), base(), None, "runtime/delete/7"),
    ],
)
def test_the_first_is_judged_wrong(
    difference: Difference, config: dict[str, Any], invalid: str | None, row: str
) -> None:
    (line,) = judge.judge([difference], config, invalid, ["A", "B"], [ACCEPTED, ACCEPTED])
    assert line.startswith(f"A breaks {row}: ")
    assert row in ledger.load()


def test_what_a_refusal_leaves_breaks_another_row() -> None:
    left = Difference("left behind", "", ("cgroup", "nothing"))
    (line,) = judge.judge([left], base(), None, ["A", "B"], [REFUSED, ACCEPTED])
    assert line.startswith("A breaks runtime/errors/1: ")


def test_what_is_not_known_is_not_judged() -> None:
    assert judge.judge(
        [Difference("report", "dumpable", ("0", "1"))], base(), None, ["A", "B"], [ACCEPTED, REFUSED]
    ) == [judge.UNSPECIFIED]
    refused = Difference("answer", "", ("accepted", "refused"))
    assert judge.judge([refused], base(), None, ["A", "B"], [ACCEPTED, REFUSED]) == [judge.UNSPECIFIED]


@pytest.mark.parametrize(
    ("path", "names", "right"),
    [
        ("mounts[3].destination", ["mounts[tmpfs].options[ro]"], False),
        ("mounts[3].destination", ["mounts[]"], True),
        ("process.rlimits", ["process.rlimits[RLIMIT_CORE].soft"], True),
        ("ociVersion", ["process.umask"], False),
    ],
)
def test_whether_the_fault_is_still_there(path: str, names: list[str], right: bool) -> None:
    assert concerns(path, names) is right


class Played:
    """A runtime in memory: it reports some members of `process`, a broken one otherwise than asked."""

    def __init__(self, path: str, broken: str | None = None) -> None:
        self.path = path
        self.broken = broken
        self.runs = 0

    def prove_sane(self) -> None:
        pass

    def observe(self, config: dict[str, Any], flow: str) -> Observation:
        self.runs += 1
        process = config["process"]
        report = {name: str(process.get(name)) for name in ("umask", "oomScoreAdj", "cwd")}
        if self.broken in process and process[self.broken] != base()["process"].get(self.broken):
            report[self.broken] = "wrong"
        report["pid"] = str(self.runs)
        return Observation(ACCEPTED, 0, report, (), (), "")


def bench(*broken: str | None) -> Bench:
    places: list[Any] = [Played(str(number), name) for number, name in enumerate(broken)]
    return Bench(places, base())


def test_a_divergence_is_found_once_and_made_small() -> None:
    lane = bench("umask", None)
    assert lane.settle() == [], "what one runtime does not do twice the same way says nothing"
    entry = {"config": changed(umask=7, cwd="/tmp", oomScoreAdj=3), "flow": RUN, "invalid": None}
    (found,), _ = lane.examine(entry)
    assert found["kind"] == "report"
    assert found["where"] == "umask"
    assert all("umask" in name for name in found["features"])
    assert found["config"]["process"]["cwd"] == base()["process"]["cwd"]
    new, _ = lane.examine(entry)
    assert new == []
    lane.places[0].broken = "cwd"  # type: ignore[attr-defined]
    (other,), _ = lane.examine(entry)
    assert other["where"] == "cwd"


def test_runtimes_that_agree() -> None:
    lane = bench(None, None, None)
    lane.settle()
    new, traits = lane.examine({"config": changed(umask=7), "flow": RUN, "invalid": None})
    assert new == []
    assert any("umask" in trait and "accepted/accepted/accepted" in trait for trait in traits)


def test_the_corpus_keeps_what_is_new_and_forgets_what_is_covered(tmp_path: Path) -> None:
    database = DirectoryBasedExampleDatabase(tmp_path)
    corpus = Corpus(database)
    large = {"config": changed(umask=7, cwd="/tmp"), "flow": RUN, "invalid": None}
    assert corpus.offer(large, {"a", "b"})
    assert not corpus.offer({"config": changed(umask=8)}, {"a"})
    assert corpus.offer({"config": {"ociVersion": "1.0.0"}}, {"a", "b", "c"})
    other = Corpus(DirectoryBasedExampleDatabase(tmp_path))
    assert len(other.learn()) == 2, "a second worker has the same corpus"
    assert other.learn() == []
    assert not other.offer(large, {"c"})
    assert other.minimise() == 1
    (kept,) = other.entries()
    assert kept["config"] == {"ociVersion": "1.0.0"}


def test_what_is_no_entry_is_passed_over() -> None:
    database = InMemoryExampleDatabase()
    database.save(b"seatrial diff 1", b"\xff")
    database.save(b"seatrial diff 1", b"[]")
    assert Corpus(database).entries() == []


def told() -> dict[str, Any]:
    lane = bench("umask", None)
    lane.settle()
    (found,), _ = lane.examine({"config": changed(umask=7), "flow": RUN, "invalid": None})
    return found


def test_a_divergence_is_kept_and_read_again(tmp_path: Path) -> None:
    kept = archive.Archive(str(tmp_path))
    directory = kept.keep(told())
    assert archive.read(directory) == told()
    assert [entry["where"] for entry in kept.fresh()] == ["umask"]
    assert kept.fresh() == []
    assert "0 breaks config/posix-platform-user/3" not in Path(directory, "README.txt").read_text()
    with pytest.raises(EnvironmentProblem, match="no saved divergence"):
        archive.read(str(tmp_path))
    kept.keep_state({"chunk": 3})
    assert kept.state() == {"chunk": 3}


def test_a_baseline_grows(tmp_path: Path) -> None:
    path = str(tmp_path / "known.toml")
    assert baseline.write(path, {}, [told()]) == 1
    known = baseline.read(path)
    assert list(known) == [told()["identity"]]
    assert baseline.write(path, known, [told()]) == 0
    Path(path).write_text('[[known]]\nidentity = "x"\nmood = "good"\n')
    with pytest.raises(EnvironmentProblem, match="entry 1"):
        baseline.read(path)
    Path(path).write_text("[other]\n")
    with pytest.raises(EnvironmentProblem, match="known"):
        baseline.read(path)


def test_documents_are_not_changed_by_looking_at_them() -> None:
    config = changed(umask=7)
    text = json.dumps(config)
    reduce.reduce(config, base(), lambda candidate: "umask" in candidate["process"])
    assert json.dumps(config) == text
