"""Mutants whose bug is in `exec`: its plan, its cgroups, its process, and what the caller hears of it."""

from __future__ import annotations

from planting import Mutant, applied, changed, dropped, exec_plan, replaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PLACEMENT = "exec/test_placement.py::"
PROCESS = "exec/test_process.py::"
OUTCOME = "exec/test_outcome.py::"
OPTIONS = "exec/test_options.py::"
DOCUMENT = "exec/test_document.py::"
MANY = "exec/test_many.py::"


def _nowhere(_real: Callable[..., Any], entry: Any) -> None:
    """Entry.open that finds nothing to enter."""
    applied()
    entry.places = []


def _by_name(_real: Callable[[int, str], int], directory: int, path: str) -> int:
    """open_beneath by a plain path."""
    import os

    applied()
    return os.open(f"/proc/self/fd/{directory}/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _status(wanted: int) -> Callable[..., int]:
    def main(real: Callable[..., int], *arguments: Any) -> int:
        status = real(*arguments)
        if status != wanted:
            applied()
        return wanted

    return main


def _paused_ignored(real: Callable[..., None], container: Any, process: Any, **_options: Any) -> None:
    applied()
    real(container, process, ignore_paused=True)


def _inheritable(real: Callable[..., None], process: Any, *rest: Any) -> None:
    real(process, *rest)
    if process.capabilities is not None:
        applied()
        process.capabilities.inheritable |= process.capabilities.permitted


def _env_replaced(real: Callable[[list[str], str], None], env: list[str], variable: str) -> None:
    applied()
    env.clear()
    real(env, variable)


def _bundle_again(real: Callable[..., Any], container: Any, *rest: Any) -> Any:
    """make_process that reads config.json anew."""
    from seatrial.runtime.load import load_config
    from seatrial.runtime.process import Process

    process = real(container, *rest)
    applied()
    process.env = Process.from_config(load_config(container.config.bundle).process).env
    return process


def _pid_of_init(real: Callable[[str, int], None], path: str, _pid: int) -> None:
    import os

    applied()
    real(path, os.getppid())


def _sub_cgroups_forgotten(real: Callable[[list[str]], dict[str, str]], words: list[str]) -> dict[str, str]:
    if real(words):
        applied()
    return {}


def _one_more(real: Callable[[int], list[int]], count: int) -> list[int]:
    """Descriptors to keep, and the one behind them."""
    found = real(count)
    if found:
        applied()
        found.append(found[-1] + 1)
    return found


def _file_left(real: Callable[..., int], context: Any, options: Any, arguments: list[str]) -> int:
    """main that leaves a file in the container's state directory."""
    import os

    applied()
    with open(os.path.join(context.root, arguments[0], f"exec-{os.getpid()}"), "w", encoding="ascii"):
        pass
    return real(context, options, arguments)


def _failure_is_one(real: Callable[..., int], context: Any, *rest: Any) -> int:
    """main whose own failures have status 1."""
    from seatrial.runtime.errors import SeatrialError

    try:
        return real(context, *rest)
    except SeatrialError as error:
        applied()
        context.log.error(str(error))
        return 1


def _signals_kept(real: Callable[..., None], *arguments: Any) -> None:
    """Process.signal that tells nobody."""
    applied()


def _created_only_running(real: Callable[..., None], container: Any, process: Any, **options: Any) -> None:
    from seatrial.runtime.errors import StateError

    if container.status() == "created":
        applied()
        raise StateError("not running")
    real(container, process, **options)


TABLE = (
    Mutant(
        "exec-umask-ignored",
        "exec leaves the umask of the caller",
        exec_plan(dropped("umask")),
        OPTIONS + "test_umask_is_the_containers",
        DOCUMENT + "test_umask",
    ),
    Mutant(
        "exec-scheduler-ignored",
        "exec --process ignores scheduler",
        exec_plan(dropped("scheduler")),
        DOCUMENT + "test_scheduler",
    ),
    Mutant(
        "exec-io-priority-ignored",
        "exec --process ignores ioPriority",
        exec_plan(dropped("io_priority")),
        DOCUMENT + "test_io_priority",
    ),
    Mutant(
        "exec-sub-cgroup-ignored",
        "exec --cgroup is taken and forgotten",
        replaced("cli.exec_process:parse_sub_cgroups", _sub_cgroups_forgotten),
        PLACEMENT + "test_a_cgroup_below_the_containers",
    ),
    Mutant(
        "exec-one-descriptor-too-many",
        "exec --preserve-fds N passes N + 1 descriptors",
        replaced("cli.exec_process:preserved", _one_more),
        OPTIONS + "test_preserved_descriptors",
    ),
    Mutant(
        "exec-leaves-a-file",
        "each exec leaves a file in the state directory",
        replaced("cli.exec:main", _file_left),
        MANY + "test_thirty_two_at_once",
    ),
    Mutant(
        "exec-status-one-for-not-found",
        "exec returns 1 when the program is not there",
        replaced("cli.exec:main", _failure_is_one),
        OPTIONS + "test_status_of_what_is_not_found[nosuch]",
    ),
    Mutant(
        "exec-refuses-created-containers",
        "exec wants a running container",
        replaced("container:Container.exec", _created_only_running),
        MANY + "test_created_container_starts_afterwards",
    ),
    Mutant(
        "exec-keeps-signals",
        "exec in the foreground passes no signal on",
        replaced("process:Process.signal", _signals_kept),
        OPTIONS + "test_signals_are_passed_on",
    ),
    Mutant(
        "exec-outside-the-cgroup",
        "exec leaves its process in the runtime's cgroups",
        replaced("cgroup.entry:Entry.open", _nowhere),
        PLACEMENT + "test_first_instruction_is_in_the_containers_cgroups",
    ),
    Mutant(
        "exec-cgroup-escapes",
        "exec --cgroup follows .. out of the container's cgroup",
        replaced("cgroup.entry:open_beneath", _by_name),
        PLACEMENT + "test_a_cgroup_beside_the_containers_is_out_of_reach[../{name}-sibling]",
    ),
    Mutant(
        "exec-one-namespace-missing",
        "exec stays in the runtime's ipc namespace",
        exec_plan(dropped("setns", where=lambda values: values["type"] == 0x08000000)),
        PLACEMENT + "test_namespaces_are_those_of_init",
    ),
    Mutant(
        "exec-pid-namespace-for-children-only",
        "exec joins the pid namespace and does not fork into it",
        exec_plan(dropped("clone")),
        PLACEMENT + "test_namespaces_are_those_of_init",
    ),
    Mutant(
        "exec-without-session",
        "exec leaves its process in the runtime's session",
        exec_plan(dropped("setsid")),
        PLACEMENT + "test_namespaces_are_those_of_init",
    ),
    Mutant(
        "exec-user-ignored",
        "exec runs everything as root",
        exec_plan(changed("identity", to=lambda values: {"uid": 0, "gid": 0})),
        PROCESS + "test_user_is_the_configs",
    ),
    Mutant(
        "exec-groups-ignored",
        "exec gives no supplementary groups",
        exec_plan(changed("groups", to=lambda values: {"gids": []})),
        PROCESS + "test_user_is_the_configs",
    ),
    Mutant(
        "exec-capabilities-inheritable",
        "exec --cap adds to the inheritable set too",
        replaced("cli.exec_process:add_capabilities", _inheritable),
        PROCESS + "test_capabilities_are_added_but_not_inheritable",
    ),
    Mutant(
        "exec-bounding-set-kept",
        "exec does not drop capabilities from the bounding set",
        exec_plan(dropped("bounding")),
        PROCESS + "test_capabilities_are_added_but_not_inheritable",
    ),
    Mutant(
        "exec-environment-replaced",
        "exec --env forgets the environment of the container's process",
        replaced("cli.exec_process:set_variable", _env_replaced),
        PROCESS + "test_environment_is_the_configs_with_additions",
    ),
    Mutant(
        "exec-directory-created",
        "exec makes a working directory that is not there",
        exec_plan(changed("chdir", to=lambda values: {"create": 1})),
        PROCESS + "test_working_directory_is_not_created",
    ),
    Mutant(
        "exec-directory-ignored",
        "exec runs everything in /",
        exec_plan(changed("chdir", to=lambda values: {"target": "/"})),
        PROCESS + "test_working_directory",
    ),
    Mutant(
        "exec-console-mounted",
        "exec mounts its terminal on /dev/console",
        exec_plan(changed("console", to=lambda values: {"mount": 1})),
        PROCESS + "test_terminal_is_of_the_containers_devpts",
    ),
    Mutant(
        "exec-limits-ignored",
        "exec sets no resource limits",
        exec_plan(dropped("rlimit")),
        PROCESS + "test_process_document",
    ),
    Mutant(
        "exec-no-new-privs-ignored",
        "exec does not set no_new_privs",
        exec_plan(dropped("no_new_privs")),
        PROCESS + "test_process_document",
    ),
    Mutant(
        "exec-exits-zero",
        "exec returns 0 whatever the program's exit status",
        replaced("cli.exec:main", _status(0)),
        OUTCOME + "test_status_is_the_programs[7]",
    ),
    Mutant(
        "exec-hangs-in-a-paused-container",
        "exec starts a process in a paused container and waits for it",
        replaced("container:Container.exec", _paused_ignored),
        OUTCOME + "test_paused_container_is_refused",
    ),
    Mutant(
        "exec-reads-the-bundle-again",
        "exec takes the environment from the config.json of that moment",
        replaced("cli.exec:make_process", _bundle_again),
        OUTCOME + "test_edits_of_the_bundle_have_no_effect",
    ),
    Mutant(
        "exec-pid-file-of-another",
        "the pid file of exec holds another process's pid",
        replaced("pid_file:write_pid_file", _pid_of_init),
        OUTCOME + "test_detached_with_a_pid_file",
    ),
    Mutant(
        "exec-affinity-ignored",
        "execCPUAffinity.final is ignored",
        exec_plan(dropped("affinity")),
        OUTCOME + "TestAffinity::test_final[0-cpus0]",
    ),
)
