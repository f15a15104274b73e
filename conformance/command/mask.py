"""`seatrial mask`: run a command as if the kernel were another one."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from seatrial.conformance.errors import EnvironmentProblem
from seatrial.conformance.verdict import outcome

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells answer


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "mask",
        help="run a command as if the kernel were another one",
        usage="seatrial mask NAME... -- COMMAND [ARGUMENT]...\n       seatrial mask --list",
        description="A seccomp filter makes system calls and flags fail as they do on another kernel.",
        epilog="The status is the command's; 126 and 127 as in a shell; 2 for an unknown mask.",
    )
    parser.add_argument("--list", action="store_true", help="print the masks and what each does")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME... -- COMMAND", help=argparse.SUPPRESS)
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """Load the filter and become the command."""
    from seatrial.conformance.mask.install import install
    from seatrial.conformance.mask.names import resolve_all

    if options.list:
        return _list()
    names, dashes, command = _split(options.words)
    if not names or not dashes or not command:
        raise EnvironmentProblem("usage: seatrial mask NAME... -- COMMAND [ARGUMENT]...; seatrial mask --list")
    install(resolve_all(names))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and ignored signals stay so across execve(2)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        print(f"seatrial mask: {command[0]}: not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"seatrial mask: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE


def _split(words: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in words:
        return words, False, []
    at = words.index("--")
    return words[:at], True, words[at + 1 :]


def _list() -> int:
    from seatrial.conformance.mask.names import features, profiles, resolve

    for name in [*profiles(), *features()]:
        mask = resolve(name)
        print(f"{name:<24} {mask.about}")
        for rule in mask.rules if mask.version is None else ():
            print(f"{'':<24}   {rule}")
    print("\nEvery release from linux-4.18 to this kernel's is a profile, not only those above.")
    print(f"`seatrial check --mask all` takes the {len(features())} single features, one after another.")
    return outcome.CLEAN
