"""Identity, attributes, environment and the exec itself, read back from inside."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from typing import Any

import pytest
from executor_driver import Drive, Operation, Outcome, run
from plans import NEWIPC, NEWNS, NEWPID, NEWTIME, NEWUTS, birth, container, filesystems, into, program

from seatrial.native import operations as table

pytestmark = pytest.mark.root

CHOWN, KILL, NET_BIND, SYS_ADMIN, MKNOD = 0, 5, 10, 21, 27


def bits(*caps: int) -> int:
    return sum(1 << cap for cap in caps)


def process(executor: list[str], rootfs: str, rows: list[Operation], *verbs: str, **options: Any) -> Outcome:
    args = ["probe", *" -- ".join(verbs or ("report",)).split()]
    return run(executor, container(rootfs, args, after=rows, **options))


def test_credentials(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [
        ("no_new_privs",),
        ("bounding", bits(CHOWN, KILL, NET_BIND)),
        ("keep_caps", 1),
        ("groups", [5, 7, 5]),
        ("identity", 1000, 1001),
        ("keep_caps", 0),
        ("capset", bits(KILL, NET_BIND), bits(KILL, NET_BIND), bits(KILL)),
        ("ambient", bits(KILL)),
    ]
    report = process(executor, rootfs, rows).lines[0]
    caps = {name: int(value, 16) for name, value in report["caps"].items()}
    assert report["ids"]["uid"] == [1000] * 4
    assert report["ids"]["gid"] == [1001] * 4
    assert sorted(report["ids"]["groups"]) == [5, 5, 7]
    assert caps["bounding"] == bits(CHOWN, KILL, NET_BIND)
    assert caps["ambient"] == caps["permitted"] == caps["effective"] == caps["inheritable"] == bits(KILL)
    assert report["no_new_privs"]
    assert report["securebits"] == 0


def test_an_ambient_capability_that_cannot_be_raised_is_a_warning(executor: list[str], rootfs: str) -> None:
    both = bits(KILL, CHOWN)
    rows: list[Operation] = [("capset", both, both, bits(KILL)), ("ambient", both)]
    outcome = process(executor, rootfs, rows)
    assert int(outcome.lines[0]["caps"]["ambient"], 16) == bits(KILL)
    assert outcome.texts(table.MESSAGE_WARNING) == [
        "ambient capability 0 could not be raised: it is not both permitted and inheritable"
    ]


def test_capset_beyond_the_permitted_set_fails(executor: list[str], rootfs: str) -> None:
    rows: list[Operation] = [("capset", bits(KILL), bits(KILL), 0), ("capset", bits(CHOWN), bits(CHOWN), 0)]
    plan = container(rootfs, ["probe"], after=rows)
    index, error, _ = run(executor, plan).error
    assert (plan[index], error) == (rows[1], "EPERM")


def test_limits_and_scheduling(executor: list[str], rootfs: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    rows: list[Operation] = [
        ("umask", 0o27),
        ("rlimit", resource.RLIMIT_NOFILE, 100, hard),
        ("rlimit", resource.RLIMIT_CORE, 0, 0),
        ("personality", 8),  # PER_LINUX32
        ("scheduler", 3, 5, 0, 0, 0, 0, 0),  # SCHED_BATCH, nice 5
        ("io_priority", 2 << 13 | 6),
        ("oom_score_adj", 777),
    ]
    report = process(executor, rootfs, rows).lines[0]
    assert report["umask"] == 0o27
    assert report["rlimits"]["RLIMIT_NOFILE"] == [100, hard]
    assert report["rlimits"]["RLIMIT_CORE"] == [0, 0]
    assert report["personality"] == 8
    assert (report["scheduler"]["policy"], report["scheduler"]["nice"]) in ((3, 5), ("SCHED_BATCH", 5), ("batch", 5))
    assert report["io_priority"]["level"] == 6
    assert report["oom_score_adj"] == 777


def test_a_bad_limit_is_an_error(executor: list[str], rootfs: str) -> None:
    for row, error in [(("rlimit", 99, 1, 1), "EINVAL"), (("rlimit", resource.RLIMIT_CORE, 2, 1), "EINVAL")]:
        assert run(executor, container(rootfs, ["probe"], after=[row])).error[1] == error


def test_the_callers_umask_is_inherited_unless_one_is_set(executor: list[str], rootfs: str) -> None:
    outcome = run(executor, container(rootfs, ["probe", "report"]), umask=0o053)
    assert outcome.lines[0]["umask"] == 0o053


def test_affinity_is_reset(executor: list[str], rootfs: str) -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        report = process(executor, rootfs, [("reset_affinity",)]).lines[0]
    finally:
        os.sched_setaffinity(0, allowed)
    assert set(report["affinity"]) >= allowed


def test_session_keyring(executor: list[str], rootfs: str) -> None:
    def keyring(*rows: Operation) -> dict[str, Any]:
        return process(executor, rootfs, list(rows)).lines[0]["keyring"]

    with_grant, without = keyring(("session_keyring", "_ses.a", 8)), keyring(("session_keyring", "_ses.b", 0))
    assert (with_grant["session"], without["session"]) == ("_ses.a", "_ses.b")
    assert with_grant["permissions"] == without["permissions"] | 8
    assert not without["permissions"] & 8
    assert keyring()["id"] not in (with_grant["id"], without["id"])


def test_time_namespace(executor: list[str], rootfs: str) -> None:
    offsets = "monotonic 1000 5\nboottime 86400 0\n"
    plan: list[Operation] = [("unshare", NEWTIME), ("timens_offsets", offsets), *container(rootfs, ["probe", "report"])]
    report = run(executor, plan).lines[0]
    assert "86400" in str(report["timens"])
    # The same through the flags of clone: without offsets, a namespace of its own all the same.
    plan = container(rootfs, ["probe", "report"], flags=NEWNS | NEWUTS | NEWIPC | NEWPID | NEWTIME)
    assert run(executor, plan).lines[0]["namespaces"]["time"] != os.stat("/proc/self/ns/time").st_ino


def test_names(executor: list[str], rootfs: str) -> None:
    report = process(executor, rootfs, [("hostname", "a.b"), ("domainname", "c")]).lines[0]
    assert (report["uts"]["nodename"], report["uts"]["domainname"]) == ("a.b", "c")
    assert run(executor, container(rootfs, ["probe"], after=[("hostname", "x" * 65)])).error[1] == "EINVAL"


def test_the_working_directory(executor: list[str], rootfs: str) -> None:
    os.symlink("made/here", os.path.join(rootfs, "link"))
    report = process(executor, rootfs, [("chdir", "/made/here", 1), ("chdir", "/link", 0)]).lines[0]
    assert report["cwd"] == "/made/here"
    assert run(executor, container(rootfs, ["probe"], after=[("chdir", "/none", 0)])).error[1] == "ENOENT"
    assert run(executor, container(rootfs, ["probe"], after=[("chdir", "/bin/probe", 0)])).error[1] == "ENOTDIR"


def test_a_directory_for_the_user_only(executor: list[str], rootfs: str) -> None:
    """The first chdir may be refused; the one as the user decides."""
    home = os.path.join(rootfs, "home")
    os.mkdir(home)
    os.chmod(rootfs, 0o755)
    drop: list[Operation] = [("capset", bits(6, 7), bits(6, 7), 0)]  # without CAP_DAC_*, with CAP_SETGID, CAP_SETUID
    user: list[Operation] = [("identity", 1000, 1000), ("chdir_retry", "/home")]
    os.chown(home, 1000, 1000)
    os.chmod(home, 0o700)
    assert process(executor, rootfs, [*drop, ("chdir", "/home", 0), *user]).lines[0]["cwd"] == "/home"
    os.chown(home, 1001, 1001)
    plan = container(rootfs, ["probe"], after=[*drop, ("chdir", "/home", 0), *user])
    index, error, _ = run(executor, plan).error
    assert (plan[index][0], error) == ("chdir_retry", "EACCES")
    plan = container(rootfs, ["probe"], after=[*drop, ("chdir", "/home", 0)])
    assert run(executor, plan).error == (len(plan) - 1, "EACCES", "the working directory may not be entered")


def test_stdio_gets_its_owner(executor: list[str], rootfs: str, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "out")
    with open(path, "wb") as file, open("/dev/full", "rb") as full:
        outcome = run(executor, container(rootfs, ["probe"], after=[("stdio_owner", 1234)]), stdin=full, stdout=file)
    assert outcome.status >= 0
    assert os.stat(path).st_uid == 1234
    assert os.stat("/dev/full").st_uid == 0


def test_null_stdio_becomes_the_containers(executor: list[str], rootfs: str) -> None:
    with open("/dev/null") as null:
        outcome = run(executor, container(rootfs, ["probe", "report"], after=[("null_stdio",)]), stdin=null)
    report = outcome.lines[0]
    own = report["devices"]["/dev/null"]
    assert own["type"] == "c"
    assert report["stdio"][0]["dev"] != os.stat("/dev/null").st_dev
    same = run(executor, container(rootfs, ["probe", "report"]))
    assert same.lines[0]["stdio"][0]["dev"] == os.stat("/dev/null").st_dev


def test_closed_stdio_is_the_null_device(executor: list[str], rootfs: str) -> None:
    """crun 1.21: a caller without stdin, stdout and stderr; nothing of the executor's takes their place."""
    command = ["/bin/sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *executor]
    hook: Operation = ("hook", "h", "/bin/probe", ["probe", "state-to", "/tmp/state"], [], 0, b"state", b"")
    assert run(command, container(rootfs, ["probe", "report", "--to", "/tmp/report"], after=[hook])).status == 0
    with open(os.path.join(rootfs, "tmp", "report")) as file:
        report = json.load(file)
    null = os.stat("/dev/null")
    assert [(stdio["dev"], stdio["ino"]) for stdio in report["stdio"]] == [(null.st_dev, null.st_ino)] * 3
    with open(os.path.join(rootfs, "tmp", "state")) as file:
        assert file.read() == "state1"


PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nbroken\n"
    + "l" * 70000
    + ":x:7:7::/long:\n:x::::\nfive:x:5:5::/five:/x\nno:x:9:9::relative:\nlast:x:8:8::/last:"
)


@pytest.mark.parametrize(
    ("uid", "env", "home"),
    [
        (0, ["PATH=/bin"], "/root"),
        (5, ["PATH=/bin", "HOME="], "/five"),
        (5, ["PATH=/bin", "HOME=/mine"], "/mine"),
        (7, ["PATH=/bin"], "/"),
        (8, ["PATH=/bin"], "/last"),
        (9, ["PATH=/bin"], "/"),
        (77, ["PATH=/bin"], "/"),
    ],
)
@pytest.mark.parametrize("order", ["home", "environment"])
def test_home(executor: list[str], rootfs: str, uid: int, env: list[str], home: str, order: str) -> None:
    """runc 4693: from the container's passwd, and an empty HOME counts as none."""
    with open(os.path.join(rootfs, "etc", "passwd"), "w") as file:
        file.write(PASSWD)
    rows: list[Operation] = [("home", uid), ("environment", env)]
    if order == "environment":
        rows.reverse()
    plan = [*container(rootfs, ["probe", "report"])[:-5], *rows, *program(["probe", "report"], env)[1:]]
    found = [entry for entry in run(executor, plan).lines[0]["env"] if entry.startswith("HOME=")]
    assert found == [f"HOME={home}"]


@pytest.mark.parametrize("kind", ["fifo", "missing", "outside", "endless", "directory"])
def test_home_from_a_strange_passwd(executor: list[str], rootfs: str, kind: str) -> None:
    path = os.path.join(rootfs, "etc", "passwd")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "outside":
        os.symlink("../" * 30 + "etc/passwd", path)
    elif kind == "endless":
        os.symlink("/dev/zero", path)
    elif kind == "directory":
        os.mkdir(path)
    assert "HOME=/" in process(executor, rootfs, [("home", 0)]).lines[0]["env"]


def test_the_environment_is_exact(executor: list[str], rootfs: str) -> None:
    env = ["A=1", "B=two words", "C=line\nbreak", "D=", "PATH=/bin"]
    assert process(executor, rootfs, [], env=env).lines[0]["env"] == env


@pytest.mark.parametrize(
    ("file", "env", "error"),
    [
        ("nosuch", ["PATH=/bin"], "ENOENT"),
        ("probe", ["PATH=/etc:/none"], "ENOENT"),
        ("probe", ["PATH=/denied"], "EACCES"),
        ("probe", ["PATH=/directory"], "EACCES"),
        ("/bin/nosuch", ["PATH=/bin"], "ENOENT"),
        ("/bin/probe/x", ["PATH=/bin"], "ENOTDIR"),
        ("/bin", ["PATH=/bin"], "EACCES"),
        ("/denied/probe", ["PATH=/bin"], "EACCES"),
        ("", ["PATH=/bin"], "ENOENT"),
    ],
)
def test_not_found(executor: list[str], rootfs: str, file: str, env: list[str], error: str) -> None:
    os.mkdir(os.path.join(rootfs, "denied"))
    with open(os.path.join(rootfs, "denied", "probe"), "w"):
        pass
    os.makedirs(os.path.join(rootfs, "directory", "probe"))
    plan = container(rootfs, [file], env=env)
    index, found, _ = run(executor, plan).error
    assert (plan[index][0], found) == ("find", error)


@pytest.mark.parametrize(
    "env",
    [
        ["PATH=/none:/denied:/bin"],
        ["PATH=/bin"],
        ["PATH="],
        ["PATH=/none:"],
        ["A=1"],
        ["PATHS=/x", "PATH=/bin"],
        ["PATH=/bin/probe:/bin"],
    ],
)
def test_found(executor: list[str], rootfs: str, env: list[str]) -> None:
    os.mkdir(os.path.join(rootfs, "denied"))
    with open(os.path.join(rootfs, "denied", "probe"), "w"):
        pass
    outcome = process(executor, rootfs, [("chdir", "/bin", 0)], "print found", env=env)
    assert outcome.status == 0


@pytest.mark.parametrize(("content", "error"), [("no program", "ENOEXEC"), ("#!/no/interpreter\n", "ENOENT")])
def test_a_file_that_cannot_be_executed(executor: list[str], rootfs: str, content: str, error: str) -> None:
    path = os.path.join(rootfs, "bin", "text")
    with open(path, "w") as file:
        file.write(content)
    os.chmod(path, 0o755)
    plan = container(rootfs, ["text"])
    assert run(executor, plan).error[:2] == (len(plan) - 1, error)


def test_descriptors(executor: list[str], rootfs: str) -> None:
    """stdio and the preserved ones, nothing else; the control descriptors lie above."""
    kept = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(3)]
    high = [os.dup2(kept[0], 100 + n) for n in range(40)]
    for fd in high:
        os.set_inheritable(fd, True)
    try:
        plan = container(rootfs, ["probe", "fd-list"])
        outcome = run(executor, plan, keep=kept[-1] + 1, descriptors=dict(enumerate(kept + high)))
    finally:
        for fd in kept + high:
            os.close(fd)
    found = outcome.value()
    numbers = {int(item["fd"] if isinstance(item, dict) else item) for item in found}
    assert numbers - {max(numbers)} <= {0, 1, 2, *kept}
    assert set(kept) <= numbers
    assert not numbers & set(high)


def test_exit_status_comes_through(executor: list[str], rootfs: str) -> None:
    assert run(executor, container(rootfs, ["probe", "exit", "7"])).status == 7
    assert birth()[0] == ("sync", table.SYNC_CGROUP)


def test_exec_into_a_running_container(executor: list[str], rootfs: str) -> None:
    """setns into every namespace of another container, then clone to be in its pid namespace."""
    first = Drive(executor, container(rootfs, ["probe", "hold", "60"]), stdin=subprocess.DEVNULL)
    first.until(table.SYNC_START)
    init = first.children[-1]
    names = [("ipc", NEWIPC), ("uts", NEWUTS), ("pid", NEWPID), ("mnt", NEWNS)]
    fds = {name: os.open(f"/proc/{init}/ns/{name}", os.O_RDONLY) for name, _ in names}
    plan: list[Operation] = [("setns", fds[name], flag) for name, flag in names]
    plan += [("clone", 0), ("setsid",), ("chdir", "/tmp", 0), ("null_stdio",), *program(["probe", "report"])]
    try:
        report = run(executor, plan, descriptors=fds).lines[0]
    finally:
        for fd in fds.values():
            os.close(fd)
    for name, _ in names:
        assert report["namespaces"][name] == os.stat(f"/proc/{init}/ns/{name}").st_ino
    assert (report["pid"], report["ppid"], report["cwd"]) == (2, 0, "/tmp")
    assert report["uts"]["nodename"] == "trial"


def test_chroot_without_a_mount_namespace(executor: list[str], rootfs: str) -> None:
    plan: list[Operation] = [*birth(NEWPID), ("open_root", rootfs, 0), ("chroot",), *program(["probe", "list", "/"])]
    assert set(run(executor, plan).value()) == set(os.listdir(rootfs))


def test_entering_twice_or_nothing_is_refused(executor: list[str], rootfs: str) -> None:
    enter: Operation = ("pivot_root",)
    assert run(executor, [*birth(), enter, *program(["probe"])]).error[:2] == (3, "EINVAL")
    twice = [*birth(), *into(rootfs), *filesystems(), enter, enter, *program(["probe"])]
    assert run(executor, twice).error[:2] == (12, "EINVAL")


def test_memory_policy(executor: list[str], rootfs: str) -> None:
    found = process(executor, rootfs, [("memory_policy", 0x8002, [0, 1023])]).lines[0]["mempolicy"]
    assert (found["mode_name"], found["nodes"][0], found["flags"]) == ("MPOL_BIND", 0, ["MPOL_F_STATIC_NODES"])
    found = process(executor, rootfs, [("memory_policy", 2, [0]), ("memory_policy", 4, [])]).lines[0]["mempolicy"]
    assert (found["mode_name"], found["nodes"]) == ("MPOL_LOCAL", [])


@pytest.mark.parametrize(
    ("mode", "nodes"), [(2, []), (0, [0]), (1000, [0]), (2, [1024]), (2, [2**32 - 1]), (2, [1023])]
)
def test_a_wrong_memory_policy(executor: list[str], rootfs: str, mode: int, nodes: list[int]) -> None:
    assert process(executor, rootfs, [("memory_policy", mode, nodes)]).error[1] == "EINVAL"
