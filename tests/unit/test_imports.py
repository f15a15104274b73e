"""Imports go one way: native <- runtime, conformance <- fuzz; vm imports nothing of ours."""

from __future__ import annotations

import ast
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALLOWED = {
    "native": {"native"},
    "runtime": {"runtime", "native"},
    "conformance": {"conformance", "native", "vm"},
    "fuzz": {"fuzz", "conformance", "native", "vm"},
    "vm": {"vm"},
}
# The program of the mutants: a runtime with a bug in it, which the harness starts as a process and never imports.
MUTANT = os.path.join(ROOT, "conformance", "sensitivity", "mutant")
MUTANT_PACKAGE = "seatrial.conformance.sensitivity.mutant"
# Coverage-guided targets for the runtime's own loaders: programs as well, started and never imported.
TARGETS = os.path.join(ROOT, "fuzz", "targets")
TARGETS_PACKAGE = "seatrial.fuzz.targets"
PROGRAMS = {MUTANT: MUTANT_PACKAGE, TARGETS: TARGETS_PACKAGE}
# The one module that may name the package which is built on its own: the command line finds further commands by name.
COMMAND_LINE = os.path.join(ROOT, "conformance", "cli.py")


def imported(source: str, package: str) -> set[str]:
    """The folders of seatrial that a module's source imports, at any depth; `package` resolves relative imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            whole = node.module == "seatrial"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1])
            names = [f"{base}.{node.module}" if node.module else base]
        found |= {name.split(".")[1] for name in names if name.startswith("seatrial.") and "." in name}
    return found


def modules(folder: str) -> list[tuple[str, str]]:
    found = []
    for directory, _, files in os.walk(os.path.join(ROOT, folder)):
        relative = os.path.relpath(directory, ROOT).replace(os.sep, ".")
        found += [(os.path.join(directory, name), f"seatrial.{relative}") for name in files if name.endswith(".py")]
    return sorted(found)


def allowed(folder: str, path: str) -> set[str]:
    """What a file in a folder may import: the programs about the reference runtime may import it too."""
    return ALLOWED[folder] | ({"runtime"} if os.path.dirname(path) in PROGRAMS else set())


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_imports_go_one_way(folder: str) -> None:
    wrong = []
    for path, package in modules(folder):
        with open(path, encoding="utf-8") as file:
            foreign = imported(file.read(), package) - allowed(folder, path)
        wrong += [f"{os.path.relpath(path, ROOT)} imports seatrial.{name}" for name in sorted(foreign)]
    assert wrong == []


@pytest.mark.parametrize(("folder", "exempt"), [("conformance", MUTANT), ("fuzz", TARGETS)])
def test_one_folder_alone_is_exempt(folder: str, exempt: str) -> None:
    found = [path for path, _ in modules(folder) if "runtime" in allowed(folder, path)]
    assert found
    assert {os.path.dirname(path) for path in found} == {exempt}
    assert "runtime" not in allowed(folder, os.path.join(os.path.dirname(exempt), "judge.py"))
    assert "runtime" not in allowed(folder, os.path.join(exempt, "deeper", "module.py"))


@pytest.mark.parametrize(("program", "package"), PROGRAMS.items())
def test_nobody_imports_the_programs(program: str, package: str) -> None:
    """They are started; an import would bring the runtime, and its bugs, into the judging process."""
    for folder in ALLOWED:
        for path, _ in modules(folder):
            with open(path, encoding="utf-8") as file:
                source = file.read()
            assert os.path.dirname(path) == program or package not in source, path


def test_only_the_command_line_names_the_package_above() -> None:
    names = []
    for path, _ in modules("conformance"):
        with open(path, encoding="utf-8") as file:
            found = re.findall(r"seatrial\.fuzz[\w.]*", file.read())
        if path == COMMAND_LINE:
            names = found
        else:
            assert found == [], path
    assert names
    assert all(name.startswith("seatrial.fuzz.command.") for name in names)


def test_the_checker_sees_every_form_of_import() -> None:
    source = (
        "import seatrial.vm.qemu\nfrom seatrial import fuzz\n"
        "def f():\n    from seatrial.conformance.case import covers\n    from .. import x\n"
    )
    assert imported(source, "seatrial.native.deep") == {"vm", "fuzz", "conformance", "native"}


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_package_init_is_nearly_empty(folder: str) -> None:
    limit = 60 if folder == "runtime" else 0
    with open(os.path.join(ROOT, folder, "__init__.py"), encoding="utf-8") as file:
        assert len(file.read().splitlines()) <= limit


def test_no_file_is_a_warehouse() -> None:
    long = []
    for folder in [*ALLOWED, "tests"]:
        for directory, _, files in os.walk(os.path.join(ROOT, folder)):
            for name in files:
                path = os.path.join(directory, name)
                if name.endswith((".py", ".c", ".h")) and "/build" not in directory:
                    with open(path, encoding="utf-8") as file:
                        count = sum(1 for _ in file)
                    if count > 600:
                        long.append(f"{os.path.relpath(path, ROOT)}: {count} lines")
    assert long == []
