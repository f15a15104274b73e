"""linux.seccomp: profiles that libseccomp can compile and a small program survives."""

from __future__ import annotations

from hypothesis import strategies as st

from seatrial.fuzz.strategies.draft import Document, Draft, Part

# Calls that neither a runtime on its way to execve(2) nor an ordinary program needs; one that does not exist.
CALLS = (
    "acct", "bpf", "delete_module", "init_module", "ioperm", "iopl", "kexec_load", "lookup_dcookie", "nfsservctl",
    "no_such_call", "open_by_handle_at", "perf_event_open", "pivot_root", "process_vm_readv", "quotactl", "reboot",
    "settimeofday", "swapoff", "swapon", "syslog", "userfaultfd", "vhangup",
)  # fmt: skip
ACTIONS = tuple(f"SCMP_ACT_{name}" for name in "ERRNO KILL KILL_PROCESS KILL_THREAD TRAP LOG".split())
OPERATORS = tuple(f"SCMP_CMP_{name}" for name in "EQ NE LT LE GE GT MASKED_EQ".split())
ARCHITECTURES = ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")
FLAGS = ("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC")
_U64 = st.integers(0, 2**64 - 1)


def _conditions(draw: st.DrawFn) -> list[Document]:
    """At most one for each argument: libseccomp takes no two."""
    entries = []
    for index in draw(st.lists(st.integers(0, 5), unique=True, min_size=1, max_size=3)):
        entry: Document = {"index": index, "value": draw(_U64), "op": draw(st.sampled_from(OPERATORS))}
        if entry["op"] == "SCMP_CMP_MASKED_EQ":
            entry["valueTwo"] = draw(_U64) & entry["value"]
        entries.append(entry)
    return entries


def seccomp(draw: st.DrawFn, draft: Draft) -> None:
    """Everything allowed, and rules about calls that nobody misses; no call in two rules, no rule like the default."""
    block: Document = {"defaultAction": draw(st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]))}
    if draw(st.booleans()):
        block["architectures"] = draw(st.lists(st.sampled_from(ARCHITECTURES), unique=True, max_size=3))
    if draw(st.booleans()):
        block["flags"] = draw(st.lists(st.sampled_from(FLAGS), unique=True, max_size=2))
    free = list(CALLS)
    rules = []
    for _ in range(draw(st.integers(0, 3))):
        names = draw(st.lists(st.sampled_from(free), min_size=1, max_size=4, unique=True))
        free = [name for name in free if name not in names]
        action = draw(st.sampled_from([name for name in ACTIONS if name != block["defaultAction"]]))
        rule: Document = {"names": names, "action": action}
        if action == "SCMP_ACT_ERRNO" and draw(st.booleans()):
            rule["errnoRet"] = draw(st.integers(0, 4095))
        if draw(st.booleans()):
            rule["args"] = _conditions(draw)
        rules.append(rule)
    if rules:
        block["syscalls"] = rules
    draft.linux["seccomp"] = block


PARTS: dict[str, Part] = {"seccomp": seccomp}
