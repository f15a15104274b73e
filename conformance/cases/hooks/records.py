"""One lifecycle with hooks of all six kinds, each of which records its state, its place and its time."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
RUNTIME_NAMESPACE = ("prestart", "createRuntime", "poststart", "poststop")
CONTAINER_NAMESPACE = ("createContainer", "startContainer")
ANNOTATIONS = {"org.example.hooks": "annotated"}


@dataclass(slots=True)
class Records:
    """What the hooks saw: `lines[kind]` in order of their calls; `after_create` and `after_start` are the kinds that
    had run by then; `pid` is the container's pid as the caller sees it; `program` the namespaces of the program."""

    lines: dict[str, list[dict[str, Any]]]
    after_create: list[str]
    after_start: list[str]
    pid: int
    namespaces: dict[str, int]
    bundle: str
    id: str
    marks: str
    rootfs: tuple[int, int]

    def first(self, kind: str) -> dict[str, Any]:
        """The record of the first hook of a kind."""
        assert self.lines[kind], f"the {kind} hook did not run"
        return self.lines[kind][0]

    def state(self, kind: str) -> dict[str, Any]:
        """The state that the first hook of a kind got on its standard input."""
        document = json.loads(self.first(kind)["state"])
        assert isinstance(document, dict)
        return document


_CACHE: dict[str, Records] = {}


def paths(bundle: Bundle, kind: str) -> tuple[str, str]:
    """The record file of a kind: as the hook names it and as we do."""
    if kind == "startContainer":
        return "/hooks", os.path.join(bundle.rootfs, "hooks")
    return bundle.outside("hooks"), bundle.outside("hooks")


def read(bundle: Bundle) -> dict[str, list[dict[str, Any]]]:
    """All records so far, by kind."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for path in (bundle.outside("hooks"), os.path.join(bundle.rootfs, "hooks")):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    entry = json.loads(line)
                    found[entry["hook"]].append(entry)
    return found


def lifecycle(runtime: Runtime, bundle: Bundle) -> Records:
    """Create, start, kill and delete a container with two recording hooks of each kind; once per worker."""
    if runtime.root in _CACHE:
        return _CACHE[runtime.root]
    bundle.config["annotations"] = ANNOTATIONS
    bundle.mount("/mnt", "tmpfs", "tmpfs")
    for kind in KINDS:
        for _ in range(2):
            bundle.hook(kind, "state-to", "--append", paths(bundle, kind)[0], kind)
    bundle.probe("append /marks program -- hold", report=False)
    container = runtime.create(bundle)
    after_create = [kind for kind, lines in read(bundle).items() if lines]
    pid = container.pid
    container.start()
    after_start = [kind for kind, lines in read(bundle).items() if lines]
    container.wait_output('"verb":"hold"')
    names = os.listdir(f"/proc/{pid}/ns")
    namespaces = {name: os.stat(f"/proc/{pid}/ns/{name}").st_ino for name in names}
    root = os.stat(f"/proc/{pid}/root")
    container.kill("KILL")
    container.wait_status("stopped")
    container.delete()
    with open(os.path.join(bundle.rootfs, "marks"), encoding="utf-8") as file:
        marks = file.read()
    _CACHE[runtime.root] = Records(
        read(bundle),
        after_create,
        after_start,
        pid,
        namespaces,
        bundle.path,
        container.id,
        marks,
        (root.st_dev, root.st_ino),
    )
    return _CACHE[runtime.root]
