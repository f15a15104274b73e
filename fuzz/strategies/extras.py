"""Hooks, annotations, the personality, and members for hardware that not every host has."""

from __future__ import annotations

from hypothesis import strategies as st

from seatrial.fuzz.strategies import text
from seatrial.fuzz.strategies.draft import Document, Draft, Part

# startContainer runs in the container, where this program need not be.
HOOKS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
PROGRAM = "/bin/true"


def notes(draw: st.DrawFn, draft: Draft) -> None:
    """Any text; the key is not empty.  The prefix keeps it out of what engines and runtimes give a meaning to."""
    keys = st.text(text.characters, min_size=1, max_size=12).map("org.example.".__add__)
    draft.config["annotations"] = draw(st.dictionaries(keys, text.values, min_size=1, max_size=3))


def hooks(draw: st.DrawFn, draft: Draft) -> None:
    """Programs of the host that succeed."""
    block: dict[str, list[Document]] = {}
    for kind in draw(st.lists(st.sampled_from(HOOKS), min_size=1, max_size=3, unique=True)):
        entry: Document = {"path": PROGRAM}
        if draw(st.booleans()):
            entry["args"] = ["true", *draw(st.lists(text.values, max_size=2))]
        if draw(st.booleans()):
            entry["env"] = [f"{name}={draw(text.values)}" for name in draw(st.lists(text.variables, max_size=2))]
        if draw(st.booleans()):
            entry["timeout"] = draw(st.integers(60, 3600))
        block[kind] = [entry]
    draft.config["hooks"] = block


def personality(draw: st.DrawFn, draft: Draft) -> None:
    """The two of the specification."""
    draft.linux["personality"] = {"domain": draw(st.sampled_from(["LINUX", "LINUX32"]))}


def memory_policy(draw: st.DrawFn, draft: Draft) -> None:
    """set_mempolicy(2) with node 0."""
    mode = draw(st.sampled_from(["MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE"]))
    block: Document = {"mode": mode}
    if mode not in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        block["nodes"] = "0"
        if draw(st.booleans()):
            block["flags"] = [draw(st.sampled_from(["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]))]
    draft.linux["memoryPolicy"] = block


def intel_rdt(draw: st.DrawFn, draft: Draft) -> None:
    """A class of service of resctrl."""
    block: Document = {"closID": draw(text.names)}
    if draw(st.booleans()):
        block["memBwSchema"] = f"MB:0={draw(st.integers(10, 100))}"
    if draw(st.booleans()):
        block["l3CacheSchema"] = f"L3:0={draw(st.integers(1, 0xFFFFF)):x}"
    if draw(st.booleans()):
        block["enableMonitoring"] = draw(st.booleans())
    draft.linux["intelRdt"] = block


PARTS: dict[str, Part] = {"annotations": notes, "hooks": hooks, "personality": personality}
HOST_PARTS: dict[str, Part] = {"memoryPolicy": memory_policy, "intelRdt": intel_rdt}
