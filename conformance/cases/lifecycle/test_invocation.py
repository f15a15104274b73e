"""How the runtime is called: logs, standard streams, descriptors, and what it says of itself.  The runtime-spec is
silent; engines rely on it."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from seatrial.conformance.case import covers, needs, profile
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.probe import parse

pytestmark = profile("runc-compat")


def wrapped(runtime: Runtime, bundle: Bundle, redirections: str, prefix: str = "") -> Runtime:
    """The same runtime, called by a shell with these redirections."""
    path = bundle.outside("wrapper")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n{prefix} exec "{runtime.path}" "$@" {redirections}\n')
    os.chmod(path, 0o755)
    changed = copy.copy(runtime)
    changed.path = path
    return changed


@covers("runtime/create/8")
def test_closed_standard_streams(runtime: Runtime, bundle: Bundle) -> None:
    """A caller without standard streams gets its container all the same (crun 1.21)."""
    bundle.probe("write /mark x", report=False)
    result = wrapped(runtime, bundle, "<&- >&- 2>&-").run(bundle, check=False)
    assert result.ok, result.describe()
    assert os.path.exists(os.path.join(bundle.rootfs, "mark"))


@covers("runtime-linux/file-descriptors/2")
def test_sockets_of_activation(runtime: Runtime, bundle: Bundle) -> None:
    """LISTEN_FDS: five descriptors from 3 on reach the program (sd_listen_fds(3), runc 3494)."""
    redirections = " ".join(f"{number}<{bundle.outside('config.json')}" for number in range(3, 8))
    caller = wrapped(runtime, bundle, redirections, "LISTEN_FDS=5 LISTEN_PID=$$; export LISTEN_FDS LISTEN_PID;")
    result = caller.run(bundle)
    found = parse(result.stdout, result)
    assert sorted(entry["fd"] for entry in found["fds"]) == list(range(8))
    assert found.env.get("LISTEN_FDS") == "5"
    assert found.env.get("LISTEN_PID") == str(found["pid"])


@needs("tty")
@covers("runtime/kill/5")
def test_no_signals_of_the_runtimes_own(runtime: Runtime, bundle: Bundle) -> None:
    """While `run` waits, the program gets no signal that nobody has sent (runc 3368: SIGURG; crun 1.21: SIGWINCH)."""
    result = runtime.run(bundle.probe("signal-log 0.15 --until none", report=False))
    assert '"ready"' in result.stdout
    assert '"verb":"signal",' not in result.stdout.replace(" ", "")


@covers("runtime/errors/1")
def test_values_of_variables_are_not_logged(runtime: Runtime, bundle: Bundle) -> None:
    """An environment that is refused does not show up in messages: it may hold passwords (runc 3879)."""
    runtime.prove_sane()
    bundle.process["env"] = ["PATH=/bin", "PASSWORD=tops3cret\0rest", "=tops3cret"]
    log = bundle.outside("log")
    bundle.write()
    words = ("--log", log, "--log-format", "json", "create", "--bundle", bundle.path, bundle.name)
    result = runtime.command(*words)
    assert not result.crashed, result.describe()
    text = ""
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            text = file.read()
    assert "tops3cret" not in result.stdout + result.stderr + text
    if result.ok:
        runtime.command("delete", "--force", bundle.name).check()


@covers("runtime/warnings/1")
def test_every_line_of_the_log_is_json(runtime: Runtime, bundle: Bundle) -> None:
    """With --debug, --log and --log-format json all commands write whole objects, one a line (runc 3120)."""
    log = bundle.outside("log")
    bundle.probe("hold", report=False).write()
    options = ("--debug", "--log", log, "--log-format", "json")
    runtime.command(*options, "create", "--bundle", bundle.path, bundle.name).check()
    runtime.command(*options, "start", bundle.name).check()
    runtime.command(*options, "exec", bundle.name, "/probe", "exit", "0")
    runtime.command(*options, "exec", bundle.name, "/no/such/program")
    runtime.command(*options, "delete", "--force", bundle.name).check()
    with open(log, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert lines
    for line in lines:
        assert {"level", "msg", "time"} <= set(json.loads(line)), line


@needs("command:spec")
@covers("bundle/container-format/1")
def test_spec_spares_a_config_that_is_there(runtime: Runtime, bundle: Bundle) -> None:
    """`spec` makes a config.json where --bundle says, and a second time it is an error (youki 3555, 3543)."""
    place = bundle.outside("generated")
    os.mkdir(place)
    runtime.command("spec", "--bundle", place, root=False).check()
    path = os.path.join(place, "config.json")
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n")
    before = os.stat(path)
    again = runtime.command("spec", "--bundle", place, root=False)
    assert not again.ok, again.describe()
    assert os.stat(path).st_size == before.st_size


def texts(value: Any) -> list[str]:
    """All strings of a document, keys included."""
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@needs("features")
@covers("features/features-structure/1")
def test_features_has_no_control_characters(runtime: Runtime) -> None:
    """Versions and names in `features` are single lines (runc 5329)."""
    assert [text for text in texts(runtime.features()) if not text.isprintable()] == []


@needs("command:list")
@covers("runtime/state/1")
def test_list_survives_a_foreign_directory(runtime: Runtime, bundle: Bundle) -> None:
    """An entry below --root that is no container's, as one that is just being made or removed, does not keep `list`
    from showing the others (runc 4735)."""
    container = runtime.create(bundle.probe("hold", report=False))
    os.mkdir(os.path.join(runtime.root, "foreign"))
    try:
        result = runtime.command("list", "--quiet")
    finally:
        os.rmdir(os.path.join(runtime.root, "foreign"))
    assert result.ok, result.describe()
    assert container.id in result.stdout.split()
