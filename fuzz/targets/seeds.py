"""`seeds.py DIRECTORY`: write first inputs and dictionaries for every target, from the strategies and the schema.

DIRECTORY/corpora/TARGET/...    DIRECTORY/dictionaries/NAME.dict
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from seatrial.fuzz.strategies import HOST_PARTS, PARTS, configs, hostile_documents
from seatrial.fuzz.targets import mount_options as mount_options_target
from seatrial.native import operations
from seatrial.runtime import mount_options
from seatrial.runtime.errors import SeatrialError
from seatrial.runtime.load import parse_config
from seatrial.runtime.plan.compile import compile_init
from seatrial.runtime.plan.environment import Environment
from seatrial.runtime.spec import rules, schema

COUNT = 24
# Small: a search that begins with large inputs is slow.
BASE: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"args": ["sh"], "cwd": "/"},
    "root": {"path": "rootfs"},
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
}
# Escapes in every sort of string, so that other characters are one mutation away.
ESCAPES = (
    r'{"ociVersion":"1.0.2","process":{"args":["\u0010","\u0001"],"cwd":"/\u0010","env":["A=\u0001"]},"hostname":"\u0100",'
    r'"root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"uts"},{"type":"mount"}],"maskedPaths":["/\u0010"]}}'
)
JSON_WORDS = ["null", "true", "false", "\\u0000", "\\ud800", "\\udfff", "1e999", "-1", "4294967296", "{}", "[]", '":']


def words(rule: rules.Rule) -> set[str]:
    """The member names and constants of a schema, quoted."""
    if isinstance(rule, rules.Object):
        return {f'"{name}"' for name in rule.members}.union(*map(words, rule.members.values()))
    if isinstance(rule, (rules.Array, rules.Map)):
        return words(rule.item)
    return {f'"{name}"' for name in rule.names} if isinstance(rule, rules.OneOf) else set()


def write_dictionary(path: str, entries: list[bytes]) -> None:
    """libFuzzer's and AFL++'s format: one quoted string a line, other bytes in hexadecimal."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        for entry in entries:
            text = "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\x{c:02x}" for c in entry)
            file.write(f'"{text}"\n')


class Corpora:
    """Writes inputs by target, numbered."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.counts: dict[str, int] = {}

    def add(self, target: str, data: bytes) -> None:
        """One input more."""
        number = self.counts[target] = self.counts.get(target, 0) + 1
        path = os.path.join(self.directory, target, f"seed-{number:03}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def add_config(corpora: Corpora, config: dict[str, Any]) -> None:
    """A valid configuration, for all that read one and for what it compiles to."""
    data = json.dumps(config, separators=(",", ":")).encode()
    for target in ("loader", "converter", "compiler"):
        corpora.add(target, data)
    if "seccomp" in config["linux"]:
        corpora.add("seccomp", json.dumps(config["linux"]["seccomp"], separators=(",", ":")).encode())
    for entry in config.get("mounts", ()):
        corpora.add("mount_options", mount_options_target.encode(entry.get("options", [])))
    try:
        loaded = parse_config(data, "/bundle")
        plan = compile_init(loaded, Environment(id="seed", gate=5)).encode()
    except (SeatrialError, KeyError):
        return  # this host's libseccomp cannot do the profile
    corpora.add("plan_decoder", plan)
    corpora.add("executor_front", b"\0\0" + plan)
    keep = b"0000000000003"
    corpora.add("executor_front", bytes([1, len(keep) << 2 | 3]) + keep + plan)


def main() -> None:
    """Write everything; the same each time."""
    directory = sys.argv[1]
    corpora = Corpora(os.path.join(directory, "corpora"))
    warnings.simplefilter("ignore")
    calm = settings(
        max_examples=COUNT,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    @seed(1)
    @calm
    @given(configs(BASE, parts=(*PARTS, *HOST_PARTS), most=3))
    def valid(config: dict[str, Any]) -> None:
        add_config(corpora, config)

    @seed(1)
    @calm
    @given(configs(BASE, parts=["seccomp"]))
    def profiles(config: dict[str, Any]) -> None:
        add_config(corpora, config)

    @seed(1)
    @calm
    @given(hostile_documents(BASE))
    def hostile(data: bytes) -> None:
        if len(data) < 4096:
            corpora.add("loader", data)

    corpora.add("compiler", ESCAPES.encode())
    corpora.add("loader", b'{"a":["\\ud83d\\ude00",{"b":1,"c":"\\u00e9"}],"d":-1.5e3}')
    valid()
    profiles()
    hostile()
    dictionaries = os.path.join(directory, "dictionaries")
    names = sorted(words(schema.CONFIG)) + JSON_WORDS
    write_dictionary(os.path.join(dictionaries, "config.dict"), [name.encode() for name in names])
    write_dictionary(os.path.join(dictionaries, "json.dict"), [word.encode() for word in JSON_WORDS])
    options = [*mount_options.known(), ",", "size=1k", "mode=755"]
    write_dictionary(os.path.join(dictionaries, "mount_options.dict"), [name.encode() for name in options])
    codes = [code.to_bytes(4, "little") for _, code, _, _ in operations.OPERATIONS]
    sizes = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0"]
    write_dictionary(os.path.join(dictionaries, "plan.dict"), [operations.MAGIC, *codes, *sizes])


if __name__ == "__main__":
    main()
