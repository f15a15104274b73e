"""What pytest loads with every run, for `pytest --pyargs seatrial.conformance --runtime PATH`.

Pytest reads the options of a conftest.py only below paths that it is given, not below a package.  So this entry point
looks whether one of the arguments is our package; only then it brings the plugin with its options, and the airlock.
Other runs are left as they are.
"""

from __future__ import annotations

from typing import Any

PACKAGE = "seatrial.conformance"


def pytest_load_initial_conftests(early_config: Any, args: list[str]) -> None:
    """Register the plugin when the command line names the package (or, in an xdist worker, the paths do)."""
    if any(name == PACKAGE or name.startswith((PACKAGE + ".", PACKAGE + "/", PACKAGE + "::")) for name in args):
        early_config.pluginmanager.import_plugin("seatrial.conformance.plugin")
        early_config.pluginmanager.import_plugin("seatrial.conformance.engine.pytest_airlock")
