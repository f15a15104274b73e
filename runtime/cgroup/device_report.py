"""Device rules and the v2 program that they become, for people and for tools: what `plan` prints of them."""

from __future__ import annotations

from seatrial.runtime.cgroup.device_program import allows_everything, assemble, build, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seatrial.runtime.config import DeviceRule


def rule_text(rule: DeviceRule) -> str:
    """``allow c 1:3 rwm``, as in devices.list."""
    numbers = ":".join("*" if number is None else str(number) for number in (rule.major, rule.minor))
    return f"{'allow' if rule.allow else 'deny'} {rule.type} {numbers} {rule.access}"


def describe_devices(rules: list[DeviceRule]) -> str:
    """The rules in order, then the program's instructions; "" without rules, which means no filter."""
    if not rules:
        return ""
    lines = ["device rules, the last one about a permission decides:"]
    lines += [f"    {rule_text(rule)}" for rule in rules]
    if allows_everything(rules):
        lines.append("they allow everything: no program on cgroup v2")
    else:
        program = build(rules)
        lines.append(f"their program on cgroup v2, {len(program)} instructions:")
        lines += [f"    {line}" for line in describe(program)]
    return "\n".join(lines) + "\n"


def devices_json(rules: list[DeviceRule]) -> dict[str, Any]:
    """The same as JSON values: rules, instructions as text, and the program as the kernel takes it, in hexadecimal.

    Without a program (no rules, or rules that allow everything) the last two are empty.
    """
    program = [] if not rules or allows_everything(rules) else build(rules)
    return {
        "rules": [rule_text(rule) for rule in rules],
        "instructions": describe(program),
        "program": assemble(program).hex(),
    }
