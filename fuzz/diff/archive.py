"""What a campaign keeps in its directory: where it is, the corpus, and a bundle for each divergence.

campaign.json             seed, runtimes, how many chunks are done
corpus/                   a Hypothesis example database (corpus.py)
divergences/NAME/         config.json, divergence.json, README.txt: what `seatrial replay` runs
"""

from __future__ import annotations

import json
import os
import re
import zlib
from typing import Any

from seatrial.conformance.errors import EnvironmentProblem

DIVERGENCE = "divergence.json"
CAMPAIGN = "campaign.json"


class Archive:
    """A campaign's directory."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.divergences = os.path.join(directory, "divergences")
        self._read: set[str] = set()

    def state(self) -> dict[str, Any]:
        """campaign.json, {} when there is none."""
        try:
            with open(os.path.join(self.directory, CAMPAIGN), encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(f"{self.directory}: cannot read {CAMPAIGN}: {error}") from error
        return found if isinstance(found, dict) else {}

    def keep_state(self, state: dict[str, Any]) -> None:
        """Write campaign.json, whole or not at all."""
        os.makedirs(self.directory, exist_ok=True)
        _write(os.path.join(self.directory, CAMPAIGN), json.dumps(state, indent=1) + "\n")

    def keep(self, divergence: dict[str, Any]) -> str:
        """Save a divergence's bundle and return its directory."""
        directory = os.path.join(self.divergences, slug(divergence["identity"]))
        os.makedirs(directory, exist_ok=True)
        config = json.dumps(divergence["config"], indent=1) + "\n"
        _write(os.path.join(directory, "config.json"), config)
        _write(os.path.join(directory, "README.txt"), describe(divergence) + f"\nseatrial replay {directory}\n")
        kept = {name: value for name, value in divergence.items() if name != "config"}
        _write(os.path.join(directory, DIVERGENCE), json.dumps(kept, indent=1) + "\n")
        return directory

    def fresh(self) -> list[dict[str, Any]]:
        """The divergences that were saved, by whomever, since the last call; without their configs."""
        found = []
        names = sorted(os.listdir(self.divergences)) if os.path.isdir(self.divergences) else []
        for name in names:
            if name not in self._read:
                path = os.path.join(self.divergences, name)
                try:
                    found.append(read(path, config=False))
                except EnvironmentProblem:
                    continue  # it is being written
                self._read.add(name)
        return found


def read(directory: str, config: bool = True) -> dict[str, Any]:
    """A saved divergence; EnvironmentProblem when the directory is none."""
    try:
        with open(os.path.join(directory, DIVERGENCE), encoding="utf-8") as file:
            found = json.load(file)
        if config:
            with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
                found["config"] = json.load(file)
        if not {"identity", "kind", "where", "features", "runtimes", "flow"} <= set(found):
            raise EnvironmentProblem(f"{directory}/{DIVERGENCE} lacks members of a divergence")
    except (OSError, ValueError, TypeError) as error:
        raise EnvironmentProblem(f"{directory} is no saved divergence: {error}") from error
    return dict(found)


def describe(divergence: dict[str, Any]) -> str:
    """A divergence in words."""
    lines = [divergence["identity"], "  " + " / ".join(divergence["runtimes"])]
    lines += [f"  {line}" for line in divergence["differences"][:6]]
    lines += [f"  said: {line}" for line in divergence["said"] if line]
    lines += [f"  {line}" for line in divergence["verdict"]]
    return "\n".join(lines)


def slug(identity: str) -> str:
    """A directory name that is the same for the same identity."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', identity).strip('-')[:70]}-{zlib.crc32(identity.encode()):08x}"


def _write(path: str, text: str) -> None:
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(draft, path)
