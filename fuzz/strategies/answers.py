"""What a runtime says: the documents of `state` and `features`."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from seatrial.fuzz.strategies import filesystem, process, seccomp, text

STATUSES = ("creating", "created", "running", "stopped")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
NAMESPACES = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")
_annotations = st.dictionaries(st.text(text.characters, min_size=1, max_size=12), text.values, max_size=3)


@st.composite
def states(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of runtime.md#state: a pid where the status has a process."""
    status = draw(st.sampled_from(STATUSES))
    state: dict[str, Any] = {"ociVersion": "1.0.2", "id": draw(text.names), "status": status}
    if status in ("created", "running") or (status == "creating" and draw(st.booleans())):
        state["pid"] = draw(st.integers(1, 4194304))
    state["bundle"] = "/" + "/".join(draw(st.lists(text.components, min_size=1, max_size=3)))
    if draw(st.booleans()):
        state["annotations"] = draw(_annotations)
    return state


def _some(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True).map(sorted)


@st.composite
def features(draw: st.DrawFn) -> dict[str, Any]:
    """Documents of features.md: the versions are there, everything else may be missing."""
    minor = draw(st.integers(0, 3))
    document: dict[str, Any] = {"ociVersionMin": "1.0.0", "ociVersionMax": f"1.{minor}.{draw(st.integers(0, 2))}"}
    if draw(st.booleans()):
        document["hooks"] = draw(_some(HOOKS))
    if draw(st.booleans()):
        words = tuple(word for pair in filesystem.PAIRS for word in pair)
        document["mountOptions"] = draw(_some((*words, "bind", "rbind", *filesystem.PROPAGATIONS)))
    linux: dict[str, Any] = {}
    if draw(st.booleans()):
        linux["namespaces"] = draw(_some(NAMESPACES))
    if draw(st.booleans()):
        linux["capabilities"] = draw(_some(process.CAPABILITIES))
    if draw(st.booleans()):
        controllers = ("v1", "v2", "systemd", "systemdUser", "rdma")
        supported = draw(_some(controllers))
        linux["cgroup"] = {name: name in supported for name in controllers}
    if draw(st.booleans()):
        linux["seccomp"] = {
            "enabled": draw(st.booleans()),
            "actions": draw(_some((*seccomp.ACTIONS, "SCMP_ACT_ALLOW"))),
            "operators": draw(_some(seccomp.OPERATORS)),
            "archs": draw(_some(seccomp.ARCHITECTURES)),
            "knownFlags": draw(_some(seccomp.FLAGS)),
        }
    for name in ("apparmor", "selinux", "intelRdt"):
        if draw(st.booleans()):
            linux[name] = {"enabled": draw(st.booleans())}
    if linux:
        document["linux"] = linux
    if draw(st.booleans()):
        document["annotations"] = draw(_annotations)
    return document
