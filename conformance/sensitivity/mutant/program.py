"""The reference runtime with planted bugs, or with a recorder, as a command line of its own.

    python -I -S program.py run MUTATIONS MARK PLACE SITES ARGUMENTS...     with MUTATIONS (";" between them; "": none)
    python -I -S program.py record LOG STEPS PLACE SITES ARGUMENTS...       writes down what is exercised (recording.py)
    python -I -S program.py steps - - PLACE SITES                           prints the steps of the parent as JSON

MARK is the file that appears when a mutation has changed something; PLACE the folder that holds the package's folders,
SITES the site-packages directories, with ":" between them.  It starts like the runtime's real launcher, which knows
nothing of this; the harness only ever starts it as a process.
"""

import gc
import os
import sys

PLANTING = "seatrial.conformance.sensitivity.mutant.planting"


def main() -> int:
    """Prepare this process as asked and run the runtime's command line."""
    gc.disable()
    mode, first, second, place, sites = sys.argv[1:6]
    del sys.argv[1:6]
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
    sys.path += sites.split(":")
    package = type(sys)("seatrial")
    package.__path__ = [place]
    sys.modules["seatrial"] = package
    from seatrial.runtime.bundle import Finder

    class Importer(Finder):
        """Imports as the launcher does, and tells of each module.  Never refreshed: that is the launcher's business."""

        def exec_module(self, module):  # type: ignore[no-untyped-def]
            super().exec_module(module)
            tell(module.__name__)

    def tell(name: str) -> None:
        planting = sys.modules.get(PLANTING)
        if planting is not None:
            planting.imported(name)

    finder = Importer(place)
    finder.open()
    sys.meta_path.insert(0, finder)

    if mode == "steps":
        import json

        from seatrial.conformance.sensitivity.mutant.steps import find

        print(json.dumps(find(place)))
        sys.stdout.flush()
        return 0
    from seatrial.runtime.cli import main as command_line

    verb = next((word for word in sys.argv[1:] if word in command_line.VERBS), "")
    if mode == "record":
        return _record(first, place, verb)
    if first:
        from seatrial.conformance.sensitivity.mutant.planting import later, plant

        plant(first.split(";"), second, verb)
        for name in list(later):
            if not finder.fresh(name):  # a changed source is imported in the ordinary way, of which nobody tells
                __import__(name)
                tell(name)
    return command_line.main()


def _record(log: str, place: str, verb: str) -> int:
    from seatrial.conformance.sensitivity.mutant.recording import Recorder
    from seatrial.runtime.cli import main as command_line

    recorder = Recorder(log, place, verb)
    recorder.listen()
    status = command_line.main()
    sys.setprofile(None)
    if verb:
        recorder.write("status", verb, status)
    return status


if __name__ == "__main__":
    os._exit(main())
