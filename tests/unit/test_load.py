"""load_config on whole bundles: files, options of the command line, any input, and what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oci_documents import FULL, drop, full, plain, put, text

from seatrial.runtime import capability, spec_template
from seatrial.runtime.config import Config
from seatrial.runtime.document import pretty
from seatrial.runtime.errors import ConfigError
from seatrial.runtime.load import load_config, parse_config
from seatrial.runtime.spec.names import NAMESPACES
from seatrial.runtime.validate import validate


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers whoever runs the tests."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(capability, "bounding", lambda: capability.ALL)


@pytest.fixture
def bundle(tmp_path: Any) -> str:
    os.mkdir(tmp_path / "rootfs")
    (tmp_path / "config.json").write_bytes(text(plain()))
    return str(tmp_path)


def test_a_bundle_loads(bundle: str) -> None:
    config = load_config(bundle)
    assert config.bundle == bundle
    assert config.rootfs == os.path.join(os.path.realpath(bundle), "rootfs")
    assert [namespace.type for namespace in config.namespaces] == ["ipc", "uts", "net", "pid", "mnt", "cgroup"]
    assert config.warnings == []


def test_a_bundle_may_be_relative(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.path.dirname(bundle))
    assert load_config(os.path.basename(bundle)).bundle == bundle


def test_options_of_the_command_line(bundle: str) -> None:
    config = load_config(bundle, no_pivot=True, no_new_keyring=True, systemd_cgroup=True, rootless="true")
    assert (config.no_pivot_root, config.no_new_keyring, config.cgroups.systemd) == (True, True, True)
    assert config.rootless_cgroups
    config = load_config(bundle, rootless="false")
    assert (config.no_pivot_root, config.no_new_keyring, config.rootless_cgroups) == (False, False, False)


def test_an_unprivileged_runtime_needs_a_user_namespace(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="a user namespace is needed") as caught:
        load_config(bundle)
    assert caught.value.path == "linux.namespaces"


def test_capabilities_outside_the_bounding_set_are_a_warning(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = put(plain(), "process.capabilities", {"bounding": ["CAP_CHOWN", "CAP_KILL"]})
    with open(os.path.join(bundle, "config.json"), "wb") as file:
        file.write(text(document))
    monkeypatch.setattr(capability, "bounding", lambda: 1)
    config = load_config(bundle)
    assert config.capabilities is not None
    assert config.capabilities.bounding == 1
    assert config.warnings == ["process.capabilities: cannot be granted here: CAP_KILL"]


def test_a_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path))
    assert str(caught.value) == f"read {tmp_path}/config.json: ENOENT; the bundle needs it"
    os.mkdir(tmp_path / "config.json")
    with pytest.raises(ConfigError, match="EISDIR"):
        load_config(str(tmp_path))


@pytest.mark.parametrize("document", [b"", b"[]", b"null", b"1", b'"x"', b"{}", b"{", b"\xff\xfe"])
def test_a_document_that_is_no_configuration(tmp_path: Any, document: bytes) -> None:
    (tmp_path / "config.json").write_bytes(document)
    with pytest.raises(ConfigError):
        load_config(str(tmp_path))


@pytest.mark.parametrize("rootless", [False, True])
def test_the_template_loads(tmp_path: Any, rootless: bool) -> None:
    os.mkdir(tmp_path / "rootfs")
    (tmp_path / "config.json").write_text(pretty(spec_template.template(rootless=rootless, cgroup2=True), "\t"))
    config = load_config(str(tmp_path))
    assert config.warnings == []
    assert config.is_new("user") == rootless
    assert config.process is not None
    assert config.process.args == ["sh"]


def paths(value: Any, path: str = "") -> list[str]:
    """Every simple JSON path of a document."""
    found = [path] if path else []
    if isinstance(value, dict):
        for name, item in value.items():
            if name.isidentifier():
                found += paths(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += paths(item, f"{path}[{index}]")
    return found


SUPPORTED = full()
for unsupported in (
    "process.apparmorProfile",
    "process.selinuxLabel",
    "mounts[0].uidMappings",
    "mounts[0].gidMappings",
    "linux.mountLabel",
    "linux.personality.flags",
    "linux.resources.blockIO",
    "linux.resources.hugepageLimits",
    "linux.resources.network",
    "linux.resources.rdma",
    "linux.resources.memory.kernel",
    "linux.resources.memory.kernelTCP",
):
    drop(SUPPORTED, unsupported)
put(SUPPORTED, "linux.namespaces", [{"type": name} for name in NAMESPACES])
put(SUPPORTED, "linux.resources.cpu.quota", 1000)

EDGES = [-1, 0, 2**31, 2**32 - 1, 2**63, 2**64, 1.5, "", "/", "/x", "..", "a\0b", "\u00e9", "net.x", "bind", "\ud800"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(EDGES)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def attempt(document: Any) -> None:
    """A Config that passes its own checks and survives JSON, or a ConfigError whose text has its path."""
    try:
        config = parse_config(text(document), "/")
        config.rootfs = "/"
        validate(config)
    except ConfigError as error:
        assert str(error)  # noqa: PT017
        assert error.path in str(error)  # noqa: PT017
    else:
        assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_the_supported_document_is_accepted() -> None:
    config = parse_config(text(SUPPORTED), "/")
    config.rootfs = "/"
    validate(config)
    assert config.seccomp is not None
    assert len(config.namespaces) == 8


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(st.sampled_from(paths(SUPPORTED)), JSON)
def test_any_value_in_any_place_gives_a_config_or_an_error(path: str, value: Any) -> None:
    attempt(put(json.loads(json.dumps(SUPPORTED)), path, value))


@settings(deadline=None)
@given(st.sampled_from(paths(FULL)))
def test_any_member_may_be_left_out(path: str) -> None:
    attempt(drop(full(), path))


@settings(deadline=None)
@given(JSON)
def test_any_document_gives_a_config_or_an_error(document: Any) -> None:
    attempt(document)


def test_loading_imports_nothing_slow() -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    # -S keeps site and its .pth files out; the folders are put in place as the package by hand.
    program = (
        "import sys\n"
        "for name in ('seatrial', 'seatrial.runtime'):\n"
        "    module = sys.modules[name] = type(sys)(name)\n"
        f"    module.__path__ = [{root!r} + '/runtime'] if '.' in name else []\n"
        "from seatrial.runtime.load import load_config\n"
        "print(*sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    modules = set(run.stdout.split())
    assert "seatrial.runtime.validate" in modules
    slow = "typing dataclasses enum re json argparse subprocess pathlib logging contextlib collections functools signal"
    assert not modules & set(slow.split())
