"""Mutants with old bugs of mounts, lifecycle and invocation that the museum shows (conformance/ledger/museum.toml)."""

from __future__ import annotations

import os

from planting import Mutant, applied, both, changed, dropped, plan, replaced, skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MOUNTS = "mounts/test_mount_points.py::"
LOCKED = "mounts/test_locked_flags.py::"
REMAINS = "lifecycle/test_remains.py::"
HOME = "process/test_home.py::"
CALL = "lifecycle/test_invocation.py::"


def _at(*targets: str) -> Callable[[dict[str, Any]], bool]:
    return lambda values: values.get("target") in targets


def _pid_is_enough(_real: Callable[[Any], bool], state: Any) -> bool:
    applied()
    return os.path.exists(f"/proc/{state.init_process_pid}")


def _frozen_somehow(_real: Callable[[dict[str, str]], bool], paths: dict[str, str]) -> bool:
    applied()
    name, word = ("freezer", "freezer.state") if "freezer" in paths else ("", "cgroup.events")
    with open(os.path.join(paths[name], word), encoding="ascii") as file:
        text = file.read()
    return "FROZEN" in text or "frozen 1" in text


def _over_the_old_one(real: Callable[..., int], context: Any, options: Any, arguments: list[str]) -> int:
    path = os.path.join(options.text("bundle"), "config.json")
    if os.path.exists(path):
        applied()
        os.unlink(path)
    return real(context, options, arguments)


def _as_text(real: Callable[..., None], log: Any, level: str, message: str) -> None:
    if log.json:
        applied()
    log.json = False
    real(log, level, message)


def _with_the_value(real: Callable[..., None], rule: Any, value: Any) -> None:
    from seatrial.runtime.spec.rules import Mismatch

    if isinstance(value, str) and "\0" in value:
        applied()
        raise Mismatch(f"a NUL character in {value!r}")
    real(rule, value)


TABLE = (
    Mutant(
        "cleared-flags-ignored",
        "suid, dev and exec of a bind mount are ignored where the source is mounted without",
        plan(dropped("remount", "mount_attr", where=_at("/a", "/b", "/c", "/d"))),
        LOCKED + "test_flags_can_be_cleared",
    ),
    Mutant(
        "readonly-root-skipped",
        "the root is not made read-only",
        plan(dropped("remount", where=_at("/"))),
        LOCKED + "test_readonly_root_on_a_restricted_filesystem",
    ),
    Mutant(
        "tmpfs-mode-of-its-own",
        "a tmpfs has mode 0755 whatever it covers",
        plan(changed("mount", to=lambda values: {"data": "mode=0755"}, where=_at("/sticky", "/other"))),
        MOUNTS + "test_mode_of_a_tmpfs",
    ),
    Mutant(
        "read-only-dev-skipped",
        "a read-only /dev stays writable",
        plan(dropped("remount", where=_at("/dev"))),
        MOUNTS + "test_read_only_dev",
    ),
    Mutant(
        "one-mask-for-all",
        "masked directories can be written to",
        plan(dropped("mask", where=_at("/one", "/two", "/three"))),
        MOUNTS + "test_masked_directories_share_nothing",
    ),
    Mutant(
        "home-not-set",
        "HOME is set for nobody",
        plan(dropped("home")),
        HOME + "test_home[of the user]",
    ),
    Mutant(
        "keyring-shared",
        "containers share a session keyring",
        plan(dropped("session_keyring")),
        HOME + "test_session_keyring",
    ),
    Mutant(
        "cwd-not-made",
        "a working directory that the image lacks is not made",
        plan(dropped("mkdir", where=_at("/not/yet/there")), changed("chdir", to=lambda values: {"create": 0})),
        HOME + "test_missing_working_directory",
    ),
    Mutant(
        "pid-trusted",
        "whoever has the pid of a container's process is taken for it",
        both(replaced("state:init_alive", _pid_is_enough), replaced("teardown:init_alive", _pid_is_enough)),
        REMAINS + "test_another_process_gets_the_pid",
    ),
    Mutant(
        "frozen-from-above",
        "a container below a frozen cgroup is paused",
        replaced("state:frozen", _frozen_somehow),
        REMAINS + "test_frozen_parent_does_not_pause_the_container",
    ),
    Mutant(
        "sigkill-for-init-only",
        "kill ID KILL ends init alone where the pid namespace is shared",
        replaced("teardown:signal_all", skipped),
        REMAINS + "test_sigkill_ends_all_processes_without_a_pid_namespace",
        REMAINS + "test_delete_removes_processes_that_init_left",
    ),
    Mutant(
        "spec-overwrites",
        "`spec` replaces a config.json that is there",
        replaced("cli.spec:main", _over_the_old_one),
        CALL + "test_spec_spares_a_config_that_is_there",
    ),
    Mutant(
        "log-as-text",
        "--log-format json is ignored",
        replaced("cli.log:Log._record", _as_text),
        CALL + "test_every_line_of_the_log_is_json",
    ),
    Mutant(
        "values-in-messages",
        "messages show the string that is refused",
        replaced("spec.rules:Text.check", _with_the_value),
        CALL + "test_values_of_variables_are_not_logged",
    ),
)
