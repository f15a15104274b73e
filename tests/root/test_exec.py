"""`exec` from the command line: what the process is, where it runs, and what the caller hears of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from typing import Any

import pytest
from bundles import Bundle, CommandLine

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n"
GROUP = "root:x:0:\nbob:x:1001:\nvideo:x:44:alice,bob\naudio:x:29:bob\nempty:x:30:\n"


@pytest.fixture
def held(cli: CommandLine, bundle: Bundle, request: pytest.FixtureRequest) -> str:
    """A running container."""
    id = f"x-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}"
    os.mkdir(os.path.join(bundle.rootfs, "etc"))
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        with open(os.path.join(bundle.rootfs, "etc", name), "w") as file:
            file.write(text)
    bundle.config["process"]["env"] = ["PATH=/", "FROM=config", "HOME=/of-config"]
    bundle.write()
    cli("run", "-d", "-b", bundle.path, id)
    return id


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def report(cli: CommandLine, *words: str) -> dict[str, Any]:
    """What the probe sees when `exec WORDS /probe report` runs it."""
    seen: dict[str, Any] = json.loads(cli("exec", *words, "/probe", "report").stdout)
    return seen


@pytest.mark.parametrize("status", [0, 1, 42, 254])
def test_the_exit_status_is_the_programs(cli: CommandLine, held: str, status: int) -> None:
    done = cli("exec", held, "/probe", "print", "hello", "--", "exit", str(status), check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert "hello" in done.stdout
    assert cli.status(held) == "running"


def test_a_death_by_signal_is_128_and_more(cli: CommandLine, held: str) -> None:
    # setsid: the probe's own process group
    assert cli("exec", held, "/probe", "syscall", "kill", "0", "9", check=False).returncode == 137


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{id}", "nosuch"], "ENOENT (no such file or directory): executable file not found in $PATH"),
        (["{id}", "/etc"], "find executable /etc: EACCES (permission denied)"),
        (["--cwd", "/nosuch", "{id}", "/probe"], "change directory to /nosuch: ENOENT"),
        (["--user", "eve", "{id}", "/probe"], "(no such file or directory): not in /etc/passwd of the container"),
        (["--user", "bob:nogroup", "{id}", "/probe"], "not in /etc/group of the container"),
        (["nobody", "/probe"], "container nobody does not exist"),
        (["{id}"], "no command given"),
        (["--cap", "CAP_BOGUS", "{id}", "/probe"], "unknown capability CAP_BOGUS"),
        (["--env", "X", "{id}", "/probe"], "option --env takes NAME=VALUE"),
        (["--cwd", "relative", "{id}", "/probe"], "absolute path"),
        (["--tty", "--detach", "{id}", "/probe"], "needs --console-socket"),
        (["--process", "/nosuch.json", "{id}"], "read /nosuch.json: ENOENT"),
        (["--cgroup", "nosuch", "{id}", "/probe"], "ENOENT"),
    ],
)
def test_what_keeps_the_program_from_running_is_255(cli: CommandLine, held: str, words: list[str], reason: str) -> None:
    done = cli("exec", *[word.format(id=held) for word in words], check=False)
    assert done.returncode == 255
    assert reason in done.stderr
    assert cli("exec", held, "/probe", "exit", "0").returncode == 0


def test_it_is_in_the_containers_namespaces_and_cgroups(cli: CommandLine, held: str) -> None:
    pid = cli.state(held)["pid"]
    seen = report(cli, held)
    for type in ("pid", "ipc", "uts", "mnt", "net", "user", "cgroup"):
        assert seen["namespaces"][type] == int(os.readlink(f"/proc/{pid}/ns/{type}").split("[")[1][:-1])
    with open(f"/proc/{pid}/cgroup") as file:
        assert sorted(seen["first_cgroup"].split()) == sorted(file.read().split())
    assert seen["sid"] == seen["pgid"] == seen["pid"]


def test_the_environment_is_the_configs_with_changes(cli: CommandLine, held: str) -> None:
    seen = report(cli, "-e", "FROM=exec", "--env", "NEW=a,b", held)
    assert sorted(seen["env"]) == ["FROM=exec", "HOME=/of-config", "NEW=a,b", "PATH=/"]


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups"),
    [
        ("1000", 1000, 0, []),
        ("5:6", 5, 6, []),
        ("bob", 1000, 1001, [29, 44]),
        ("bob:video", 1000, 44, []),
        ("bob:7", 1000, 7, []),
        ("5:audio", 5, 29, []),
    ],
)
def test_users_are_the_containers(
    cli: CommandLine, held: str, user: str, uid: int, gid: int, groups: list[int]
) -> None:
    ids = report(cli, "-u", user, held)["ids"]
    assert set(ids["uid"]) == {uid}
    assert set(ids["gid"]) == {gid}
    assert sorted(ids["groups"]) == groups


def test_additional_groups(cli: CommandLine, held: str) -> None:
    assert sorted(report(cli, "-u", "bob", "-g", "7", "-g", "8", held)["ids"]["groups"]) == [7, 8, 29, 44]


@pytest.mark.parametrize("kind", ["fifo", "symlink", "device", "endless"])
def test_hostile_user_files_neither_hang_nor_lead_out(
    cli: CommandLine, bundle: Bundle, held: str, kind: str, tmp_path: os.PathLike[str]
) -> None:
    path = os.path.join(bundle.rootfs, "etc/passwd")
    os.unlink(path)
    outside = os.path.join(tmp_path, "passwd")
    with open(outside, "w") as file:
        file.write("eve:x:0:0::/:/bin/sh\n")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "symlink":
        os.symlink(outside, path)
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    else:
        with open(path, "w") as file:
            file.truncate(1 << 40)
    started = time.monotonic()
    done = cli("exec", "-u", "eve", held, "/probe", "exit", "0", check=False)
    assert done.returncode == 255
    assert "look user eve up" in done.stderr
    assert time.monotonic() - started < 10


def test_capabilities_are_added_and_never_inheritable(cli: CommandLine, bundle: Bundle) -> None:
    sets = {name: ["CAP_CHOWN"] for name in ("bounding", "effective", "permitted")}
    bundle.config["process"]["capabilities"] = sets
    bundle.write()
    id = f"x-{os.getpid()}-caps"
    cli("run", "-d", "-b", bundle.path, id)
    plain = report(cli, id)["caps"]
    more = report(cli, "-c", "CAP_KILL", "--cap", "SYS_TIME", id)["caps"]
    for name in ("bounding", "effective", "permitted"):
        assert int(plain[name], 16) == 1
        assert int(more[name], 16) == 1 | 1 << 5 | 1 << 25
    for name in ("inheritable", "ambient"):
        assert int(more[name], 16) == 0


@pytest.mark.parametrize(("flag", "value"), [([], True), (["--no-new-privs=false"], False), (["--no-new-privs"], True)])
def test_no_new_privs_is_the_configs_unless_given(
    cli: CommandLine, bundle: Bundle, flag: list[str], value: bool
) -> None:
    bundle.config["process"]["noNewPrivileges"] = True
    bundle.write()
    id = f"x-{os.getpid()}-nnp"
    cli("run", "-d", "-b", bundle.path, id)
    assert report(cli, *flag, id)["no_new_privs"] is value


def test_a_created_container_takes_a_process(cli: CommandLine, bundle: Bundle) -> None:
    id = f"x-{os.getpid()}-created"
    cli("create", "-b", bundle.path, id)
    assert cli("exec", id, "/probe", "exit", "5", check=False).returncode == 5
    assert cli.status(id) == "created"
    cli("start", id)


def test_a_stopped_container_takes_none(cli: CommandLine, held: str) -> None:
    cli("kill", held, "KILL")
    deadline = time.monotonic() + 10
    while cli.status(held) != "stopped" and time.monotonic() < deadline:
        time.sleep(0.02)
    done = cli("exec", held, "/probe", check=False)
    assert done.returncode == 255
    assert f"container {held} is stopped" in done.stderr


def test_detached_it_goes_on_and_the_pid_file_has_its_pid(
    cli: CommandLine, held: str, tmp_path: os.PathLike[str]
) -> None:
    path = os.path.join(tmp_path, "pid")
    cli("exec", "-d", "--pid-file", path, held, "/probe", "hold")
    with open(path) as file:
        pid = int(file.read())
    assert os.readlink(f"/proc/{pid}/exe") == "/probe"
    assert pid != cli.state(held)["pid"]
    os.kill(pid, signal.SIGTERM)


def test_a_failure_leaves_no_pid_file(cli: CommandLine, held: str, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "pid")
    assert cli("exec", "--pid-file", path, held, "nosuch", check=False).returncode == 255
    assert os.listdir(tmp_path) == []


def test_exactly_the_descriptors_that_are_preserved(cli: CommandLine, held: str) -> None:
    for count in (0, 2):
        words = cli.argv("exec", "--preserve-fds", str(count), held, "/probe", "fd-list")
        shell = ["sh", "-c", 'exec "$@" 3</dev/null 4</dev/null 5</dev/null', "sh", *words]
        done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        assert [entry["fd"] for entry in json.loads(done.stdout)["value"]] == list(range(3 + count))


def test_a_process_document_stands_for_everything(cli: CommandLine, held: str, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "process.json")
    with open(path, "w") as file:
        json.dump(
            {
                "args": ["/probe", "report"],
                "cwd": "/etc",
                "env": ["ONLY=this"],
                "user": {"uid": 7, "gid": 8, "additionalGids": [9], "umask": 63},
                "capabilities": {"bounding": ["CAP_CHOWN"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}],
                "noNewPrivileges": True,
                "oomScoreAdj": 77,
                "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
                "scheduler": {"policy": "SCHED_BATCH", "nice": 3},
                "execCPUAffinity": {"initial": "0", "final": "0"},
            },
            file,
        )
    seen = json.loads(cli("exec", "--process", path, held).stdout)
    assert sorted(seen["env"]) == ["HOME=/", "ONLY=this"]
    assert seen["cwd"] == "/etc"
    assert set(seen["ids"]["uid"]) == {7}
    assert set(seen["ids"]["gid"]) == {8}
    assert seen["ids"]["groups"] == [9]
    assert seen["no_new_privs"] is True
    assert int(seen["caps"]["bounding"], 16) == 1
    assert seen["umask"] == 63
    assert seen["rlimits"]["RLIMIT_NOFILE"] == [99, 100]
    assert seen["oom_score_adj"] == 77
    assert seen["io_priority"]["class"] == 3
    assert (seen["scheduler"]["policy_name"], seen["nice"]) == ("SCHED_BATCH", 3)
    assert seen["affinity"] == [0]
    wrong = cli("exec", "-p", path, held, "/probe", check=False)
    assert wrong.returncode == 255
    with open(path, "w") as file:
        file.write('{"args": ["/probe"], "cwd": 5}')
    wrong = cli("exec", "-p", path, held, check=False)
    assert "process.cwd: expected a string, found 5" in wrong.stderr


def test_what_happens_to_the_bundle_later_means_nothing(cli: CommandLine, bundle: Bundle, held: str) -> None:
    os.unlink(os.path.join(bundle.path, "config.json"))
    assert "FROM=config" in report(cli, held)["env"]


def test_signals_reach_the_program(cli: CommandLine, held: str) -> None:
    run = subprocess.Popen(
        cli.argv("exec", held, "/probe", "signal-log", "20", "--until", "SIGTERM"), stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert "ready" in run.stdout.readline()
    for number in (signal.SIGUSR1, signal.SIGTERM):
        run.send_signal(number)
        time.sleep(0.1)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 0
    assert "SIGUSR1" in out


def test_it_ends_with_the_container(cli: CommandLine, held: str) -> None:
    run = subprocess.Popen(cli.argv("exec", held, "/probe", "hold"), stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.readline()
    cli("delete", "--force", held)
    assert run.wait(20) == 137
    run.stdout.close()


def test_a_paused_container_is_refused_or_waited_for(cli: CommandLine, held: str) -> None:
    cli("pause", held)
    done = cli("exec", held, "/probe", "exit", "3", check=False)
    assert done.returncode == 255
    assert "is paused" in done.stderr
    waiting = cli.begin("exec", "--ignore-paused", held, "/probe", "exit", "3")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.process.wait(1)
    cli("resume", held)
    assert waiting.end().returncode == 3


@pytest.mark.parametrize("types", [["mount"], ["pid"], ["ipc", "uts"], ["mount", "pid", "user", "ipc"]], ids="-".join)
def test_any_set_of_namespaces(cli: CommandLine, bundle: Bundle, types: list[str]) -> None:
    """Without a mount namespace of its own, init's root is entered by chroot."""
    id = f"x-{os.getpid()}-{len(types)}{types[0]}"
    bundle.config["linux"]["namespaces"] = [{"type": type} for type in types]
    if "mount" not in types:
        bundle.config["mounts"] = []
    if "user" in types:
        mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        bundle.config["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
        bundle.config["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"}]
        for directory, _, _ in os.walk(bundle.rootfs):
            os.chown(directory, 100000, 100000)
    bundle.write()
    if "mount" not in types:
        os.makedirs(os.path.join(bundle.rootfs, "dev"), exist_ok=True)
        os.mknod(os.path.join(bundle.rootfs, "dev/null"), 0o20666, os.makedev(1, 3))
    cli("run", "-d", "-b", bundle.path, id)
    pid = cli.state(id)["pid"]
    seen = json.loads(cli("exec", id, "/probe", "report", "--stat", "/probe").stdout)
    assert seen["stat"]["/probe"]["ino"] == os.stat(f"/proc/{pid}/root/probe").st_ino
    assert seen["cwd"] == "/"
    assert seen["ids"]["uid"] == [0] * 4
    if seen["namespaces"]["pid"] is not None:
        for type in ("mnt", "pid", "user", "ipc", "uts"):
            assert seen["namespaces"][type] == int(os.readlink(f"/proc/{pid}/ns/{type}").split("[")[1][:-1])


def test_the_session_keyring_is_the_containers(cli: CommandLine, bundle: Bundle) -> None:
    id = f"x-{os.getpid()}-key"
    bundle.args("report", "--to", "/first", "--", "hold")
    cli("run", "-d", "-b", bundle.path, id)
    path = os.path.join(bundle.rootfs, "first")
    text = ""
    while '"hold"' not in text:
        with open(path) as file:
            text = file.read()
    first = json.loads(text.splitlines()[0])["keyring"]
    assert report(cli, id)["keyring"] == first
    assert first["session"] == f"_ses.{id}"


def test_the_working_directory_stays_inside(cli: CommandLine, held: str, bundle: Bundle) -> None:
    """CVE-2024-21626: no descriptor of the host may serve as a way out."""
    os.symlink("/proc/self/fd/7", os.path.join(bundle.rootfs, "way"))
    ways = [f"/proc/self/fd/{number}" for number in range(3, 14)]
    for directory in [*ways, "/way", "/../../..", "/proc/1/cwd/../.."]:
        done = cli("exec", "--cwd", directory, held, "/probe", "report", check=False)
        if done.returncode == 0:
            seen = json.loads(done.stdout)
            assert seen["cwd"].startswith("/")
            assert "unreachable" not in seen["cwd"]
        else:
            assert "change directory" in done.stderr


def test_a_fake_proc_is_not_believed(cli: CommandLine, bundle: Bundle) -> None:
    """The program starts all the same: nothing that lies in /proc decides anything (CVE-2019-16884, CVE-2025-52881)."""
    bundle.config["mounts"] = []
    os.makedirs(os.path.join(bundle.rootfs, "proc/self/attr"))
    os.makedirs(os.path.join(bundle.rootfs, "dev"))
    os.mknod(os.path.join(bundle.rootfs, "dev/null"), 0o20666, os.makedev(1, 3))
    for name in ("exec", "keycreate"):
        with open(os.path.join(bundle.rootfs, "proc/self/attr", name), "w"):
            pass
    bundle.config["process"]["oomScoreAdj"] = 33
    bundle.write()
    id = f"x-{os.getpid()}-fake"
    cli("run", "-d", "-b", bundle.path, id)
    assert cli("exec", "-u", "7:8", id, "/probe", "exit", "6", check=False).returncode == 6
    assert os.path.getsize(os.path.join(bundle.rootfs, "proc/self/attr/exec")) == 0


def test_the_console_socket_gets_the_master(cli: CommandLine, held: str, tmp_path: os.PathLike[str]) -> None:
    where = os.path.join(tmp_path, "console.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(where)
        listener.listen()
        listener.settimeout(10)
        words = ["-d", "-t", "--console-socket", where, held, "/probe", "tty-info", "--", "hold", "--stdin"]
        cli("exec", *words)
        connection, _ = listener.accept()
        with connection:
            _, fds, _, _ = socket.recv_fds(connection, 100, 1)
    text = b""
    while b'"hold"' not in text:
        text += os.read(fds[0], 4096)
    info = json.loads(text.splitlines()[0])["value"]
    assert info["controlling"] is True
    assert info["streams"][0]["name"].startswith("/dev/pts/")
    os.close(fds[0])


def test_a_terminal_in_the_foreground(cli: CommandLine, held: str) -> None:
    done = cli("exec", "-t", held, "/probe", "tty-info", "--", "exit", "4", check=False)
    assert done.returncode == 4
    assert [stream["tty"] for stream in json.loads(done.stdout.splitlines()[0])["value"]["streams"]] == [True] * 3


def test_twenty_in_a_row_leave_nothing(cli: CommandLine, held: str) -> None:
    mounts = report(cli, held)["mounts"]
    for number in range(20):
        assert cli("exec", held, "/probe", "exit", str(number), check=False).returncode == number
    assert report(cli, held)["mounts"] == mounts
    listing = lines(cli("exec", held, "/probe", "list", "/proc"))[0]["value"]
    assert len([name for name in listing if name.isdigit()]) == 2
