"""The operations of a container, one after the other: the program of docs/library.md.

    python docs/examples/tour.py [--root DIR] ROOTFS

Runs bash on a pty in a container with the configuration of container.py and prints what each step shows.  ROOTFS needs
/bin/bash, and user id 100000 must be able to read it.  Needs root.
"""

from __future__ import annotations

import json
import os
import sys

from container import configuration

from seatrial.runtime import Container, Process, Resources
from seatrial.runtime.config import Config

ENVIRONMENT = ["PATH=/usr/local/bin:/usr/bin:/bin", "TERM=dumb", "PS1=$ "]


def read_line(fd: int, end: bytes) -> str:
    """The first line of a terminal's output that ends so."""
    said = b""
    while end not in said:
        said += os.read(fd, 4096)
    return said[: said.index(end)].splitlines()[-1].decode() + end.decode()


def tour(root: str, id: str, config: Config) -> None:
    """Create, run, stats, pause, resume, exec, set, state, destroy."""
    with Container.create(root, id, config) as container:
        try:
            shell = Process(["/bin/bash", "--norc"], env=ENVIRONMENT, terminal=True)
            shell.console_width, shell.console_height = 80, 24
            container.run(shell)
            os.write(shell.master, b"[[ -t 0 ]] && echo terminal, $((6 * 7))\n")
            print("bash said", read_line(shell.master, b", 42"))
            print("status", container.status(), "processes", len(container.processes()))

            used = container.stats()
            print("used some time:", used.cpu.usage.total > 0, "processes:", used.pids.current, "of", used.pids.limit)

            container.pause()
            print("status", container.status())
            container.resume()
            print("status", container.status())

            script = "read line; echo $line from uid $UID; exit 3"
            command = Process(["/bin/bash", "-c", script], env=ENVIRONMENT, uid=7)
            stdin, stdout, stderr = command.pipes()
            container.exec(command)
            os.write(stdin, b"hello\n")
            print("exec said", os.read(stdout, 4096).decode().strip(), "and ended with", command.wait())
            for fd in (stdin, stdout, stderr):
                os.close(fd)

            container.set(Resources(pids_limit=50))
            print("processes:", container.stats().pids.current, "of", container.stats().pids.limit)
            print(json.dumps({name: container.state()[name] for name in ("ociVersion", "id", "status")}))

            os.write(shell.master, b"exit 5\n")
            print("bash ended with", container.wait())
            os.close(shell.master)
        finally:
            container.destroy(force=True)


def main() -> int:
    """The command line."""
    words = sys.argv[1:]
    root = "/run/seatrial"
    if words[:1] == ["--root"]:
        root = words[1]
        words = words[2:]
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 1
    tour(root, f"tour-{os.getpid()}", configuration(os.path.realpath(words[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
