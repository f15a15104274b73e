"""`seatrial vm`: disposable machines by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from seatrial.conformance.command.arguments import positive, seconds
from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

if TYPE_CHECKING:
    from seatrial.vm.machine import Blueprint, Pool

DAY = 86400


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("vm", help="boot a disposable machine and run commands in it")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    kernels = verbs.add_parser("kernels", help="list the kernels that can be had by name")
    kernels.set_defaults(action=guarded(_kernels))

    build = verbs.add_parser("build", help="fetch the kernel and make the image, so that later runs start at once")
    _describe(build)
    build.add_argument("--format", choices=("machine", "box"), default="machine", help="box: one for Vagrant's libvirt")
    build.add_argument("--output", metavar="FILE", help="where the box is written (default: it stays in the cache)")
    build.set_defaults(action=guarded(_build))

    run = verbs.add_parser("run", help="run one command in a fresh machine")
    _describe(run)
    add_argument = run.add_argument
    add_argument("--timeout", type=seconds, metavar="SECONDS", help="kill the command after so long")
    add_argument("--copy", action="append", default=[], type=_pair, metavar="FROM:TO", help="copy into the machine")
    add_argument("--get", action="append", default=[], type=_pair, metavar="FROM:TO", help="copy out of it at the end")
    add_argument("argv", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    run.set_defaults(action=guarded(_run))

    shell = verbs.add_parser("shell", help="a shell in a fresh machine")
    _describe(shell)
    shell.set_defaults(action=guarded(_shell))

    remove = verbs.add_parser("rm", help="remove entries of the cache; without names, list them")
    remove.add_argument("names", nargs="*", metavar="KIND/NAME")
    remove.set_defaults(action=guarded(_remove))

    collect = verbs.add_parser("gc", help="remove what was not used for some time, and what died processes left")
    collect.add_argument("--days", type=positive, default=30, metavar="N", help="keep what was used since (default 30)")
    collect.set_defaults(action=guarded(_collect))


def guarded(action: object) -> object:
    """An action whose machine errors become this command's own."""

    def run(options: argparse.Namespace) -> int:
        from seatrial.vm.errors import MachineError

        try:
            return int(action(options))  # type: ignore[operator]
        except MachineError as error:
            raise EnvironmentProblem(str(error)) from error

    return run


def _describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    kernel = "debian:6.1, debian:6.1-cloud, 6.1 (the cloud flavour) or path:FILE (default: 6.1)"
    add("--kernel", default="6.1", metavar="NAME", help=kernel)
    add("--cgroup", default="v2", metavar="MODE", help="v1, hybrid or v2 (default: v2)")
    add("--image", metavar="RELEASE", help="the release that the image is made of (default: bookworm)")
    add("--memory", type=positive, default=1024, metavar="MIB", help="(default: 1024)")
    add("--driver", default="qemu", metavar="NAME", help="qemu, vagrant or fake (default: qemu)")
    add("--lock", metavar="FILE", help="pin kernel packages by this file; what it lacks is added")
    add("--cold", action="store_true", help="boot, and neither use nor make a template of a warm machine")
    add("--seatrial", action="store_true", help="with this seatrial and seatrial-runtime in the machine")


def _pair(text: str) -> tuple[str, str]:
    source, colon, target = text.partition(":")
    if not colon or not source or not target:
        raise argparse.ArgumentTypeError(f"{text}: expected FROM:TO")
    return source, target


def _blueprint(options: argparse.Namespace) -> Blueprint:
    from seatrial.vm.machine import Blueprint

    layers, setup, warm = {}, "", ""
    image = options.image or "bookworm"
    if options.seatrial:
        from seatrial.conformance import machines

        layers, image = {"harness": machines.layer()}, options.image or machines.image()
        setup, warm = machines.setup(), machines.warm()
    return Blueprint(
        kernel=options.kernel,
        cgroup=options.cgroup,
        image=image,
        memory=options.memory,
        layers=layers,
        setup=setup,
        warm=warm,
        snapshot=not options.cold,
    )


def _pool(options: argparse.Namespace) -> Pool:
    from seatrial.vm.machine import pool

    if options.driver not in ("qemu", "vagrant"):
        return pool(options.driver)
    from seatrial.vm.kernel.lock import Lock

    lock = Lock(options.lock) if options.lock else None
    if options.driver == "vagrant":
        return pool("vagrant", templates=False, lock=lock)  # they would not outlast this command
    return pool("qemu", keep=True, lock=lock)


def _kernels(_options: argparse.Namespace) -> int:
    from seatrial.vm.kernel.kernel import available

    for name, package in available().items():
        print(f"{name:<24} {package}")
    return outcome.CLEAN


def _build(options: argparse.Namespace) -> int:
    if options.format == "box":
        return _build_box(options)
    if options.output:
        raise EnvironmentProblem("--output: only a box is written to a file (--format box)")
    with _pool(options) as machines:
        for line in machines.prepare(_blueprint(options)):
            print(line)
    return outcome.CLEAN


def _build_box(options: argparse.Namespace) -> int:
    import shutil

    from seatrial.vm.kernel.lock import Lock
    from seatrial.vm.vagrant import box

    if options.seatrial:
        raise EnvironmentProblem("--seatrial: a box holds packages alone; `vm run --driver vagrant` brings it along")
    name, path = box.build(_blueprint(options), Lock(options.lock) if options.lock else None)
    if options.output:
        try:
            shutil.copyfile(path, options.output)
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {options.output}: {error.strerror}") from error
        path = options.output
    print(f"box        {name}  {path}")
    print(f"           vagrant box add --name {name} {path}")
    return outcome.CLEAN


def _run(options: argparse.Namespace) -> int:
    from seatrial.vm import interactive

    argv = options.argv[1:] if options.argv[0] == "--" else options.argv
    try:
        with _pool(options) as machines, machines.boot(_blueprint(options)) as machine:
            _copy(machine.copy_in, options.copy)
            status = interactive.run(machine, argv, timeout=options.timeout)
            _copy(machine.copy_out, options.get)
            return status
    except TimeoutError as error:
        print(f"seatrial: {error}", file=sys.stderr)
        return 124  # as timeout(1)
    except FileNotFoundError as error:
        print(f"seatrial: {error.filename}: {error.strerror}", file=sys.stderr)
        return 127  # as shells
    except OSError as error:
        print(f"seatrial: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 126


def _copy(copy: Callable[[str, str], None], pairs: Sequence[tuple[str, str]]) -> None:
    for source, target in pairs:
        try:
            copy(source, target)
        except OSError as error:
            raise EnvironmentProblem(f"cannot copy {source} to {target}: {error.strerror or error}") from error


def _shell(options: argparse.Namespace) -> int:
    from seatrial.vm import interactive

    with _pool(options) as machines, machines.boot(_blueprint(options)) as machine:
        return interactive.run(machine, ["/bin/bash", "-l"], terminal=True)


def _remove(options: argparse.Namespace) -> int:
    from seatrial.vm import cache

    sizes = cache.sizes()
    for name in options.names:
        if name not in sizes:
            raise EnvironmentProblem(f"{name} is not in the cache: seatrial vm rm lists what is")
        if not cache.remove(name):
            raise EnvironmentProblem(f"{name} is in use")
    if not options.names:
        for name, size in sizes.items():
            print(f"{size / 1e6:8.1f} MB  {name}")
    return outcome.CLEAN


def _collect(options: argparse.Namespace) -> int:
    from seatrial.vm import cache
    from seatrial.vm.vagrant import environment

    for name in environment.sweep():
        print(f"removed {name} and its machine")
    for name, size in cache.collect(options.days * DAY):
        print(f"removed {name} ({size / 1e6:.1f} MB)")
    return outcome.CLEAN
