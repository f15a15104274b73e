"""Builds for the executor's tests: the shipped program, and the same sources under the sanitizers."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from executor_driver import Drive

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = os.path.join(HERE, "..", "..", "native")
sys.path.insert(0, NATIVE)

import compile as native_programs  # noqa: E402  (native/compile.py)

SANITIZE = ["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def _compile(sources: list[str], output: str, include: str, flags: list[str] = SANITIZE) -> None:
    compiler = shutil.which("gcc") or pytest.skip("needs gcc")
    executor = os.path.join(NATIVE, "executor")
    command = [compiler, *native_programs.WARNINGS, *flags, f"-I{include}", f"-I{executor}", *sources, "-o", output]
    subprocess.run(command, check=True)


@pytest.fixture(scope="session")
def build_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = str(tmp_path_factory.mktemp("executor"))
    native_programs.generate(directory)
    return directory


@pytest.fixture(scope="session")
def decoder(build_directory: str) -> str:
    """decode_main.c: plans on stdin, a verdict a line, under ASan and UBSan."""
    output = os.path.join(build_directory, "decoder")
    sources = [os.path.join(NATIVE, "executor", name) for name in ("decode.c", "text.c")]
    _compile([os.path.join(HERE, "decode_main.c"), *sources], output, build_directory)
    return output


@pytest.fixture(scope="session")
def sanitized(build_directory: str) -> str:
    """The whole executor under ASan and UBSan."""
    output = os.path.join(build_directory, "executor-sanitized")
    _compile(sorted(glob.glob(os.path.join(NATIVE, "executor", "*.c"))), output, build_directory)
    return output


@pytest.fixture(scope="session")
def sanitized_probe(build_directory: str) -> str:
    """The probe under ASan and UBSan."""
    native_programs.syscalls(build_directory, ["gcc"])
    output = os.path.join(build_directory, "probe-sanitized")
    _compile(sorted(glob.glob(os.path.join(NATIVE, "probe", "*.c"))), output, build_directory)
    return output


@pytest.fixture(scope="session")
def static_programs(build_directory: str) -> dict[str, str]:
    native_programs.build(build_directory, include=build_directory)
    return {name: os.path.join(build_directory, f"seatrial-{name}") for name in ("executor", "probe")}


@pytest.fixture(scope="session")
def old_kernel(build_directory: str) -> str:
    output = os.path.join(build_directory, "old-kernel")
    _compile([os.path.join(HERE, "old_kernel.c")], output, build_directory, [])
    return output


@pytest.fixture(scope="session")
def exchange(build_directory: str) -> str:
    output = os.path.join(build_directory, "exchange")
    _compile([os.path.join(HERE, "exchange.c")], output, build_directory, [])
    return output


@pytest.fixture(params=["shipped", "sanitized", "ENOSYS", "EPERM"])
def executor(request: pytest.FixtureRequest, static_programs: dict[str, str]) -> list[str]:
    """The command that runs the executor: the shipped build, the sanitized one, and the shipped one without the system
    calls of the last years, as an old kernel and as an old seccomp profile refuse them."""
    if request.param == "shipped":
        return [static_programs["executor"]]
    if request.param == "sanitized":
        return [request.getfixturevalue("sanitized")]
    number = str(getattr(errno, request.param))
    return [request.getfixturevalue("old_kernel"), number, static_programs["executor"]]


@pytest.fixture(autouse=True)
def no_executor_survives() -> Iterator[None]:
    yield
    while Drive.running:
        Drive.running.pop().kill()


@pytest.fixture
def new_kernel(static_programs: dict[str, str]) -> list[str]:
    """The shipped build alone."""
    return [static_programs["executor"]]


@pytest.fixture
def rootfs(tmp_path: os.PathLike[str], static_programs: dict[str, str]) -> str:
    """A root with the probe and empty directories; mounts in it belong to the container's mount namespace."""
    path = os.path.join(tmp_path, "rootfs")
    for directory in ("bin", "proc", "dev", "sys", "etc", "tmp"):
        os.makedirs(os.path.join(path, directory))
    shutil.copy2(static_programs["probe"], os.path.join(path, "bin", "probe"))
    return path
