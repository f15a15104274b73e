"""What a runtime may refuse: a value that it does not support makes create fail (config.md#valid-values)."""

from __future__ import annotations

import pytest

from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Container, Runtime
from seatrial.conformance.driver.execute import tail
from seatrial.conformance.driver.probe import Report, parse
from seatrial.conformance.errors import Finding


def report_or_skip(runtime: Runtime, bundle: Bundle) -> Report:
    """The report of one run.  The case is skipped where a runtime that can run the default bundle refuses this one
    properly: an exit status, no program started, no container left.  Finding when it does anything else."""
    result = runtime.run(bundle, check=False)
    if result.ok:
        return parse(result.stdout, result)
    runtime.prove_sane()
    if result.crashed or result.stdout:
        result.check()
    state = runtime.state(bundle.name)
    if state.ok:
        raise Finding(f"{result.describe()}, but state of {bundle.name} succeeds: {state.stdout}")
    said = tail(result.stderr.strip(), 200)
    pytest.skip(f"refused as unsupported: {said.splitlines()[-1] if said else 'it said nothing'}")


def create_or_skip(runtime: Runtime, bundle: Bundle) -> Container:
    """The created container; the case is skipped as by report_or_skip()."""
    container = runtime.create(bundle, check=False)
    result = container.created
    if result.ok:
        return container
    runtime.prove_sane()
    if result.crashed or runtime.state(container.id).ok:
        result.check()
    said = tail(result.stderr.strip(), 200)
    pytest.skip(f"refused as unsupported: {said.splitlines()[-1] if said else 'it said nothing'}")
