"""Rules for the project's own tests: what needs root is marked, and skipped by name where there is none."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = os.path.dirname(__file__)
    for item in items:
        folder = os.path.relpath(item.path, here).split(os.sep)[0]
        if folder in ("root", "quality"):
            item.add_marker(pytest.mark.root)
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
