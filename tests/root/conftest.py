"""Bundles around the probe, and the runtime's command line in a root of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from bundles import Bundle, CommandLine
from reachable import reachable_directory
from v2_view import V2CommandLine


@pytest.fixture
def bundle() -> Iterator[Bundle]:
    """A bundle that holds until it is told to end."""
    with reachable_directory() as directory:
        yield Bundle(os.path.join(directory, "bundle")).write()


@pytest.fixture
def cli(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line; afterwards nothing may be left that was made below its root.  The bundle outlives it."""
    line = CommandLine(str(tmp_path_factory.mktemp("s") / "root"))
    yield line
    left = os.listdir(line.root) if os.path.isdir(line.root) else []
    for id in left:
        if id != ".cache":
            line("delete", "--force", id)
    assert not os.path.isdir(line.root) or set(os.listdir(line.root)) <= {".cache"}


@pytest.fixture
def v2(tmp_path: os.PathLike[str]) -> Iterator[V2CommandLine]:
    """The command line where only the v2 hierarchy is to be seen."""
    line = V2CommandLine(os.path.join(tmp_path, "root"))
    yield line
    for id in os.listdir(line.root) if os.path.isdir(line.root) else []:
        line("delete", "--force", id)
