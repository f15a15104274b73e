"""One lane's runtimes: runs configs on all of them, finds what differs, and makes it small."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.fuzz.diff import identity, reduce
from seatrial.fuzz.diff.identity import Difference, Identity
from seatrial.fuzz.diff.judge import judge
from seatrial.fuzz.diff.observe import FLOWS, RUN, Observation, Place
from seatrial.fuzz.diff.paths import Document, features

LOOKS = 3  # times that the default config is run at first
SURE = 3  # times that a known divergence is taken away from a config to see that nothing else is there, then 1 in 10
PATIENCE = 30.0  # seconds for making one config small


class Bench:
    """`compare` is one comparison; `known` are the divergences that were found, by identity."""

    def __init__(self, places: Sequence[Place], base: Document) -> None:
        self.places = places
        self.names = [place.path for place in places]
        self.deadline = float("inf")  # on the monotonic clock
        self.base = base
        self.known: dict[Identity, int] = {}
        self.comparisons = 0
        self.chance = random.Random(1)
        self._plain: dict[str, set[Difference]] = {flow: set() for flow in FLOWS}
        self._unsteady: set[str] = set()

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline

    def sane(self) -> bool:
        """Whether every runtime can run the default config."""
        try:
            for place in self.places:
                place.prove_sane()
        except EnvironmentProblem:
            return False
        return True

    def settle(self) -> list[dict[str, Any]]:
        """Learn what differs without any feature, and what a single runtime does not do the same way twice; the
        divergences of the default config.  EnvironmentProblem when a runtime cannot run it."""
        for place in self.places:
            place.prove_sane()
        seen = {flow: [self.observe(self.base, flow) for _ in range(LOOKS)] for flow in FLOWS}
        for looks in seen.values():
            for one in zip(*looks, strict=True):
                leaves = {leaf for look in one for leaf in look.report}
                self._unsteady |= {leaf for leaf in leaves if len({look.report.get(leaf) for look in one}) > 1}
        found = []
        for flow in FLOWS:
            first, *others = [self.differences(look, flow) for look in seen[flow]]
            self._plain[flow] = {*first, *(one for other in others for one in other)}
            groups = identity.by_area([one for one in first if all(one in other for other in others)]).values()
            new = [group for group in groups if flow == RUN or group[0] not in self._plain[RUN]]
            found += [self._tell(group, self.base, flow, None) for group in new]
        return found

    def compare(self, config: Document, flow: str) -> list[Difference]:
        """What differs, without what differs always."""
        seen = self.observe(config, flow)
        return self.differences(seen, flow)

    def observe(self, config: Document, flow: str) -> list[Observation]:
        self.comparisons += 1
        return [place.observe(config, flow) for place in self.places]

    def differences(self, seen: Sequence[Observation], flow: str) -> list[Difference]:
        found = [one for one in identity.differences(seen) if one.where not in self._unsteady]
        return [one for one in found if one not in self._plain[flow]]

    def examine(self, entry: dict[str, Any]) -> tuple[list[dict[str, Any]], set[str]]:
        """Compare one draw: new divergences, small and judged, and the draw's traits (what it did for the corpus)."""
        config, flow, invalid = entry["config"], entry["flow"], entry["invalid"]
        seen = self.observe(config, flow)
        found = self.differences(seen, flow)
        answers = "/".join(one.answer for one in seen)
        there = features(self.base, config)
        traits = {f"{feature} {answers}" for feature in there}
        new = []
        for area in identity.by_area(found):
            traits.add(f"{area}")
            if self.over():
                break
            left = self._without_known(config, area, flow, there)
            if left is None:
                continue
            told = self._smallest(left, area, flow, invalid)
            if told is not None:
                new.append(told)
        return new, traits

    def _without_known(
        self, config: Document, area: tuple[str, str], flow: str, there: tuple[str, ...]
    ) -> Document | None:
        """The config without the features of divergences that are known; None when nothing differs then."""
        explained = [
            one for one in self.known if _area(one) == area and one.features and set(one.features) <= set(there)
        ]
        if not explained:
            return config
        for one in explained:
            self.known[one] += 1
        if min(self.known[one] for one in explained) > SURE and self.chance.random() > 0.1:
            return None
        gone = {feature for one in explained for feature in one.features}
        rest = reduce.without(config, self.base, gone)
        return rest if area in identity.by_area(self.compare(rest, flow)) else None

    def _smallest(
        self, config: Document, area: tuple[str, str], flow: str, invalid: str | None
    ) -> dict[str, Any] | None:
        """The divergence of an area, in the smallest config; None when it is known, or does not happen again."""
        end = time.monotonic() + PATIENCE

        def holds(candidate: Document) -> bool:
            if self.over() or time.monotonic() > end:
                return False
            return area in identity.by_area(self.compare(candidate, flow))

        if not holds(config):
            return None
        if flow != RUN and not self.over() and area in identity.by_area(self.compare(config, RUN)):
            flow = RUN  # it has nothing to do with the steps: one command is simpler than five, and faster
        small = reduce.reduce(config, self.base, holds)
        group = identity.by_area(self.compare(small, flow)).get(area)
        if group is None:
            return None
        name = identity.identify(group, features(self.base, small))
        if name in self.known:
            self.known[name] += 1
            return None
        return self._tell(group, small, flow, invalid)

    def _tell(self, group: list[Difference], config: Document, flow: str, invalid: str | None) -> dict[str, Any]:
        name = identity.identify(group, features(self.base, config))
        self.known[name] = 1
        if invalid is not None and not concerns(invalid, name.features):
            invalid = None  # what was wrong is gone, and the divergence is not
        seen = self.observe(config, flow)
        answers = [one.answer for one in seen]
        said = [one.said for one in seen] if len(set(answers)) > 1 else []
        return {
            "identity": str(name),
            "kind": name.kind,
            "where": name.where,
            "features": list(name.features),
            "differences": [str(one) for one in group[:12]],
            "verdict": judge(group, config, invalid, self.names, answers),
            "said": said,
            "runtimes": self.names,
            "flow": flow,
            "invalid": invalid,
            "config": config,
        }


def concerns(path: str, names: Sequence[str]) -> bool:
    """Whether one of the features is about the value at a JSON path."""
    wanted = re.sub(r"\[[^]]*\]", "", path).removeprefix("$").strip(".")
    plain = [re.sub(r"\[[^]]*\]", "", name).partition(" ")[0] for name in names]
    return any(name.startswith(wanted) or wanted.startswith(name) for name in plain)


def _area(name: Identity) -> tuple[str, str]:
    if name.kind == identity.REPORT:
        return Difference(name.kind, name.where, ()).area
    return name.kind, name.where
