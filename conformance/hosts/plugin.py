"""pytest-xdist's workers on other machines: looked at before they start, each in an airlock there.

Registered where the command line has `-d --tx ssh=...`.  The work is spread by pytest-xdist; what is added is that a
machine that cannot take part is refused with a reason, that each worker's interpreter runs in an airlock on its
machine, and that the stamp of the run is that of the machines, which must agree.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import _pytest
import pytest

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.hosts import facts, specs
from seatrial.conformance.hosts.gateway import DEFAULT
from seatrial.conformance.verdict import outcome

NAME = "seatrial-hosts"
PATIENCE = 600.0  # seconds for a machine's answer; one under software emulation on a busy host takes its time
PYTHON = "python3"  # execnet's own default, `python`, is on few machines


class Hosts:
    """The controlling process's view of the machines."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.runtime: str | None = config.getoption("runtime")
        self.stamp: dict[str, Any] | None = None
        self._first = ""
        self._pytests: set[str] = set()  # versions on the machines
        self.workers = 0
        option = config.option
        if getattr(option, "dist", "no") == "each":
            raise pytest.UsageError("--dist each: one run has one environment; run the machines apart (docs/hosts.md)")
        if self.runtime is not None and os.sep in self.runtime and not os.path.isabs(self.runtime):
            raise pytest.UsageError(f"--runtime {self.runtime}: name its absolute path on the machines of --tx")
        params = config.invocation_params
        kept = specs.arguments([str(word) for word in params.args], config.args)
        config.invocation_params = config.InvocationParams(args=kept, plugins=params.plugins, dir=params.dir)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: list[Any]) -> None:
        """Look at each machine once, then have its workers start in an airlock."""
        self.workers = len(specs)
        seen: set[tuple[str, ...]] = set()
        place = None
        for spec in specs:
            spec.python = spec.python or (None if spec.popen else PYTHON)
            plain = spec.python
            if not self.config.getoption("no_airlock"):
                words = [self.config.getoption("cgroup_view"), shlex.quote(self.runtime or DEFAULT)]
                python = plain or shlex.quote(sys.executable)
                spec.python = f"{python} -m seatrial.conformance.hosts.gateway {' '.join(words)}"
            machine = tuple(str(part) for part in (spec.ssh, spec.vagrant_ssh, spec.ssh_config, plain))
            if machine not in seen and not spec.via and not spec.popen:
                seen.add(machine)
                place = self._look_at(spec, plain, place)
            elif spec.via:
                self._pytests.add("unknown")
        nodes = getattr(self.config.pluginmanager.get_plugin("dsession"), "nodemanager", None)
        if nodes is not None and hasattr(nodes, "roots"):
            nodes.roots = to_copy(nodes.roots, self._pytests)

    def stamp_of(self, node: Any) -> dict[str, Any]:
        """The stamp that a worker's machine makes of itself; the run ends when it is not like that of the others."""
        source = f"runtime, profile, masks = {self._parameters()!r}\n" + facts.STAMP
        name = specs.name_of(node.gateway.spec)
        try:
            channel = node.gateway.remote_exec(source)
            told = json.loads(channel.receive(PATIENCE))
            channel.waitclose(PATIENCE)
        except Exception as error:  # as in probe()
            stop(f"{name}: the worker does not start: {error}")
        if "error" in told:
            stop(f"{name}: {told['error']}")
        made: dict[str, Any] = told["stamp"]
        if self.stamp is None:
            self.stamp, self._first = made, name
        elif (differs := facts.difference(self.stamp, made)) is not None:
            stop(f"{name} is not like {self._first}: {differs}; one run has one environment: run them apart")
        return self.stamp

    def _parameters(self) -> tuple[str | None, str, list[str]]:
        option = self.config.getoption
        return self.runtime, option("profile"), list(option("mask"))

    def _look_at(self, spec: Any, plain: str, place: str | None) -> str:
        name = specs.name_of(spec)
        here = {name: version(name) for name in ("seatrial", "pytest-xdist")}
        found = probe(spec, spec.python, self.runtime)
        if found is None:  # why not?
            found = probe(spec, plain, self.runtime)
        elif spec.python != plain:
            plain = spec.python
        if found is None:
            stop(f"{name}: no answer from {plain} over ssh (what ssh said is above)")
        reason = facts.complaint(found, {**here, "sources": facts.sources()}, place)
        if reason is None and plain != spec.python:
            reason = "no airlock can be opened there (what it said is above)"
        if reason is not None:
            stop(f"{name}: {reason}")
        self._pytests.add(str(found.get("pytest")))
        return place or str(found["place"])


def to_copy(roots: Sequence[Path], there: set[str]) -> list[Path]:
    """The directories that pytest-xdist copies to the machines, without pytest where every machine has this one: a
    copy would be compiled there.  `there` are the versions of pytest that the machines have."""
    own = [Path(str(module.__file__)).resolve().parent for module in (pytest, _pytest)]
    return [root for root in roots if root not in own or there != {version("pytest")}]


def probe(spec: Any, python: str, runtime: str | None) -> dict[str, Any] | None:
    """What the machine of a spec tells, over a connection of its own to that python; None without an answer."""
    import execnet

    group = execnet.Group()
    try:
        text = "//".join(f"{key}={value}" for key in KEYS if (value := getattr(spec, key)) is not None)
        channel = group.makegateway(f"{text}//python={python}").remote_exec(f"runtime = {runtime!r}\n{facts.PROBE}")
        return dict(json.loads(channel.receive(PATIENCE)))
    except Exception:  # execnet has no common class; what it raises depends on how the other side ended
        return None
    finally:
        group.terminate(5)


KEYS = ("ssh", "vagrant_ssh", "socket", "ssh_config")


def stop(reason: str) -> NoReturn:
    """End the run: its surroundings are wrong."""
    pytest.exit(reason, returncode=outcome.ENVIRONMENT)


def register(config: pytest.Config) -> None:
    """Add this plugin; pytest.UsageError for options that make no sense with it."""
    try:
        config.pluginmanager.register(Hosts(config), NAME)
    except EnvironmentProblem as error:
        raise pytest.UsageError(str(error)) from error


def of(config: pytest.Config) -> Hosts | None:
    """This plugin, where workers run on other machines."""
    found = config.pluginmanager.get_plugin(NAME)
    return found if isinstance(found, Hosts) else None
