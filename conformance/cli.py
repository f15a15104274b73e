"""The command line `seatrial`.  Exit status: 0 clean, 1 findings, 2 environment or usage, 3 bug."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

from seatrial.conformance.command import (
    check,
    doctor,
    ledger,
    mask,
    matrix,
    museum,
    replay,
    report,
    sensitivity,
    sweep,
    vm,
)
from seatrial.conformance.errors import EnvironmentProblem, HarnessBug
from seatrial.conformance.verdict import outcome

INTERRUPTED = 130  # as shells report SIGINT
TERMINATED = 143  # and SIGTERM
# In the order of the help text; each imports what it needs when it runs.
COMMANDS = (check, doctor, replay, report, ledger, mask, matrix, museum, sensitivity, sweep, vm)
# Of the package that is built on this one: by name, since imports go one way (tests/unit/test_imports.py).
FUZZ_COMMANDS = tuple(f"seatrial.fuzz.command.{name}" for name in ("fuzz", "soak", "replay"))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="seatrial", description="Put OCI container runtimes through sea trials.")
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for module in (*COMMANDS, *map(importlib.import_module, FUZZ_COMMANDS)):
        module.add(commands)
    return top


class Terminated(BaseException):
    """SIGTERM: like Ctrl-C, the run is ended and everything removed before we go."""


def _terminate(number: int, frame: object) -> None:
    _deaf()
    raise Terminated


def _interrupt(number: int, frame: object) -> None:
    _deaf()
    raise KeyboardInterrupt


def _deaf() -> None:
    """Whoever presses Ctrl-C twice must not spoil the cleaning up: we are on our way, until the very end."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status."""
    options = parser().parse_args(argv)
    if options.version:
        from importlib.metadata import version

        print(f"seatrial {version('seatrial')}")
        return outcome.CLEAN
    if options.command is None:
        parser().print_help()
        return outcome.ENVIRONMENT
    action: Callable[[argparse.Namespace], int] = options.action
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, _terminate)}
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # else a shell has started us with `&`
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
    try:
        return action(options)
    except EnvironmentProblem as error:
        print(f"seatrial: {error}", file=sys.stderr)
        return outcome.ENVIRONMENT
    except HarnessBug as error:
        print(f"seatrial: bug in the harness: {error}", file=sys.stderr)
        return outcome.BUG
    except KeyboardInterrupt:
        print("seatrial: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print("seatrial: terminated", file=sys.stderr)
        return TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return outcome.ENVIRONMENT
    finally:
        if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            for name, handler in previous.items():
                signal.signal(name, handler)


if __name__ == "__main__":
    sys.exit(main())
