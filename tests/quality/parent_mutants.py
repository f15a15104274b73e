"""Mutants whose bug is in the parent's Python: cgroups, id maps, hooks, state, the rules of the operations."""

from __future__ import annotations

import os

from planting import Mutant, applied, both, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


HOOKS = "hooks/test_hooks.py::"
FAILING = "lifecycle/test_failing_hooks.py::"
LISTENER = "linux/test_seccomp_listener.py::"
STATE = "lifecycle/test_state.py::"


# -- hooks -------------------------------------------------------------------------------------------------------------


def _without_hooks(wanted: str) -> Callable[..., None]:
    def run_hooks(real: Callable[..., None], kind: str, hooks: list[Any], *rest: Any) -> None:
        if kind != wanted:
            return real(kind, hooks, *rest)
        if hooks:
            applied()
        return None

    return run_hooks


def _reversed_hooks(real: Callable[..., None], kind: str, hooks: list[Any], *rest: Any) -> None:
    if len(hooks) > 1:
        applied()
    real(kind, hooks[::-1], *rest)


def _failures_ignored(real: Callable[..., None], *arguments: Any) -> None:
    from seatrial.runtime.errors import HookError

    try:
        real(*arguments)
    except HookError:
        applied()


def _poststop_failure_is_fatal(_real: Callable[..., None], hooks: list[Any], state: dict[str, Any], _warn: Any) -> None:
    from seatrial.runtime.hooks import run_hooks

    applied()
    run_hooks("poststop", hooks, state)


def _quiet_poststop(real: Callable[..., None], hooks: list[Any], state: dict[str, Any], _warn: Any) -> None:
    applied()
    real(hooks, state, lambda text: None)


def _hook_state(**changes: Any) -> Callable[..., dict[str, Any]]:
    def state_document(real: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        applied()
        return {**real(*arguments), **changes}

    return state_document


def _no_timeout(real: Callable[..., None], name: str, hook: Any, *rest: Any) -> None:
    if hook.timeout:
        applied()
        hook = hook.replace(timeout=None)
    real(name, hook, *rest)


# -- state -------------------------------------------------------------------------------------------------------------


def _report(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def report(real: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        document = real(*arguments)
        after = change(dict(document))
        if after != document:
            applied()
        return after

    return report


def _status(wrong: dict[str, str]) -> Callable[..., str]:
    def status_of(real: Callable[..., str], *arguments: Any) -> str:
        status = real(*arguments)
        if status in wrong:
            applied()
        return wrong.get(status, status)

    return status_of


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        document.pop(name, None)
        return document

    return change


def _bundle_name(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "bundle": os.path.basename(document["bundle"])}


def _taken_over(real: Callable[..., Any], root: str, id: str) -> Any:
    """StateDirectory.reserve that does not mind an id in use."""
    from seatrial.runtime.errors import ContainerExistsError
    from seatrial.runtime.state import StateDirectory

    try:
        return real(root, id)
    except ContainerExistsError:
        applied()
        directory = StateDirectory.open(root, id)
        directory.lock(0)
        return directory


def _unknown_is_stopped(real: Callable[..., int], context: Any, options: Any, arguments: list[str]) -> int:
    from seatrial.runtime.cli.main import write_stdout
    from seatrial.runtime.errors import ContainerNotFoundError

    try:
        return real(context, options, arguments)
    except ContainerNotFoundError:
        applied()
        write_stdout(f'{{"ociVersion": "1.2.1", "id": "{arguments[0]}", "status": "stopped", "bundle": "/"}}\n')
        return 0


# -- operations --------------------------------------------------------------------------------------------------------


def _again(real: Callable[..., None], container: Any) -> None:
    from seatrial.runtime.errors import StateError

    try:
        real(container)
    except StateError:
        applied()


def _signal_for(status: str) -> Callable[..., None]:
    def signal(real: Callable[..., None], container: Any, number: int, **options: Any) -> None:
        if container.status() == status:
            applied()
            return
        real(container, number, **options)

    return signal


def _always_term(real: Callable[..., None], container: Any, number: int, **options: Any) -> None:
    if number != 15:
        applied()
    real(container, 15, **options)


def _forced(real: Callable[..., None], container: Any, *, force: bool = False) -> None:
    if not force and container.status() in ("created", "running"):
        applied()
        force = True
    real(container, force=force)


def _success(real: Callable[..., int], *arguments: Any) -> int:
    status = real(*arguments)
    if status:
        applied()
    return 0


def _config_again(real: Callable[..., None], directory: Any, state: Any, log: Any, *, config: Any = None) -> None:
    """`delete` that takes the poststop hooks from the bundle instead of from what create has saved."""
    from seatrial.runtime.errors import SeatrialError
    from seatrial.runtime.load import load_config

    try:
        config = load_config(state.config["bundle"])
    except SeatrialError:
        config = None
        state.config.pop("hooks", None)
    applied()
    real(directory, state, log, config=config)


# -- resources and processes -------------------------------------------------------------------------------------------


def _nothing_born_there(real: Callable[..., Any], cgroup: Any) -> Any:
    applied()
    return -1 if real.__name__ == "fd" else []


def _own_place(real: Callable[..., Any], path: str | None, id: str, *rest: Any, **options: Any) -> Any:
    if path:
        applied()
    return real(None, id, *rest, **options)


def _one_hierarchy(real: Callable[..., list[int]], cgroup: Any) -> list[int]:
    """Descriptors for a birth in the first of several v1 hierarchies."""
    first, *others = real(cgroup)
    if others:
        applied()
    for fd in others:
        os.close(fd)
    return [first]


def _announced(**changes: Any) -> Callable[..., None]:
    """seccomp.agent.announce with other arguments, and without its errors."""

    def announce(real: Callable[..., None], config: Any, id: str, status: str, init: int, pid: int, fd: int) -> None:
        from seatrial.runtime.errors import SyscallError

        applied()
        try:
            real(config, id, changes.get("status", status), init, changes.get("pid", pid), fd)
        except SyscallError:
            pass

    return announce


def _no_conditions(real: Callable[..., Any], seccomp: Any, **words: Any) -> Any:
    calls = [call.replace(args=[]) for call in seccomp.syscalls]
    if calls != seccomp.syscalls:
        applied()
    return real(seccomp.replace(syscalls=calls), **words)


def _map_of_one(real: Callable[..., bytes], mappings: list[Any]) -> bytes:
    short = [line.replace(size=max(1, line.size - 1)) for line in mappings]
    if short != mappings:
        applied()
    return real(short)


def _swapped_ids(real: Callable[..., None], pid: int, config: Any) -> None:
    """uid_map gets the gid mappings and gid_map the uid mappings."""
    if config.uid_mappings != config.gid_mappings:
        applied()
    real(pid, config.replace(uid_mappings=config.gid_mappings, gid_mappings=config.uid_mappings))


def _leaked_descriptor(real: Callable[..., list[int]], count: int) -> list[int]:
    applied()
    return [*real(count), os.open("/", os.O_RDONLY)]


def _half_undone(real: Callable[..., None], creation: Any) -> None:
    """A failed create whose processes end, and whose state and cgroup stay."""
    applied()
    launch = creation.launch
    if launch is not None:
        launch.abort()
        launch.close()


def _wrong_pid_file(real: Callable[..., None], path: str, pid: int) -> None:
    applied()
    real(path, os.getpid())


TABLE = (
    # -- hooks in the runtime namespace --------------------------------------------------------------------------------
    *(
        Mutant(
            f"{name}-hooks-skipped",
            f"{kind} hooks do not run",
            replaced("hooks:run_hooks", _without_hooks(kind)),
            *cases,
        )
        for name, kind, cases in (
            ("prestart", "prestart", [HOOKS + "test_hook_is_part_of_create[prestart]"]),
            ("create-runtime", "createRuntime", [HOOKS + "test_hook_is_part_of_create[createRuntime]"]),
            ("poststart", "poststart", [HOOKS + "test_poststart_hook_is_part_of_start"]),
        )
    ),
    Mutant(
        "poststop-hooks-skipped",
        "poststop hooks do not run",
        replaced("hooks:run_poststop", skipped),
        HOOKS + "test_poststop_hook_is_part_of_delete[delete]",
    ),
    Mutant(
        "hooks-reversed",
        "hooks of one kind run from the last to the first",
        replaced("hooks:run_hooks", _reversed_hooks),
        FAILING + "test_every_hook_of_a_list_runs_by_the_end_of_start[prestart]",
    ),
    Mutant(
        "hook-failure-ignored",
        "create goes on when a prestart or createRuntime hook fails",
        replaced("hooks:run_hooks", _failures_ignored),
        FAILING + "test_failing_hook_fails_create[createRuntime]",
    ),
    Mutant(
        "poststop-failure-fatal",
        "delete fails when a poststop hook does",
        replaced("hooks:run_poststop", _poststop_failure_is_fatal),
        FAILING + "test_failing_poststop_hook_stops_nothing",
    ),
    Mutant(
        "poststop-failure-silent",
        "nobody hears of a poststop hook that failed",
        replaced("hooks:run_poststop", _quiet_poststop),
        FAILING + "test_failing_poststop_hook_is_a_warning",
    ),
    Mutant(
        "hook-status-wrong",
        "hooks are told that the container is running, whatever the phase",
        replaced("hooks:state_document", _hook_state(status="running")),
        HOOKS + "test_hook_gets_the_status_of_its_phase[createRuntime]",
    ),
    Mutant(
        "hook-state-without-annotations",
        "hooks get a state with the annotations missing",
        replaced("hooks:state_document", _hook_state(annotations={})),
        HOOKS + "test_hook_gets_the_state[poststop]",
    ),
    Mutant(
        "hook-timeout-ignored",
        "a hook may take as long as it likes",
        replaced("hooks:run_hook", _no_timeout),
        HOOKS + "test_hook_is_aborted_after_its_timeout[createRuntime]",
    ),
    # -- state ---------------------------------------------------------------------------------------------------------
    Mutant(
        "state-pid-inside",
        "state shows the pid as the container sees it",
        replaced("state:report", _report(lambda document: {**document, "pid": 1})),
        STATE + "test_state_has_the_pid_of_a_live_container[running]",
    ),
    Mutant(
        "state-without-annotations",
        "state does not show the annotations",
        replaced("state:report", _report(_without("annotations"))),
        STATE + "test_state_carries_the_annotations[created]",
    ),
    Mutant(
        "state-bundle-relative",
        "state shows the bundle's name in place of its path",
        replaced("state:report", _report(_bundle_name)),
        STATE + "test_state_has_the_absolute_bundle",
    ),
    Mutant(
        "stopped-shown-as-running",
        "a container whose program has ended is still running",
        replaced("state:status_of", _status({"stopped": "running"})),
        STATE + "test_ended_container_is_stopped[exit]",
    ),
    Mutant(
        "created-shown-as-running",
        "a container that waits for start is running",
        replaced("state:status_of", _status({"created": "running"})),
        STATE + "test_created_container_is_created",
    ),
    Mutant(
        "unknown-shown-as-stopped",
        "state of an id without container shows a stopped one",
        replaced("cli.state:main", _unknown_is_stopped),
        STATE + "test_state_of_an_unknown_container_is_an_error[never created]",
    ),
    Mutant(
        "id-in-use-taken-over",
        "create accepts an id that is in use",
        replaced("state:StateDirectory.reserve", _taken_over),
        STATE + "test_an_id_in_use_is_refused[running]",
    ),
    Mutant(
        "pid-file-of-the-runtime",
        "the pid file holds the runtime's own pid",
        replaced("pid_file:write_pid_file", _wrong_pid_file),
        STATE + "test_state_has_the_pid_of_a_live_container[running]",
    ),
    # -- operations ----------------------------------------------------------------------------------------------------
    Mutant(
        "second-start-accepted",
        "start of a running container succeeds and does nothing",
        replaced("container:Container.release", _again),
        "lifecycle/test_start.py::test_second_start_is_refused_and_has_no_effect",
    ),
    Mutant(
        "readiness-not-awaited",
        "start returns before the program says to NOTIFY_SOCKET that it is ready",
        replaced("readiness:NotifySocket.wait", skipped),
        "lifecycle/test_readiness.py::test_start_returns_when_the_program_is_ready",
    ),
    Mutant(
        "kill-of-stopped-accepted",
        "kill of a stopped container succeeds",
        replaced("container:Container.signal", _signal_for("stopped")),
        "lifecycle/test_kill.py::test_kill_of_a_stopped_container_is_refused_and_has_no_effect[TERM]",
    ),
    Mutant(
        "kill-of-created-ignored",
        "kill of a created container succeeds and does nothing",
        replaced("container:Container.signal", _signal_for("created")),
        "lifecycle/test_kill.py::test_kill_ends_a_created_container",
    ),
    Mutant(
        "kill-sends-term",
        "kill sends SIGTERM whatever signal is asked for",
        replaced("container:Container.signal", _always_term),
        "lifecycle/test_kill.py::test_kill_sends_exactly_that_signal[USR1]",
    ),
    Mutant(
        "delete-of-running-accepted",
        "delete kills a container that runs",
        replaced("container:Container.destroy", _forced),
        "lifecycle/test_delete.py::test_delete_refuses_a_running_container",
    ),
    Mutant(
        "delete-leaves-cgroup",
        "delete does not remove the cgroup",
        replaced("cgroup.cgroup:Cgroup.remove", skipped),
        "lifecycle/test_delete.py::test_delete_removes_what_create_made",
    ),
    Mutant(
        "delete-leaves-state",
        "delete does not remove the state",
        replaced("state:StateDirectory.remove", skipped),
        "lifecycle/test_delete.py::test_delete_removes_what_create_made",
    ),
    Mutant(
        "failed-create-leaves-container",
        "a create that fails leaves its state and its cgroup",
        replaced("creation:Creation.undo", _half_undone),
        "lifecycle/test_create.py::test_failed_create_changes_nothing[unknown_filesystem]",
    ),
    Mutant(
        "config-read-at-delete",
        "delete takes the poststop hooks from the config.json of that moment",
        replaced("teardown:destroy", _config_again),
        "lifecycle/test_create.py::test_config_is_read_at_create_only[replaced]",
    ),
    Mutant(
        "errors-exit-zero",
        "errors are printed, but the exit status is 0",
        replaced("cli.main:main", _success),
        "lifecycle/test_kill.py::test_kill_of_an_unknown_container_is_refused[never created]",
    ),
    Mutant(
        "run-exits-zero",
        "run returns 0 whatever the program's exit status",
        replaced("cli.foreground:Foreground.wait", _success),
        "lifecycle/test_start.py::test_run_returns_the_exit_status_of_the_program[3]",
    ),
    Mutant(
        "validation-skipped",
        "the rules between the fields of config.json are not checked",
        replaced("validate:validate", skipped),
        "linux/test_namespaces.py::test_repeated_namespace_is_an_error[new]",
    ),
    # -- resources, mappings, descriptors ------------------------------------------------------------------------------
    Mutant(
        "cgroups-path-ignored",
        "linux.cgroupsPath is ignored",
        replaced("cgroup.place:place", _own_place),
        "cgroups/test_path.py::test_absolute_path_counts_from_the_mount_point",
    ),
    Mutant(
        "one-hierarchy-joined",
        "of several v1 hierarchies the container joins the first only",
        replaced("cgroup.cgroup:Cgroup.tasks", _one_hierarchy),
        "cgroups/test_pids.py::test_fork_fails_beyond_the_limit",
    ),
    Mutant(
        "seccomp-agent-not-told",
        "the seccomp agent gets no listener",
        replaced("seccomp.agent:announce", skipped),
        LISTENER + "test_one_state_comes_on_a_closed_connection",
    ),
    Mutant(
        "seccomp-agent-told-of-running",
        "the seccomp agent is told that a container which is being created runs",
        replaced("seccomp.agent:announce", _announced(status="running")),
        LISTENER + "test_state_of_the_container",
    ),
    Mutant(
        "seccomp-agent-pid-inside",
        "the seccomp agent is told the pid as the container sees it",
        replaced("seccomp.agent:announce", _announced(pid=1)),
        LISTENER + "test_pid_of_the_state",
    ),
    Mutant(
        "seccomp-agent-unreachable-ignored",
        "a container is made though nobody listens at listenerPath",
        replaced("seccomp.agent:announce", _announced()),
        LISTENER + "test_unreachable_agent_is_an_error[missing]",
    ),
    Mutant(
        "seccomp-arguments-ignored",
        "conditions on arguments of system calls are ignored",
        replaced("seccomp.filter:compile_filter", _no_conditions),
        "linux/test_seccomp_arguments.py::test_operator[SCMP_CMP_EQ-10]",
    ),
    Mutant(
        "cgroup-not-joined",
        "the cgroup is made, and the container stays out of it",
        both(
            replaced("cgroup.cgroup:Cgroup.fd", _nothing_born_there),
            replaced("cgroup.cgroup:Cgroup.tasks", _nothing_born_there),
            replaced("cgroup.cgroup:Cgroup.join", skipped),
        ),
        "linux/test_devices.py::test_other_devices_cannot_be_opened",
    ),
    Mutant(
        "mapping-too-short",
        "an id mapping is one id shorter than asked for",
        replaced("idmap:map_text", _map_of_one),
        "linux/test_namespaces.py::test_mapping[uid]",
    ),
    Mutant(
        "mappings-swapped",
        "uid and gid mappings are exchanged",
        replaced("idmap:write_maps", _swapped_ids),
        "linux/test_namespaces.py::test_mapping[uid]",
    ),
    Mutant(
        "descriptor-leaked",
        "the program gets a descriptor of a directory of the host",
        replaced("cli.launching:preserved", _leaked_descriptor),
        "process/test_descriptors.py::test_program_gets_three_descriptors",
        "process/test_descriptors.py::test_program_gets_three_descriptors_through_create_and_start",
    ),
)
