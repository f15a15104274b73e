"""In which order cases are asked about a mutant: those first that are likely to notice."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}")
# What a mutant's word is called in the names of cases.
_ALIASES = {
    "pid": "process", "env": "environment", "cwd": "chdir", "uid": "user", "gid": "user", "group": "user",
    "identity": "user", "capset": "capabilit", "bounding": "capabilit", "ambient": "capabilit",
    "permitted": "capabilit", "effective": "capabilit",
    "inheritable": "capabilit", "capabilitie": "capabilit", "capability": "capabilit",
    "keep": "capabilit", "rlimit": "limit", "setn": "namespace", "clone": "namespace", "unshare": "namespace",
    "privs": "privilege", "priv": "privilege", "stdio": "stream", "stream": "stdio", "session_keyring": "keyring",
    "readonly": "path", "mask": "path", "mknod": "device", "symlink": "link", "propagate": "propagation",
    "chdir": "cwd", "home": "env", "environment": "env", "idmap": "mapping", "console": "terminal",
    "terminal": "console", "arg": "program", "find": "program", "sysctl": "sysctl", "sched": "scheduler",
    "cpus": "cpuset", "freeze": "pause", "freezer": "pause", "thaw": "resume", "signal": "kill", "map": "mapping",
    "network": "net", "device": "dev", "poststop": "hook", "hook": "poststop", "seccomp": "filter", "save": "state",
    "validate": "refuse", "check": "refuse", "fd": "descriptor", "join": "placement", "entry": "placement",
}  # fmt: skip


def words(text: str) -> set[str]:
    """The words in a name, in lower case, without a plural's s."""
    found = {word.lower().removesuffix("s") for word in _WORD.findall(text)}
    return found | {_ALIASES[word] for word in found if word in _ALIASES}


def subject(mutation: str) -> str:
    """What a mutation is about, without how: its operation, its step, its verb."""
    return re.split(r"[.\[/,]", mutation.split("/", 2)[-1] if mutation.startswith("plan/") else mutation)[0]


class Chooser:
    """Knows the cases' names and, as the campaign goes on, which case noticed what."""

    def __init__(self, cases: Iterable[str], points: dict[str, list[str]], seconds: dict[str, float]) -> None:
        self.words = {case: words(case) for case in cases}
        counts = Counter(word for found in self.words.values() for word in found)
        self.weight = {word: math.log(1 + len(self.words) / count) for word, count in counts.items()}
        self.breadth = {case: len(points[case]) for case in self.words}
        self.seconds = seconds
        self.killers: dict[str, Counter[str]] = defaultdict(Counter)
        self.all_killers: Counter[str] = Counter()

    def learn(self, mutation: str, case: str) -> None:
        """That this case noticed this mutation."""
        self.killers[subject(mutation)][case] += 1
        self.all_killers[case] += 1

    def order(self, mutation: str, cases: Iterable[str]) -> list[str]:
        """The cases, the likeliest first: by common words, by what they noticed before, then few of each test."""
        wanted = words(mutation)
        known = self.killers[subject(mutation)]

        def score(case: str) -> float:
            common = sum(self.weight[word] for word in wanted & self.words[case])
            slow = min(self.seconds.get(case, 1.0), 20.0) / 10
            if mutation.startswith("plan/exec/") and case.startswith("exec/"):
                common += 3
            return common + 3 * math.log1p(known[case]) + math.log1p(self.all_killers[case]) / 2 - slow

        ranked = sorted(cases, key=lambda case: (-score(case), self.breadth[case], case))
        seen: Counter[str] = Counter()
        rounds: list[tuple[int, int, str]] = []
        for index, case in enumerate(ranked):
            test = case.partition("[")[0]
            rounds.append((seen[test] // 2, index, case))  # two of a test's parameters, then other tests
            seen[test] += 1
        return [case for _, _, case in sorted(rounds)]
