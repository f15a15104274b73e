"""Cases that share a container, over a fake runtime: it runs the probe on the host, and counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from test_harness_plugin import by_case, run_cases

FAKE = """#!{python} -S
import json, os, subprocess, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
if sys.argv[1] != "--root":
    print("fake version 1.0")
    sys.exit()
root, verb, id = sys.argv[2], sys.argv[3], sys.argv[-1]
entry = os.path.join(root, id)
if verb in ("create", "run"):
    bundle = sys.argv[sys.argv.index("--bundle") + 1]
    with open(os.path.join(bundle, "config.json")) as file:
        config = json.load(file)
    marks = config.get("annotations", {{}})
    with open(os.path.join(here, "log"), "a") as log:
        log.write(verb + " " + ",".join(sorted(marks)) + "\\n")
    if "refuse" in marks:
        sys.exit("refused")
    if verb == "run":
        if "leak" in marks:
            os.mkdir(entry)
        sys.exit(subprocess.call(config["process"]["args"], executable=bundle + "/rootfs/probe"))
    os.mkdir(entry)
    with open(entry + "/pid", "w") as file:
        file.write(str(subprocess.Popen(["sleep", "60"], start_new_session=True).pid))
elif not os.path.isdir(entry):
    sys.exit("no container")
elif verb == "state":
    started = os.path.exists(entry + "/started")
    pid = 0 if started else int(open(entry + "/pid").read())
    print(json.dumps({{"id": id, "status": "stopped" if started else "created", "pid": pid}}))
elif verb in ("start", "delete"):
    if os.path.exists(entry + "/pid") and not os.path.exists(entry + "/started"):
        os.kill(int(open(entry + "/pid").read()), 9)
    if verb == "start":
        open(entry + "/started", "w").close()
    else:
        subprocess.call(["rm", "-r", entry])
"""
HEAD = """
from seatrial.conformance.engine.together import at_once, created, together
COVER = covers("config/hostname/1")
"""


def run(
    directory: Path, text: str, *options: str
) -> tuple[dict[str, tuple[str, str]], list[str], list[dict[str, Any]]]:
    """Outcomes and reasons by case, the containers that were made (verb and annotations), the results file."""
    fake = directory / "fake"
    fake.write_text(FAKE.format(python=sys.executable))
    fake.chmod(0o755)
    log = directory / "log"
    log.write_text("")
    _, entries, output = run_cases(directory, HEAD + text, *options, runtime=str(fake))
    found = by_case(entries)
    assert found, output
    return found, log.read_text().splitlines(), entries


PARTS = """
@together()
@COVER
@pytest.mark.parametrize("name", [NAMES])
def test_part(bundle, name):
    bundle.config.setdefault("annotations", {})[name] = "1"
    found = yield f"print {name} -- print again"
    assert [verb.value for verb in found.verbs] == [name, "again"]
    assert name != "wrong"
    assert found["argv"]
"""


def parts(*names: str) -> str:
    return PARTS.replace("NAMES", ", ".join(name if "(" in name else repr(name) for name in names))


def outcomes(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {name.partition("[")[2].rstrip("]"): outcome for name, (outcome, _) in found.items()}


def test_one_container_for_all(tmp_path: Path) -> None:
    found, made, _ = run(tmp_path, parts("a", "b", "c", "d"))
    assert set(outcomes(found).values()) == {"passed"}
    assert made == ["run a,b,c,d"]


def test_who_is_not_content_is_judged_alone(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    found, made, entries = run(tmp_path, parts("a", "wrong", "c"), "--evidence", str(evidence))
    assert outcomes(found) == {"a": "passed", "wrong": "failed", "c": "passed"}
    assert made[0] == "run a,c,wrong"
    assert made[-1] == "run wrong"
    (directory,) = [entry["evidence"] for entry in entries if entry.get("evidence")]
    with open(Path(directory, "config.json")) as file:
        assert set(json.load(file)["annotations"]) == {"wrong"}


def test_refusal_and_leak_stay_with_their_causes(tmp_path: Path) -> None:
    found, made, _ = run(tmp_path, parts("a", "b", "wrong", "c", "refuse", "leak", "d", "e"))
    assert outcomes(found) == {
        "a": "passed",
        "b": "passed",
        "wrong": "failed",
        "c": "passed",
        "refuse": "failed",
        "leak": "failed",
        "d": "passed",
        "e": "passed",
    }
    assert "left behind: state entry" in found["test_part[leak]"][1]
    assert "run refuse" in made
    assert "run a,b,c,wrong" in made  # the half that can be made


def test_single_case_has_its_container_at_once(tmp_path: Path) -> None:
    found, made, _ = run(tmp_path, parts("a", "wrong", "b"), "-k", "wrong")
    assert outcomes(found) == {"wrong": "failed"}
    assert made == ["run wrong"]


def test_skipped_needs_take_no_part(tmp_path: Path) -> None:
    found, made, _ = run(tmp_path, parts('pytest.param("a", marks=needs("kernel>=99.0"))', "b", "c"))
    assert outcomes(found)["a"] == "skipped"
    assert made == ["run b,c"]


def test_created_container_is_looked_at_by_all(tmp_path: Path) -> None:
    text = """
@together(look=created)
@COVER
@pytest.mark.parametrize("name", ["a", "b", "wrong"])
def test_part(bundle, name):
    bundle.config.setdefault("annotations", {})[name] = "1"
    container = yield
    assert open(f"/proc/{container.pid}/comm").read() == "sleep\\n"
    assert name != "wrong"

@together("other", look=created)
@COVER
def test_other(bundle):
    container = yield
    assert container.status() == "created"
"""
    found, made, _ = run(tmp_path, text)
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "test_part[a]": "passed",
        "test_part[b]": "passed",
        "test_part[wrong]": "failed",
        "test_other": "passed",
    }
    assert made == ["create a,b,wrong", "create wrong", "create "]


@pytest.mark.parametrize("body", ["    yield\n    yield\n", "    return\n    yield\n"])
def test_case_that_does_not_yield_once_is_a_bug(tmp_path: Path, body: str) -> None:
    text = (
        f"@together()\n@COVER\ndef test_one(bundle):\n{body}\n@together()\n@COVER\ndef test_two(bundle):\n    yield\n"
    )
    found, _, _ = run(tmp_path, text)
    assert found["test_one"][0] == "harness-bug"
    assert "yields" in found["test_one"][1]


def test_look_of_the_module(tmp_path: Path) -> None:
    text = """
def lines(runtime, bundle, verbs):
    result = runtime.run(bundle.probe("print common", report=False))
    yield from [result.stdout] * len(verbs)

@together(look=lines)
@COVER
@pytest.mark.parametrize("name", ["a", "b"])
def test_part(bundle, name):
    bundle.config.setdefault("annotations", {})[name] = "1"
    text = yield
    assert "common" in text
"""
    found, made, _ = run(tmp_path, text)
    assert outcomes(found) == {"a": "passed", "b": "passed"}
    assert made == ["run a,b"]


def test_at_once_each_has_its_container(tmp_path: Path) -> None:
    text = """
import threading
SEEN = []

@at_once()
@COVER
@pytest.mark.parametrize("name", ["a", "b", "wrong"])
def test_part(runtime, bundle, name):
    bundle.config.setdefault("annotations", {})[name] = "1"
    runtime.run(bundle.probe("print x", report=False))
    SEEN.append(threading.current_thread())
    assert name != "wrong"

@COVER
def test_threads():
    assert len({thread for thread in SEEN if thread is not threading.main_thread()}) == 3
"""
    found, made, _ = run(tmp_path, text)
    assert outcomes(found) == {"a": "passed", "b": "passed", "wrong": "failed", "": "passed"}
    assert sorted(line for line in made if line.startswith("run")) == ["run a", "run b", "run wrong", "run wrong"]
