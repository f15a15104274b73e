"""The reference runtime with a planted bug, as a command line of its own.

    python -I -S mutant_runtime.py NAME MARK PLACE SITES ARGUMENTS...

NAME is a mutant of the tables, or "control" for the runtime as it is; MARK the file that `planting.applied` makes;
PLACE the folder that holds the package's folders, SITES the site-packages directories, with ":" between them.  It
starts like the real launcher (runtime/entry/seatrial-runtime), which knows nothing of this.
"""

import os
import sys

CONTROL = "control"


def main() -> int:
    """Plant the bug and run the command line."""
    name, mark, place, sites = sys.argv[1:5]
    del sys.argv[1:5]
    sys.path += sites.split(":")
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    package = type(sys)("seatrial")
    package.__path__ = [place]
    sys.modules["seatrial"] = package

    if name != CONTROL:
        import planting
        from mutants import MUTANTS

        planting.mark_with(mark)
        MUTANTS[name].plant()
    from seatrial.runtime.cli.main import main

    return main()


os._exit(main())
