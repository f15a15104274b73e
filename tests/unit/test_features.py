"""`features` follows from what is implemented: it asks the converter, and its lists are the tables of the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from seatrial.runtime import capability, config, features, mount_options
from seatrial.runtime.errors import ConfigError, UnsupportedError
from seatrial.runtime.mount_options import Options
from seatrial.runtime.seccomp import filter as seccomp_filter
from seatrial.runtime.seccomp.libseccomp import COMPARE
from seatrial.runtime.spec import names

# What the converter cannot be asked: whole modules, options of the command line, tables that the code itself reads.
NOT_ASKED = {"linux.cgroup.v1", "linux.cgroup.v2", "linux.cgroup.systemd", "linux.cgroup.systemdUser"}
NOT_ASKED_LISTS = {"mountOptions", "linux.capabilities", "potentiallyUnsafeConfigAnnotations"}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every member that is no object, with its path."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from leaves(entry, f"{path}.{name}" if path else name)
    else:
        yield path, value


def test_nothing_is_claimed_that_the_converter_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boolean or a list written by hand would still be true, or full, here."""

    def refuse(document: Any, bundle: str) -> Any:
        raise UnsupportedError("everything")

    monkeypatch.setattr(features, "convert", refuse)
    for path, value in leaves(features.features()):
        if isinstance(value, bool):
            assert value is False or path in NOT_ASKED, path
        elif isinstance(value, list):
            assert value == [] or path in NOT_ASKED_LISTS, path


def test_what_the_host_lacks_is_implemented_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(document: Any, bundle: str) -> Any:
        raise ConfigError("process.selinuxLabel", "SELinux is off")

    monkeypatch.setattr(features, "convert", refuse)
    assert features.takes(process={"selinuxLabel": "x"})


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("apparmor.enabled", {"process": {"apparmorProfile": "x"}}),
        ("selinux.enabled", {"process": {"selinuxLabel": "x"}}),
        ("intelRdt.enabled", {"linux": {"intelRdt": {"closID": "x"}}}),
        ("netDevices.enabled", {"linux": {"netDevices": {"eth0": {}}}}),
        ("seccomp.enabled", {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}),
    ],
)
def test_booleans_are_answers(path: str, document: dict[str, Any]) -> None:
    said = dict(leaves(features.features()["linux"]))
    assert said[path] is features.takes(**document)


def test_the_question_has_to_be_a_possible_document() -> None:
    with pytest.raises(Exception, match="expected"):
        features.takes(linux={"netDevices": []})


def test_lists_are_the_tables_that_the_code_uses() -> None:
    said = features.features()
    linux = said["linux"]
    assert said["mountOptions"] == mount_options.known()
    assert said["hooks"] == list(names.HOOKS)
    assert len(names.HOOKS) == len(config.Hooks.__annotations__)
    assert {names.NAMESPACES[name] for name in linux["namespaces"]} == set(config.NAMESPACE_FLAGS)
    assert linux["capabilities"] == list(capability.NAMES)
    assert set(linux["memoryPolicy"]["modes"]) == set(names.MEMORY_POLICY_MODES)
    assert set(linux["memoryPolicy"]["flags"]) == set(names.MEMORY_POLICY_FLAGS)
    assert set(linux["seccomp"]["operators"]) == set(COMPARE) == set(names.SECCOMP_OPERATORS)
    assert set(linux["seccomp"]["actions"]) == set(seccomp_filter.ACTIONS) == set(names.SECCOMP_ACTIONS)
    assert set(linux["seccomp"]["knownFlags"]) == set(seccomp_filter.FLAGS) == set(names.SECCOMP_FLAGS)
    assert set(linux["seccomp"]["archs"]) == set(names.SECCOMP_ARCHITECTURES)


@pytest.mark.parametrize("word", mount_options.known())
def test_a_listed_mount_option_is_no_data(word: str) -> None:
    assert Options([word]).data == ""
    assert Options([word + "x"]).data == word + "x"
