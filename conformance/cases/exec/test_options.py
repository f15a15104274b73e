"""What the options of `exec` change in the process, and what they leave: runc's command line, which engines use."""

from __future__ import annotations

import os

import pytest

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.cases.exec.conftest import GID, GROUPS, SCORE, UID, UMASK
from seatrial.conformance.cases.exec.executing import executed, redirected, words
from seatrial.conformance.driver.bundle import PROBE
from seatrial.conformance.driver.driver import Container
from seatrial.conformance.driver.probe import parse

pytestmark = [needs("exec", "ids"), profile("runc-compat")]

USER = "config/posix-platform-user/"


@covers(USER + "3")
def test_umask_is_the_containers(container: Container) -> None:
    """Without options the umask is that of the container's process (runc 3661)."""
    assert executed(container)["umask"] == UMASK


@covers("config/linux-process/13", "config/posix-process/6", "config/process/9")
def test_process_is_like_the_containers(container: Container) -> None:
    """Without options: oom_score_adj, limits and directory of the container's process."""
    report = executed(container)
    assert report["oom_score_adj"] == SCORE
    assert report.rlimit("RLIMIT_NOFILE") == (1024, 1024)
    assert report["cwd"] == "/srv"
    assert report["no_new_privs"] is False


@covers("config/process/14")
def test_words_after_the_program_are_the_programs(container: Container) -> None:
    """What looks like an option of the runtime's, an empty word, and `--` reach the program."""
    given = ["--cwd", "/", "", "-t", "a b", "--", "print", "--user", "--", "print", "\u00e9"]
    result = container.exec(PROBE, "report", "--", "print", " ".join(given[:5]), "--", "env", "--tty")
    report = parse(result.stdout, result)
    assert report["argv"] == [PROBE, "report", "--", "print", "--cwd /  -t a b", "--", "env", "--tty"]


@covers(USER + "1")
@pytest.mark.parametrize("user", ["nobody-here", "1:x", "x:1"])
def test_no_user_at_all_is_refused(container: Container, user: str) -> None:
    """A user that is neither a number nor anybody in the container's passwd."""
    result = container.exec(PROBE, "exit", "0", check=False, user=user)
    assert not result.ok, result.describe()
    assert not result.crashed, result.describe()
    executed(container, user="7:8")


@covers("config/process/11")
@pytest.mark.parametrize(("user", "home"), [("1000", "/home"), ("0:0", "/root")])
def test_home_is_that_of_the_user(container: Container, user: str, home: str) -> None:
    """HOME, which the container's environment lacks, is what the container's own passwd says of the user (runc
    4688)."""
    assert executed(container, user=user).env.get("HOME") == home


@covers("config/process/11")
def test_home_of_somebody_unknown(container: Container) -> None:
    """A user whom the container's passwd does not have lives in / or nowhere, and not where the host's passwd says."""
    assert executed(container, user="4321").env.get("HOME") in ("/", None)


@covers("config/process/11")
def test_home_that_is_given_stays(container: Container) -> None:
    """--env HOME=... is not overridden by passwd."""
    assert executed(container, user="1000", env=["HOME=/tmp"]).env["HOME"] == "/tmp"


@covers("config/process/11")
def test_environment_entries_as_given(container: Container) -> None:
    """--env, again and again: an empty value, a value with a newline, with `=`, with blanks; of one name the last."""
    entries = ["EMPTY=", "LINES=a\nb", "SIGNS=a=b", "BLANKS= a  b ", "TWICE=1", "TWICE=2"]
    env = executed(container, env=entries).env
    assert {name: env.get(name) for name in ("EMPTY", "LINES", "SIGNS", "BLANKS", "TWICE")} == {
        "EMPTY": "", "LINES": "a\nb", "SIGNS": "a=b", "BLANKS": " a  b ", "TWICE": "2",
    }  # fmt: skip


@covers(USER + "5")
def test_additional_groups_are_added(container: Container) -> None:
    """--additional-gids, again and again, adds to the groups of the container's process."""
    groups = executed(container, additional_gids=["21", "22"])["ids"]["groups"]
    assert sorted(set(groups) - {GID}) == [*GROUPS, 21, 22]


@covers("config/process/10", "runtime/errors/1")
def test_relative_directory_is_refused(container: Container) -> None:
    """--cwd takes an absolute path."""
    result = container.exec(PROBE, "exit", "0", check=False, cwd="srv")
    assert not result.ok, result.describe()
    executed(container, cwd="/srv")


@needs("root")
@covers("config/process/9")
@pytest.mark.parametrize("owner", [0, UID], ids=["root's", "the user's"])
def test_directory_of_one_user_only(container: Container, owner: int) -> None:
    """A directory that only root, or only the process's user, may enter: the runtime enters it as whoever may (runc
    2086)."""
    path = container.bundle.directory(f"/of-{owner}", 0o700)
    os.chown(path, owner, owner)
    result = container.exec(PROBE, "report", cwd=f"/of-{owner}")
    assert parse(result.stdout, result)["cwd"] == f"/of-{owner}"


@covers("config/linux-process/11")
def test_no_new_privileges(container: Container) -> None:
    """--no-new-privs sets the flag."""
    assert executed(container, no_new_privs=True)["no_new_privs"] is True


@needs("apparmor", "root")
@covers("config/linux-process/1", "runtime/errors/1")
def test_apparmor_profile_must_exist(container: Container) -> None:
    """--apparmor with a profile that is not loaded is an error: the program would run without confinement."""
    result = container.exec(PROBE, "exit", "0", check=False, apparmor="seatrial-nosuch")
    assert not result.ok, result.describe()
    assert (executed(container, apparmor="unconfined")["lsm"]["apparmor"] or "").startswith("unconfined")


@covers("config/linux-process/8", "runtime/errors/1")
def test_what_is_no_capability_gives_none(container: Container) -> None:
    """--cap with a name that is none adds nothing; refused, or ignored."""
    before = executed(container)
    result = container.exec(*words(), check=False, cap="CAP_NOSUCH")
    assert not result.crashed, result.describe()
    if result.ok:
        report = parse(result.stdout, result)
        for kind in ("effective", "permitted", "inheritable", "bounding", "ambient"):
            assert report.caps(kind) <= before.caps(kind)


@covers("runtime-linux/file-descriptors/2", "runtime-linux/file-descriptors/1")
def test_preserved_descriptors(container: Container) -> None:
    """--preserve-fds 2 passes 3 and 4, the very files, and not 5."""
    paths = [container.bundle.outside(f"preserved-{number}") for number in (3, 4, 5)]
    for path in paths:
        with open(path, "w", encoding="ascii") as file:
            file.write("x")
    redirections = " ".join(f"{number}<{path}" for number, path in zip((3, 4, 5), paths, strict=True))
    result = redirected(container, redirections, "--preserve-fds", "2", container.id, *words()).check()
    found = {entry["fd"]: (entry["dev"], entry["ino"]) for entry in parse(result.stdout, result)["fds"]}
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert [found[number][1] for number in (3, 4)] == [os.stat(path).st_ino for path in paths[:2]]


@covers("runtime-linux/file-descriptors/3")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"], ids=["0", "1", "2", "all"])
def test_closed_standard_streams(container: Container, closed: str) -> None:
    """A caller without standard streams (crun 1.21): the program runs, and gets no other file in their place."""
    name = "closed-" + "".join(word[0].replace("<", "0").replace(">", "1") for word in closed.split())
    path = f"/srv/{name}"
    container.bundle.file(path, mode=0o666)  # ours to read, whatever the program's umask
    redirected(container, closed, container.id, PROBE, "report", "--to", path).check()
    with open(container.bundle.rootfs + path, encoding="utf-8") as file:
        report = parse(file.read())
    os.unlink(container.bundle.rootfs + path)
    own = {os.path.realpath(container.runtime.path), container.runtime.root}
    for entry in report["fds"]:
        assert entry["fd"] <= 2, entry
        assert not any((entry["target"] or "").startswith(prefix) for prefix in own), entry


@covers("config/process/3")
def test_streams_are_the_callers(container: Container) -> None:
    """Without --tty the program has the caller's three streams: what it reads, writes and complains comes through."""
    result = container.exec(PROBE, "read-fd", "0", "--", "write-fd", "2", "complaint", stdin=b"input\n")
    report = parse(result.stdout, result)
    assert report.verb("read-fd").value == "input\n"
    assert result.stderr == "complaint"


@covers("config/process/14")
def test_pid_file_of_a_foreground_program(container: Container) -> None:
    """--pid-file without --detach: the pid of the program, as the host numbers it."""
    path = container.bundle.outside("exec-foreground.pid")
    report = executed(container, pid_file=path)
    with open(path, encoding="ascii") as file:
        text = file.read()
    assert text.isdigit(), text
    assert int(text) not in (container.pid, report["pid"])


@covers("config/process/13", "runtime/errors/1")
@pytest.mark.parametrize("program", ["nosuch", "/nosuch/program"])
def test_status_of_what_is_not_found(container: Container, program: str) -> None:
    """255: no status of a program that has run (runc 3073)."""
    result = container.exec(program, check=False)
    assert result.status == 255, result.describe()


@covers("config/process/14")
def test_signals_are_passed_on(container: Container) -> None:
    """A signal that the runtime gets while it waits for a program in the foreground goes to the program."""
    runtime = container.runtime
    path = container.bundle.file("/srv/signalled", mode=0o666)
    script = f'"$@" & until [ -s {path} ]; do sleep 0.01; kill -0 $! || exit 99; done; kill -USR1 $!; wait $!'
    argv = [runtime.path, "--root", runtime.root, "exec", container.id, PROBE]
    program = ["signal-log", "9", "--until", "USR1", "--", "exit", "5"]
    from seatrial.conformance.driver.execute import execute

    result = execute(
        ["/bin/sh", "-c", script, "sh", *argv, "--to", "/srv/signalled", *program],
        env=runtime.env, timeout=runtime.timeout, directory=runtime.directory, masks=runtime.masks,
    )  # fmt: skip
    runtime.journal.append(result)
    with open(path, encoding="utf-8") as file:
        log = file.read()
    os.unlink(path)
    assert '"SIGUSR1"' in log
    assert result.status == 5, result.describe()
