"""What a matrix is to do, as a file beside its results: `--resume` goes on with exactly that."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from seatrial.conformance.engine.collect import Case, collect
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.matrix.axes import Cell
from seatrial.conformance.matrix.binary import Binary, examine
from seatrial.conformance.matrix.split import deal

FILE = "matrix.json"
FORMAT = 1
DAY = 86400


@dataclass(frozen=True, slots=True)
class Plan:
    """`cells` in the order of the axes.  With `spread` N each machine's share is one of N parts of the cases, a
    different one from (kernel, cgroup mode, mask) to the next, shifted by `round`; all runtimes get the same there.
    `criu` is the path of the one to use in place of the image's.  `digests` are those of the runtimes, and of the criu,
    that are files of this host; `timeout` and `silence` are in seconds, `memory` in MiB."""

    cells: tuple[Cell, ...]
    profile: str = "spec"
    keyword: str | None = None
    shard: str | None = None
    spread: int = 1
    round: int = 0
    timeout: float = 60.0
    silence: float = 420.0
    memory: int = 2048
    expect: tuple[str, ...] = ()
    digests: Mapping[str, str] | None = None
    criu: str | None = None

    def cases(self) -> dict[Cell, list[Case]]:
        """The cases of each cell; EnvironmentProblem when nothing matches the selection."""
        found = collect(self.profile, self.keyword, self.shard)
        if not found:
            raise EnvironmentProblem("no case matches the selection")
        if self.spread == 1:
            return {cell: list(found) for cell in self.cells}
        hands = deal(found, self.spread)
        places = dict.fromkeys((cell.kernel, cell.cgroup, cell.mask) for cell in self.cells)
        number = {place: index for index, place in enumerate(places)}
        first = self.round * stride(len(places), self.spread)
        return {cell: hands[(first + number[cell.kernel, cell.cgroup, cell.mask]) % self.spread] for cell in self.cells}

    def files(self) -> list[str]:
        """The paths of what goes into machines from this host."""
        paths = {cell.runtime for cell in self.cells if os.sep in cell.runtime}
        return sorted(paths | ({self.criu} if self.criu else set()))

    def binaries(self) -> dict[str, Binary]:
        """The runtimes, and the criu, that are files of this host, by path; EnvironmentProblem when one is not what it
        was."""
        found = {path: examine(path) for path in self.files()}
        for path, binary in found.items():
            if self.digests is not None and self.digests.get(path) not in (None, binary.digest):
                raise EnvironmentProblem(f"{path} is another binary than when this matrix began")
        return found

    def store(self, directory: str) -> None:
        """Write the plan beside its results; EnvironmentProblem when there is one already, or it cannot be done."""
        path = os.path.join(directory, FILE)
        try:
            os.makedirs(directory, exist_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                json.dump({"format": FORMAT, **asdict(self)}, file, indent=1)
        except FileExistsError:
            raise EnvironmentProblem(
                f"{directory} has a matrix already: --resume goes on with it, --directory names another place"
            ) from None
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror}") from error


def stride(places: int, parts: int) -> int:
    """By how many parts a round shifts: about as many as a round takes, and such that each place meets every part in
    so many rounds as there are parts."""
    return next(step for step in range(places, places + parts) if math.gcd(step, parts) == 1)


def load(directory: str) -> Plan:
    """The plan of a directory; EnvironmentProblem when there is none."""
    path = os.path.join(directory, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            members = json.load(file)
        if members.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        cells = tuple(Cell(**one) for one in members.pop("cells"))
        return replace(Plan(cells, **members), expect=tuple(members["expect"]))
    except OSError as error:
        raise EnvironmentProblem(f"no matrix to resume in {directory}: {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EnvironmentProblem(f"{path}: not the plan of a matrix: {error}") from error


def differences(kept: Plan, asked: Plan, given: Sequence[str]) -> list[str]:
    """Which of the members `given` on the command line are not those of the kept plan."""
    return [name for name in given if getattr(kept, name) != getattr(asked, name)]


def today() -> int:
    """The number of the day: as a round, one day's matrix goes on where that of the day before ended."""
    return int(time.time() // DAY)
