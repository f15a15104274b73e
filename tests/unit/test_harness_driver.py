"""The driver, judged with fake runtimes: shell scripts that behave, hang, crash, lie and leak."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from seatrial.conformance.airlock import orphans
from seatrial.conformance.driver.driver import flags, parse_object
from seatrial.conformance.engine import checks
from seatrial.conformance.engine.session import Session, resolve_runtime, run_report
from seatrial.conformance.errors import EnvironmentProblem, Finding, RuntimeTimeout
from seatrial.conformance.verdict import stamp

# Keeps a container as a directory with its pid; `start` is a matter of a file.  $EXTRA runs before each verb.
FAKE = r"""#!/bin/sh
[ "$1" = --root ] && root=$2 && shift 2
verb=$1
for id in "$@"; do :; done
dir=$root/$id
{extra}
case $verb in
--version) echo "fake version 1.0" ;;
create)
    [ -d "$dir" ] && exit 1
    grep -q '"forbidden"' "$3/config.json" && {{ {refusal}; }}
    mkdir "$dir"; sleep 60 >/dev/null 2>&1 & echo $! >"$dir/pid"; echo "$3" >"$dir/bundle" ;;
state)
    [ -d "$dir" ] || exit 1
    status=created; [ -e "$dir/started" ] && status=stopped
    printf '{{"ociVersion": "1.0.2", "id": "%s", "status": "%s", "pid": %s}}' "$id" $status "$(cat "$dir/pid")" ;;
start) [ -d "$dir" ] && touch "$dir/started" && kill "$(cat "$dir/pid")" ;;
delete)
    [ -d "$dir" ] || exit 1
    kill -9 "$(cat "$dir/pid")" 2>/dev/null
    rm -r "$dir" ;;
run) {run} ;;
*) exit 64 ;;
esac
"""

Make = Callable[..., Session]


@pytest.fixture
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    made: list[Session] = []
    base = tmp_path_factory.mktemp("driver")

    def make(extra: str = "", refusal: str = "exit 1", run: str = "exit 0", timeout: float = 10.0) -> Session:
        path = base / f"fake{len(made)}"
        path.write_text(FAKE.format(extra=extra, refusal=refusal, run=run))
        path.chmod(0o755)
        made.append(Session(str(path), str(base), timeout, None))
        made[-1].begin_case()
        return made[-1]

    yield make
    for item in made:
        item.watch.clean(item._before) if item._before else None
        item.close()


def test_lifecycle_of_a_runtime_that_behaves(session: Make) -> None:
    mine = session()
    container = mine.runtime.create(mine.new_bundle())
    assert container.status() == "created"
    container.start()
    container.wait_status("stopped")
    container.delete()
    assert not mine.runtime.state(container.id).ok
    mine.end_case()
    assert [result.argv[3] for result in mine.runtime.journal][:2] == ["create", "state"]
    assert mine.runtime.seconds == pytest.approx(sum(result.seconds for result in mine.runtime.journal), rel=0.3)


def test_time_of_commands_at_once_counts_once(session: Make) -> None:
    mine = session(extra='[ "$verb" = state ] && sleep 0.5')
    with ThreadPoolExecutor() as pool:
        list(pool.map(mine.runtime.state, "abcd"))
    spent = [result.seconds for result in mine.runtime.journal]
    assert max(spent) <= mine.runtime.seconds < sum(spent)


def test_equal_control_is_tried_once(session: Make) -> None:
    mine = session()
    for hostname in ("one", "two", "one"):
        bundle = mine.new_bundle()
        bundle.config["hostname"] = hostname
        checks.accepted(mine.runtime, bundle)
    bundle = mine.new_bundle()
    bundle.config["hostname"] = "two"
    bundle.file("/etc/more", "text")
    checks.accepted(mine.runtime, bundle)
    assert len([result for result in mine.runtime.journal if "create" in result.argv]) == 3


def test_ended_container_is_deleted_by_the_runtime(session: Make) -> None:
    mine = session()
    container = mine.runtime.create(mine.new_bundle())
    container.remove()
    assert mine.runtime.journal[-1].argv[3:5] == ("delete", "--force")
    assert not mine.runtime.knows(container.id)


@pytest.mark.parametrize("hidden", [False, True])
def test_state_is_asked_where_the_state_directory_tells_nothing(session: Make, hidden: bool) -> None:
    mine = session(extra="dir=$root/../hidden-$id" if hidden else "")
    mine.runtime.prove_sane()
    mine.runtime.journal.clear()
    assert not mine.runtime.knows("nobody")
    assert len(mine.runtime.journal) == hidden


def test_undeleted_container_is_cleaned_up_without_blame(session: Make) -> None:
    mine = session()
    container = mine.runtime.create(mine.new_bundle())
    pid = container.pid
    mine.end_case()
    assert os.listdir(mine.runtime.root) == []
    assert not os.path.exists(f"/proc/{pid}")


def test_hanging_runtime_is_killed_with_its_children(session: Make) -> None:
    mine = session(extra='[ "$verb" = state ] && { echo $$ >"$root/../hanging"; sleep 30; }', timeout=0.3)
    start = time.monotonic()
    with pytest.raises(RuntimeTimeout, match=r"state x: killed after 0\.\d s"):
        mine.runtime.state("x")
    assert time.monotonic() - start < 5
    with open(os.path.join(mine.directory, "hanging")) as file:
        assert not os.path.exists(f"/proc/{file.read().strip()}")


def test_detached_container_that_keeps_the_output_open_does_not_block(session: Make) -> None:
    mine = session(run="echo early; (sleep 0.3; echo late; exec sleep 30) &")
    bundle = mine.new_bundle()
    start = time.monotonic()
    result = mine.runtime.run(bundle, detach=True)
    assert time.monotonic() - start < 5
    assert result.stdout == "early\n"
    container = mine.runtime.containers[0]
    assert container.wait_output("late") == "early\nlate\n"


def test_output_that_never_comes_is_a_finding(session: Make) -> None:
    mine = session()
    container = mine.runtime.create(mine.new_bundle())
    with pytest.raises(Finding, match="lacks 'ready'"):
        container.wait_output("ready", timeout=0.05)


def test_refusal_passes_and_acceptance_is_a_finding(session: Make) -> None:
    mine = session()
    bad, good = mine.new_bundle(), mine.new_bundle()
    bad.config["forbidden"] = True
    assert checks.rejected(mine.runtime, bad).status == 1
    with pytest.raises(Finding, match="accepted, should be refused"):
        checks.rejected(mine.runtime, good)
    mine.end_case()


def test_refusal_that_leaves_a_state_entry_is_a_finding(session: Make) -> None:
    mine = session(refusal='mkdir "$dir"; echo 0 >"$dir/pid"; exit 1')
    bad = mine.new_bundle()
    bad.config["forbidden"] = True
    with pytest.raises(Finding, match=r"state of .* succeeds"):
        checks.rejected(mine.runtime, bad)


def test_crash_is_no_refusal(session: Make) -> None:
    mine = session(refusal="kill -SEGV $$")
    bad = mine.new_bundle()
    bad.config["forbidden"] = True
    with pytest.raises(Finding, match="ended by signal 11"):
        checks.rejected(mine.runtime, bad)


@pytest.mark.parametrize("program", ["/bin/true", "/bin/false"])
def test_runtime_that_does_nothing_has_refused_nothing(program: str, tmp_path: object) -> None:
    mine = Session(program, str(tmp_path), 5.0, None)
    try:
        mine.begin_case()
        assert not mine.runtime.sane()
        with pytest.raises(Finding, match="cannot run the unmodified default bundle"):
            checks.rejected(mine.runtime, mine.new_bundle())
        with pytest.raises(Finding):
            run_report(mine.runtime, mine.new_bundle())
    finally:
        mine.close()


def test_process_left_behind_is_a_finding_of_the_case(session: Make) -> None:
    mine = session(extra='[ "$verb" = delete ] && (setsid sleep 61 >/dev/null 2>&1 &)')
    container = mine.runtime.create(mine.new_bundle())
    container.delete()
    with pytest.raises(Finding, match=r"left behind: process \d+ \(sleep 61\)"):
        mine.end_case()
    assert not any("sleep 61" in orphans.describe(pid) for pid in orphans.children())


def test_state_entry_left_behind_is_a_finding_of_the_case(session: Make) -> None:
    mine = session(extra='[ "$verb" = delete ] && [ "$2" != --force ] && exit 0')
    container = mine.runtime.create(mine.new_bundle())
    container.delete()
    with pytest.raises(Finding, match=f"left behind: state entry {container.id}"):
        mine.end_case()
    assert os.listdir(mine.runtime.root) == []


@pytest.mark.skipif(not os.access("/run", os.W_OK), reason="/run is not writable")
def test_file_left_in_run_is_a_finding_of_the_case(session: Make) -> None:
    mine = session(extra='[ "$verb" = create ] && touch /run/$id.lock')
    container = mine.runtime.create(mine.new_bundle())
    container.delete()
    with pytest.raises(Finding, match=f"left behind: file /run/{container.id}.lock"):
        mine.end_case()
    assert not os.path.exists(f"/run/{container.id}.lock")


def test_runtime_that_we_killed_is_not_blamed_for_what_it_left(session: Make) -> None:
    mine = session(run='mkdir "$dir"; echo 0 >"$dir/pid"; sleep 30', timeout=0.3)
    with pytest.raises(RuntimeTimeout):
        mine.runtime.run(mine.new_bundle())
    mine.end_case()
    assert os.listdir(mine.runtime.root) == []


def test_exit_status_and_streams_of_a_command(session: Make) -> None:
    mine = session(extra='[ "$verb" = say ] && { echo out; echo err >&2; cat; exit 7; }')
    result = mine.runtime.command("say", stdin=b"given")
    assert (result.status, result.stdout, result.stderr) == (7, "out\ngiven", "err\n")
    with pytest.raises(Finding, match="fake0 say: exit status 7: err"):
        result.check()


def test_json_that_is_none_is_a_finding(session: Make) -> None:
    mine = session(extra='[ "$verb" = state ] && { echo "{"; exit 0; }')
    with pytest.raises(Finding, match="no JSON"):
        parse_object(mine.runtime.state("x"))


def test_options_become_flags() -> None:
    assert flags({"pid_file": "p", "no_pivot": True, "keep": False, "env": ["A=1", "B=2"], "preserve_fds": 2}) == [
        "--pid-file", "p", "--no-pivot", "--env", "A=1", "--env", "B=2", "--preserve-fds", "2",
    ]  # fmt: skip


def test_stamp_names_the_binary_that_ran(session: Make) -> None:
    identity = stamp.identify(session().runtime.path)
    assert identity["name"] == "fake version 1.0"
    assert identity["kind"] == "script"
    assert identity["digest"].startswith("sha256:")
    assert stamp.identify("/bin/true")["kind"] == "elf"


def test_other_program_in_place_of_the_binary_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    own = stamp.digest("/bin/true")
    monkeypatch.setattr(stamp, "_version", lambda path, kind: ("true 1", "/memfd:true (deleted)", own))
    assert stamp.identify("/bin/true")["executed"] == "/memfd:true (deleted)"  # a copy of itself: as runc and crun do
    monkeypatch.setattr(stamp, "_version", lambda path, kind: ("other 1", "/usr/bin/other", "sha256:00"))
    with pytest.raises(EnvironmentProblem, match="/usr/bin/other runs in its place"):
        stamp.identify("/bin/true")


def test_process_that_still_shows_who_forked_it_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, looks = os.readlink, []

    def readlink(path: str) -> str:
        if path.startswith("/proc/self/fd/"):
            looks.append(path)
            if len(looks) < 3:
                return real("/proc/self/exe")
        return real(path)

    monkeypatch.setattr(os, "readlink", readlink)
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert stamp._running(process, "elf") == (os.path.realpath("/bin/sleep"), stamp.digest("/bin/sleep"))
        process.kill()
    assert len(looks) == 3
    assert stamp._running(process, "elf") == (None, None)


def test_runtime_must_exist_and_be_executable(tmp_path: object) -> None:
    with pytest.raises(EnvironmentProblem, match="no runtime at /no/such"):
        resolve_runtime("/no/such")
    with pytest.raises(EnvironmentProblem, match="not executable"):
        resolve_runtime("/etc/passwd")
    with pytest.raises(EnvironmentProblem, match="no runtime at no-such-runtime"):
        resolve_runtime("no-such-runtime")


def test_program_that_the_kernel_cannot_start_is_an_environment_problem(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("broken")
    path = base / "broken"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    mine = Session(str(path), str(base), 5.0, None)
    try:
        with pytest.raises(EnvironmentProblem, match="cannot start"):
            mine.runtime.state("x")
    finally:
        mine.close()
