"""features.md and features-linux.md: what the Features structure has to look like."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from seatrial.conformance.case import covers, needs
from seatrial.conformance.cases.features.members import MEMBERS, SEMVER, Member, find, precedence, walk
from seatrial.conformance.driver.bundle import Bundle
from seatrial.conformance.driver.driver import Runtime
from seatrial.conformance.driver.execute import Result, execute
from seatrial.conformance.engine.checks import accepted
from seatrial.conformance.ledger import ledger

pytestmark = needs("features")
Features = dict[str, Any]
REQUIRED = {"ociVersionMin": "1", "ociVersionMax": "3"}
VERSION = "features/specification-version/"


@covers("features/features-structure/1")
def test_is_one_object(runtime: Runtime) -> None:
    """features prints one JSON object and succeeds (features.md#features-structure)."""
    result = runtime.command("features", root=False).check()
    assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("member", [pytest.param(row, id=row.path, marks=covers(*row.rows)) for row in MEMBERS])
@covers("features/features-structure/3")
def test_member_is_of_its_kind(features: Features, member: Member) -> None:
    """A member has the schema's type and constants, or is absent or null (features.md, features-linux.md)."""
    value = find(features, member.path)
    if member.path in REQUIRED:
        assert value is not None
    assert value is None or member.check(value), f"{member.path} is {value!r}"


@pytest.mark.parametrize(
    "member", [pytest.param(name, marks=covers(VERSION + row), id=name) for name, row in REQUIRED.items()]
)
def test_version_is_there(features: Features, member: str) -> None:
    """Both versions are required, and SemVer (features.md#specification-version)."""
    assert SEMVER.fullmatch(features[member])


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("ociVersionMin", marks=covers(VERSION + "2"), id="ociVersionMin"),
        pytest.param("ociVersionMax", marks=covers(VERSION + "4"), id="ociVersionMax"),
    ],
)
def test_version_is_accepted(runtime: Runtime, bundle: Bundle, features: Features, member: str) -> None:
    """A config with that ociVersion works (features.md#specification-version)."""
    bundle.config["ociVersion"] = features[member]
    accepted(runtime, bundle)


@covers(VERSION + "5")
def test_versions_are_in_order(features: Features) -> None:
    """The maximum is not below the minimum (features.md#specification-version)."""
    assert precedence(features["ociVersionMax"]) >= precedence(features["ociVersionMin"])


@covers(VERSION + "6")
def test_members_are_those_of_the_version(features: Features) -> None:
    """There is no member that the version ociVersionMax does not define (features.md#specification-version).  The
    structure came with 1.1.0: its members at that time pass with every lower maximum."""
    limit = max(precedence(features["ociVersionMax"])[:3], (1, 1, 0))
    since = {member.path: precedence(member.since)[:3] for member in MEMBERS}
    found = walk(features)
    assert [path for path in found if path not in since] == []
    assert [path for path in found if since[path] > limit] == []


def elsewhere(runtime: Runtime, bundle: Bundle, *argv: str) -> Result:
    """`features` through another program, with a runtime directory that anybody may write to."""
    directory = bundle.outside("run")
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o777)
    env = {**runtime.env, "XDG_RUNTIME_DIR": directory, "HOME": directory}
    return execute([*argv, runtime.path, "features"], env=env, timeout=runtime.timeout, masks=runtime.masks)


@needs("root", "program:setpriv")
@covers("features/features-structure/2")
def test_is_the_same_for_a_user(runtime: Runtime, bundle: Bundle, features: Features) -> None:
    """What the runtime can do was settled when it was built: a user sees the same (features.md#features-structure)."""
    drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    env = dict(runtime.env)
    if not execute([*drop, "test", "-x", runtime.path], env=env, timeout=runtime.timeout).ok:
        pytest.skip("the runtime is not executable for other users")
    assert json.loads(elsewhere(runtime, bundle, *drop).check().stdout) == features


@needs("root", "program:unshare")
@covers("features/features-structure/2")
def test_is_the_same_without_sysfs(runtime: Runtime, bundle: Bundle, features: Features) -> None:
    """A host without cgroup hierarchies and security modules makes no difference (features.md#features-structure)."""
    hide = 'mount -t tmpfs none /sys && exec "$@"'
    result = elsewhere(runtime, bundle, "unshare", "--mount", "sh", "-c", hide, "sh")
    assert json.loads(result.check().stdout) == features


@covers("features/annotations/3")
def test_annotations_have_keys(features: Features) -> None:
    """Annotations follow the rules of config.json: string values, keys that are not empty (features.md#annotations)."""
    annotations = features.get("annotations") or {}
    assert isinstance(annotations, dict)
    assert "" not in annotations
    assert all(isinstance(value, str) for value in annotations.values())


@covers("features/mount-options/1")
def test_mount_options_have_the_required_ones(features: Features) -> None:
    """A list of mount options has those that config.md requires (features.md#mount-options)."""
    folder = "config/linux-mount-options/"
    rows = [row for row in ledger.load().values() if row.id.startswith(folder) and row.level == "MUST"]
    required = {name for row in rows if "-" not in (name := row.id.removeprefix(folder))}
    assert len(required) > 30
    options = features.get("mountOptions")
    assert options is None or required - set(options) == set()


@covers("features/mount-options/3")
def test_mount_options_of_filesystems_are_not_listed(features: Features) -> None:
    """Options of filesystems are not the runtime's (features.md#mount-options)."""
    specific = {"size", "mode", "uid", "gid", "nr_inodes", "newinstance", "ptmxmode", "hidepid"}
    assert {option.partition("=")[0] for option in features.get("mountOptions") or []} & specific == set()


@covers("features-linux/seccomp/11")
def test_supported_flags_are_known(features: Features) -> None:
    """What is supported is known, too (features-linux.md#seccomp)."""
    supported = find(features, "linux.seccomp.supportedFlags")
    known = find(features, "linux.seccomp.knownFlags")
    assert supported is None or set(supported) <= set(known or [])
