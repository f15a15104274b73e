"""config.md#posix-platform-hooks: when hooks run, where, and what they are told."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.hooks.records import ANNOTATIONS, KINDS, RUNTIME_NAMESPACE, Records, lifecycle
from seatrial.conformance.driver.bundle import PROBE, Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import Result
from seatrial.conformance.engine.together import Part, at_once, together

pytestmark = needs("hooks")
OWN = ("mnt", "pid", "net", "ipc", "uts")  # what the default bundle makes new


def whole_life(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[Container]:
    """A container from its create to its delete; its program runs until it is killed."""
    container = runtime.create(bundle.probe("hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    for _ in verbs:
        yield container


@pytest.fixture
def records(runtime: Runtime, bundle: Bundle) -> Records:
    """What recording hooks of every kind saw in one plain lifecycle."""
    return lifecycle(runtime, bundle)


def rows(table: Mapping[str, str | tuple[str, ...]]) -> list[Any]:
    """Kinds as parameters, each marked with its ledger rows."""
    return [
        pytest.param(kind, marks=covers(*((ids,) if isinstance(ids, str) else ids)), id=kind)
        for kind, ids in table.items()
    ]


# -- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    rows(
        {
            "prestart": "config/prestart/1",
            "createRuntime": "config/createruntime-hooks/1",
            "createContainer": "config/createcontainer-hooks/1",
        }
    ),
)
def test_hook_is_part_of_create(records: Records, kind: str) -> None:
    """The hook has run when create returns (config.md#posix-platform-hooks)."""
    assert kind in records.after_create


@covers("config/startcontainer-hooks/1")
def test_start_container_hook_is_part_of_start(records: Records) -> None:
    """startContainer hooks run in start, not before (config.md#startcontainer-hooks)."""
    assert "startContainer" not in records.after_create
    assert "startContainer" in records.after_start


@covers("config/poststart/2")
def test_poststart_hook_is_part_of_start(runtime: Runtime, bundle: Bundle) -> None:
    """A slow poststart hook is done when start returns (config.md#poststart)."""
    bundle.hook("poststart", "sleep", "0.3", "--", "append", bundle.outside("late"), "ran")
    container = runtime.create(bundle.probe("hold", report=False))
    assert not os.path.exists(bundle.outside("late"))
    container.start()
    assert os.path.exists(bundle.outside("late"))


@pytest.mark.parametrize("force", [False, True], ids=["delete", "delete --force"])
@covers("config/poststop/2")
def test_poststop_hook_is_part_of_delete(runtime: Runtime, bundle: Bundle, force: bool) -> None:
    """A slow poststop hook is done when delete returns (config.md#poststop)."""
    bundle.hook("poststop", "sleep", "0.3", "--", "append", bundle.outside("late"), "ran")
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    container.delete(force=force)
    assert os.path.exists(bundle.outside("late"))


@covers("config/prestart/4")
def test_prestart_hooks_precede_create_runtime_hooks(records: Records) -> None:
    """All prestart hooks end before the first createRuntime hook (config.md#prestart)."""
    assert records.first("createRuntime")["time"] > max(line["time"] for line in records.lines["prestart"])


@covers("config/createcontainer-hooks/4")
def test_create_runtime_hooks_precede_create_container_hooks(records: Records) -> None:
    """All createRuntime hooks end before the first createContainer hook (config.md#createcontainer-hooks)."""
    assert records.first("createContainer")["time"] > max(line["time"] for line in records.lines["createRuntime"])


@covers("config/startcontainer-hooks/2")
def test_start_container_hooks_precede_the_program(runtime: Runtime, bundle: Bundle) -> None:
    """Hook and program write to one file: the hook is first (config.md#startcontainer-hooks)."""
    bundle.hook("startContainer", "append", "/order", "h")
    container = runtime.create(bundle.probe("append /order p -- hold", report=False))
    container.start()
    container.wait_output('"verb":"hold"')
    with open(os.path.join(bundle.rootfs, "order"), encoding="utf-8") as file:
        assert file.read().replace("\n", "") == "hp"


@covers("config/poststart/1")
def test_poststart_hooks_follow_the_program(records: Records) -> None:
    """When a poststart hook runs, the process is the program already (config.md#poststart)."""
    container = records.first("poststart")["container"]
    assert container is not None
    exe = container["exe"] or "nothing that may be seen"  # an ordinary user may see a program, not what prepares it
    assert exe.endswith("/probe"), exe


@covers("config/poststop/1")
def test_poststop_hooks_follow_the_deletion(runtime: Runtime, bundle: Bundle) -> None:
    """When a poststop hook runs, state knows the container no more (config.md#poststop)."""
    script = bundle.outside("ask")
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{runtime.path} --root {runtime.root} state {bundle.name}\n")
        file.write(f"echo $? > {bundle.path}/status\n")
    os.chmod(script, 0o755)
    bundle.hook("poststop", script, path=script, env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    container = runtime.create(bundle.probe("exit 0", report=False))
    container.start()
    container.wait_status("stopped")
    container.delete()
    with open(bundle.outside("status"), encoding="ascii") as file:
        assert file.read().strip() != "0"


# -- where -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    rows(
        {
            "prestart": "config/prestart/6",
            "createRuntime": "config/createruntime-hooks/5",
            "poststart": "config/poststart/4",
            "poststop": "config/poststop/4",
        }
    ),
)
def test_hook_runs_in_the_runtime_namespace(records: Records, kind: str) -> None:
    """The hook's namespaces are the runtime's (config.md#posix-platform-hooks)."""
    found = records.first(kind)["namespaces"]
    mine = {name: os.stat(f"/proc/self/ns/{name}").st_ino for name in (*OWN, "cgroup", "user")}
    assert {name: found[name] for name in mine} == mine


@pytest.mark.parametrize(
    "kind",
    rows(
        {
            "createContainer": ("config/createcontainer-hooks/6", "config/createcontainer-hooks/2"),
            "startContainer": "config/startcontainer-hooks/4",
        }
    ),
)
def test_hook_runs_in_the_container_namespace(records: Records, kind: str) -> None:
    """The hook's namespaces are the container's (config.md#posix-platform-hooks)."""
    found = records.first(kind)["namespaces"]
    seen = {name: found[name] for name in (*OWN, "cgroup", "user") if found.get(name) is not None}
    assert {name: records.namespaces[name] for name in seen} == seen
    assert set(OWN) - {"pid"} <= set(seen)


@pytest.mark.parametrize(
    "kind", rows({"prestart": "config/prestart/2", "createRuntime": "config/createruntime-hooks/2"})
)
def test_hook_finds_the_environment_created(records: Records, kind: str) -> None:
    """Inside the hook, the container's namespaces are the final ones (config.md#posix-platform-hooks)."""
    container = records.first(kind)["container"]
    assert container is not None
    visible = {name: container["namespaces"][name] for name in OWN}
    if os.geteuid() != 0 and set(visible.values()) == {None}:
        pytest.skip("root: an ordinary user's hook may not look at a process that is not dumpable")
    assert visible == {name: records.namespaces[name] for name in OWN}


@covers("config/createruntime-hooks/6")
def test_create_runtime_hook_finds_the_mounts_done(records: Records) -> None:
    """Inside a createRuntime hook the container's mounts are in place (config.md#createruntime-hooks)."""
    table = records.first("createRuntime")["container"]["mountinfo"]
    targets = [line.split()[4] for line in table.splitlines()]
    assert any(target.endswith("/rootfs/mnt") for target in targets), targets


@pytest.mark.parametrize(
    "kind", rows({"prestart": "config/prestart/3", "createRuntime": "config/createruntime-hooks/3"})
)
def test_hook_runs_before_pivot_root(records: Records, kind: str) -> None:
    """Inside the hook the container's process still has the old root (config.md#posix-platform-hooks)."""
    container = records.first(kind)["container"]
    assert container is not None
    targets = [line.split()[4] for line in container["mountinfo"].splitlines()]
    assert any(target.endswith("/rootfs") for target in targets), "the rootfs is not below the old root"


@covers("config/createcontainer-hooks/3", "config/createcontainer-hooks/7")
def test_create_container_hook_runs_before_pivot_root(records: Records) -> None:
    """The hook sees the host's files, and the container's mounts below the rootfs (config.md#createcontainer-hooks)."""
    entry = records.first("createContainer")
    targets = [line.split()[4] for line in entry["mountinfo"].splitlines()]
    assert any(target.endswith("/rootfs/mnt") for target in targets), targets


@covers("config/startcontainer-hooks/4")
def test_start_container_hook_has_the_root_of_the_container(records: Records) -> None:
    """/ of a startContainer hook is the container's (config.md#startcontainer-hooks)."""
    root = records.first("startContainer")["root"]
    assert (root["dev"], root["ino"]) == records.rootfs


HOST_PATH_ROWS = {
    "prestart": "config/prestart/5",
    "createRuntime": "config/createruntime-hooks/4",
    "createContainer": "config/createcontainer-hooks/5",
    "poststart": "config/poststart/3",
    "poststop": "config/poststop/3",
}


@together(look=whole_life)
@pytest.mark.parametrize("kind", rows(HOST_PATH_ROWS))
def test_path_of_a_hook_is_a_path_of_the_host(bundle: Bundle, kind: str) -> Part:
    """A program that only the host has is found (config.md#posix-platform-hooks)."""
    program = bundle.outside(f"only-here-{kind}")
    shutil.copy(os.path.join(bundle.rootfs, "probe"), program)
    bundle.hook(kind, program, "append", bundle.outside(f"ran-{kind}"), "ran", path=program)
    yield None
    assert os.path.exists(bundle.outside(f"ran-{kind}"))


@covers("config/startcontainer-hooks/3")
def test_path_of_a_start_container_hook_is_a_path_of_the_container(runtime: Runtime, bundle: Bundle) -> None:
    """A program that only the host has is not found: start fails (config.md#startcontainer-hooks)."""
    program = bundle.outside("only-here")
    shutil.copy(os.path.join(bundle.rootfs, "probe"), program)
    bundle.hook("startContainer", program, "exit", "0", path=program)
    container = runtime.create(bundle.probe("append /marker ran -- hold", report=False))
    assert not container.start(check=False).ok


# -- what they are told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/15", "runtime/state/17")
def test_hook_gets_the_state(records: Records, kind: str) -> None:
    """The state on stdin is complete (config.md#posix-platform-hooks)."""
    state = records.state(kind)
    assert isinstance(state.get("ociVersion"), str)
    assert state.get("id") == records.id
    assert isinstance(state.get("status"), str)
    assert os.path.realpath(state.get("bundle", "")) == os.path.realpath(records.bundle)
    assert os.path.isabs(state["bundle"])
    assert state.get("annotations") == ANNOTATIONS
    if kind != "poststop":
        assert type(state.get("pid")) is int
        assert state["pid"] > 0


STATUS = {
    "prestart": "creating",
    "createRuntime": "creating",
    "createContainer": "creating",
    "startContainer": "created",
    "poststart": "running",
    "poststop": "stopped",
}


@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/16")
def test_hook_gets_the_status_of_its_phase(records: Records, kind: str) -> None:
    """The status on stdin is the one of the phase (config.md#posix-platform-hooks)."""
    assert records.state(kind).get("status") == STATUS[kind]


@covers("runtime/state/5")
def test_create_runtime_hook_sees_creating(records: Records) -> None:
    """While create has not finished the status is `creating` (runtime.md#state)."""
    assert records.state("createRuntime").get("status") == "creating"


@pytest.mark.parametrize("kind", [kind for kind in RUNTIME_NAMESPACE if kind != "poststop"])
@covers("runtime/state/11")
def test_hook_in_the_runtime_namespace_gets_the_pid_of_the_runtime(records: Records, kind: str) -> None:
    """pid is the one that the runtime sees (runtime.md#state)."""
    assert records.state(kind).get("pid") == records.pid


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
@covers("runtime/state/12")
def test_hook_in_the_container_namespace_gets_the_pid_of_the_container(records: Records, kind: str) -> None:
    """pid is the one that the container sees (runtime.md#state)."""
    assert records.state(kind).get("pid") == 1


@together("input", look=whole_life)
@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/15")
def test_hook_may_leave_its_standard_input_alone(bundle: Bundle, kind: str) -> Part:
    """The state is offered on stdin; a hook that does not read it, more than a pipe holds, does no harm
    (config.md#posix-platform-hooks)."""
    bundle.config["annotations"] = {f"org.example.{number}": "x" * 1000 for number in range(100)}
    program = "/probe" if kind == "startContainer" else bundle.hook_program
    for _ in range(2):
        bundle.hook(kind, program, "exit", "0", path=program)
    container = yield None
    assert container.deleted


@covers("config/posix-platform-hooks/10")
def test_args_are_the_argv_of_a_hook(runtime: Runtime, bundle: Bundle) -> None:
    """argv of a hook is args, argv[0] included (config.md#posix-platform-hooks)."""
    words = ["another name", "--to", bundle.outside("report"), "report", "--", "print", "two words"]
    bundle.hook("createRuntime", *words, path=bundle.hook_program)
    runtime.create(bundle.probe("hold", report=False))
    assert hook_report(bundle)["argv"] == words


@covers("config/posix-platform-hooks/11")
def test_env_is_the_environment_of_a_hook(runtime: Runtime, bundle: Bundle) -> None:
    """environ of a hook is env, and nothing else (config.md#posix-platform-hooks)."""
    words = ["probe", "--to", bundle.outside("report"), "report"]
    bundle.hook("createRuntime", *words, path=bundle.hook_program, env=["A=1", "B=two words"])
    runtime.create(bundle.probe("hold", report=False), env={"SEATRIAL_CALLER": "1"})
    assert hook_report(bundle)["env"] == ["A=1", "B=two words"]


@covers("config/posix-platform-hooks/11")
@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_env_in_the_containers_namespaces(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """The same for the hooks that run in the container (config.md#posix-platform-hooks)."""
    inside, outside = (
        ("/report", os.path.join(bundle.rootfs, "report"))
        if kind == "startContainer"
        else (bundle.outside("report"), bundle.outside("report"))
    )
    path = PROBE if kind == "startContainer" else bundle.hook_program
    bundle.hook(kind, "probe", "--to", inside, "report", path=path, env=["A=1", "B=two words"])
    container = runtime.create(bundle.probe("hold", report=False), env={"SEATRIAL_CALLER": "1"})
    container.start()
    container.wait_output('"verb":"hold"')
    with open(outside, encoding="utf-8") as file:
        assert json.loads(file.readline())["env"] == ["A=1", "B=two words"]


def hook_report(bundle: Bundle) -> dict[str, Any]:
    """The report that a hook wrote to <bundle>/report."""
    from seatrial.conformance.driver import probe

    with open(bundle.outside("report"), encoding="utf-8") as file:
        return probe.parse(file.read()).data


# -- lists and timeouts ----------------------------------------------------------------------------------------------

ARRAY_ROWS = {kind: f"config/posix-platform-hooks/{row}" for row, kind in enumerate(KINDS, 2)}


def empty_then_long(runtime: Runtime, bundle: Bundle, verbs: list[str | None]) -> Iterator[Container]:
    """A whole life without hooks, of the kinds that the bundle has, and one with them."""
    hooks = bundle.config["hooks"]
    bundle.config["hooks"] = {kind: [] for kind in hooks}
    list(whole_life(runtime, bundle, verbs))
    bundle.config["hooks"] = hooks
    return whole_life(runtime, bundle, verbs)


@together(look=empty_then_long)
@pytest.mark.parametrize("kind", rows(ARRAY_ROWS))
def test_hook_list_may_be_empty_or_long(bundle: Bundle, kind: str) -> Part:
    """[] runs nothing, two entries run twice (config.md#posix-platform-hooks)."""
    inside, name = kind == "startContainer", f"marks-{kind}"
    for _ in range(2):
        bundle.hook(kind, "append", f"/{name}" if inside else bundle.outside(name), "x")
    yield None
    with open(os.path.join(bundle.rootfs, name) if inside else bundle.outside(name), encoding="utf-8") as file:
        assert file.read().count("x") == 2


@pytest.mark.parametrize("hooks", [None, {}], ids=["absent", "empty"])
@covers("config/posix-platform-hooks/1")
def test_hooks_may_be_left_out(runtime: Runtime, bundle: Bundle, hooks: dict[str, Any] | None) -> None:
    """Without hooks, and with {}, the lifecycle is the same (config.md#posix-platform-hooks)."""
    if hooks is not None:
        bundle.config["hooks"] = hooks
    list(whole_life(runtime, bundle, []))


@together(look=whole_life)
@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/14")
def test_hooks_run_in_order_one_after_the_other(bundle: Bundle, kind: str) -> Part:
    """The next hook starts when the one before has ended (config.md#posix-platform-hooks)."""
    inside, name = kind == "startContainer", f"order-{kind}"
    path = f"/{name}" if inside else bundle.outside(name)
    bundle.hook(kind, "sleep", "0.05", "--", "append", path, "1")
    bundle.hook(kind, "append", path, "2")
    bundle.hook(kind, "append", path, "3")
    yield None
    with open(os.path.join(bundle.rootfs, name) if inside else path, encoding="utf-8") as file:
        assert file.read().replace("\n", "") == "123"


@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/8")
def test_hook_without_path_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], kind: str
) -> None:
    """Every hook needs a path (config.md#posix-platform-hooks)."""
    bundle.config["hooks"] = {kind: [{"args": ["true"]}]}
    rejected(runtime, bundle)


@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/9")
def test_relative_hook_path_is_an_error(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], kind: str
) -> None:
    """A hook's path is absolute (config.md#posix-platform-hooks)."""
    os.symlink("/bin/true", bundle.outside("hook.sh"))
    bundle.symlink("probe", "hook.sh")
    bundle.config["hooks"] = {kind: [{"path": "hook.sh"}]}
    runtime.prove_sane()
    container = runtime.create(bundle.probe("exit 0", report=False), check=False)
    if kind in ("prestart", "createRuntime", "createContainer") or not container.created.ok:
        assert not container.created.ok, container.created.describe()
        return
    started = container.start(check=False)
    if kind == "poststop" and started.ok:
        container.wait_status("stopped")
        assert not container.delete(check=False).ok
        return
    assert not started.ok, started.describe()


@pytest.mark.parametrize("timeout", [0, -1])
@covers("config/posix-platform-hooks/13")
def test_hook_timeout_is_positive(
    runtime: Runtime, bundle: Bundle, rejected: Callable[..., Result], timeout: int
) -> None:
    """A timeout that is not above zero is refused (config.md#posix-platform-hooks)."""
    bundle.hook("createRuntime", "exit", "0", timeout=timeout)
    rejected(runtime, bundle)


def hook_processes(text: str) -> list[str]:
    """Processes whose command line has that text."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if text.encode() in file.read():
                        found.append(name)
            except OSError:
                continue
    return found


@at_once()
@pytest.mark.parametrize("kind", KINDS)
@covers("config/posix-platform-hooks/12")
def test_hook_is_aborted_after_its_timeout(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    """A hook that outlives its timeout is killed, and counts as failed (config.md#posix-platform-hooks)."""
    runtime.prove_sane()
    mark = f"trial-{bundle.name}"
    bundle.hook(kind, "sleep", "30", "--", "print", mark, timeout=1)
    started = time.monotonic()
    container = runtime.create(bundle.probe("exit 0", report=False), check=False)
    failed = not container.created.ok
    if not failed:
        failed = not container.start(check=False).ok
    if not failed or kind == "poststop":
        container.wait_status("stopped")
        failed = not container.delete(check=False).ok or kind == "poststop"
    assert time.monotonic() - started < 10
    assert hook_processes(mark) == []
    assert failed, "the aborted hook did not count as failed"
