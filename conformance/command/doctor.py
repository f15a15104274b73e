"""`seatrial doctor`: what this host can and cannot test, and how to get the rest."""

from __future__ import annotations

import argparse
import json
from typing import Any

from seatrial.conformance.verdict import outcome

WIDTH = 14


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("doctor", help="say what this host can and cannot test, and how to get the rest")
    parser.add_argument("--runtime", action="append", default=[], metavar="PATH", help="try this runtime too")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument("--all", action="store_true", help="list the needs that are met too")
    parser.set_defaults(action=run)


def run(options: argparse.Namespace) -> int:
    """0 when a check can run here, 2 when not."""
    from seatrial.conformance.doctor.diagnosis import diagnose

    report = diagnose(options.runtime)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print("\n".join(_text(report, options.all)))
    return outcome.CLEAN if report["can_check"] else outcome.ENVIRONMENT


def _text(report: dict[str, Any], everything: bool) -> list[str]:
    return [
        f"seatrial {report['seatrial']}, runtime-spec {report['spec']}: {report['cases']} cases of all profiles",
        *_host(report["host"], report["machines"]),
        "",
        *_views(report),
        "",
        *_runtimes(report),
        "",
        *_needs(report["needs"], everything),
        *_leftovers(report["leftovers"]),
        "",
        _verdict(report),
    ]


def _line(name: str, text: str) -> str:
    return f"{name:<{WIDTH}}{text}"


def _host(host: dict[str, Any], machines: dict[str, Any]) -> list[str]:
    missing = host["missing_capabilities"]
    if host["privilege"] != "root":
        held = "an ordinary user: cases that need root are skipped"
    elif missing:
        held = f"root, with every capability but {', '.join(missing)}"
    else:
        held = "root, with every capability"
    if host["confined"]:
        held += "; under a seccomp filter, which runtimes inherit"
    kvm = "usable, as far as the device says" if machines["kvm"] is None else machines["kvm"]
    return [
        _line(
            "host",
            f"{host['distribution'] or 'unknown'}, kernel {host['kernel']}, {host['machine']}, {host['cpus']} CPUs",
        ),
        _line("privilege", held),
        _line("modules", f"security modules: {host['lsm'] or 'unknown (/sys/kernel/security is not mounted)'}"),
        _line("machines", f"KVM: {kvm}; QEMU: {machines['qemu'] or 'not installed'}"),
        _line(
            "checkpoints", machines["criu"] or "no criu program (install it, or put one into PATH: docs/checkpoint.md)"
        ),
    ]


def _views(report: dict[str, Any]) -> list[str]:
    lines = ["cgroup views"]
    for view in report["views"]:
        if view["error"]:
            lines.append(_line(f"  {view['view']}", view["error"]))
            continue
        covered = f"{view['cases']} of {report['cases']} cases can run, for {view['requirements']} requirements"
        controllers = ", ".join(view["controllers"]) or "none"
        lines.append(_line(f"  {view['view']}", f"{covered}; controllers: {controllers}"))
    lines += [_line(f"  {name}", f"not available: {reason}") for name, reason in report["unavailable_views"].items()]
    return lines


def _runtimes(report: dict[str, Any]) -> list[str]:
    lines = ["runtimes"]
    for runtime in report["runtimes"]:
        lines.append(f"  {runtime['version'] or 'no version text'}  {runtime['path']}")
        works = [view for view, reason in runtime["views"].items() if reason is None]
        if works:
            lines.append(f"    runs a container in: {', '.join(works)}")
        for view, reason in runtime["views"].items():
            if reason is not None:
                lines.append(f"    not in {view}: {_short(reason)}")
        if runtime["lacks_commands"]:
            lines.append(f"    has no command {', '.join(runtime['lacks_commands'])}: such cases are skipped")
    return lines


def _short(reason: str) -> str:
    from seatrial.conformance.driver.driver import INSANE

    text = " ".join(reason.removeprefix(f"{INSANE}: ").split())
    return text if len(text) <= 400 else text[:400] + " ..."


def _counts(need: dict[str, Any]) -> str:
    cases, requirements = need["cases"], need["requirements"]
    return f"{cases} case{'' if cases == 1 else 's'}, {requirements} requirement{'' if requirements == 1 else 's'}"


def _needs(found: list[dict[str, Any]], everything: bool) -> list[str]:
    met = [need for need in found if need["met"]]
    used = [need for need in found if not need["met"] and need["cases"]]
    unused = [need for need in found if not need["met"] and not need["cases"]]
    lines = [f"needs that are met: {len(met)} of {len(found)}"]
    for need in met:
        where = ""
        if need["of"] == "host" and need["reason"]:
            where = f"; only in the view {', '.join(need['views'])} (--cgroup-view)"
        if everything or where:
            lines.append(f"  {need['word']:<20} {_counts(need)}{where}")
    for title, group in (("needs that are not met", used), ("not met, and no case has that need", unused)):
        if group:
            lines += ["", title]
        for need in group:
            lines.append(f"  {need['word']:<20} {_counts(need)}: {need['reason']}")
            lines.append(f"  {'':<20} get it: {need['remedy']}")
    return lines


def _leftovers(paths: list[str]) -> list[str]:
    if not paths:
        return ["", _line("leftovers", "none")]
    how = "the next check removes such cgroups; remove such directories with rm -r"
    return ["", f"left by earlier runs that were killed ({how})", *(f"  {path}" for path in paths)]


def _verdict(report: dict[str, Any]) -> str:
    if report["can_check"]:
        return "A check can run here: seatrial check"
    errors = [view["error"] for view in report["views"] if view["error"]]
    without = "no runtime here can run a container" if report["views"] else "no cgroup hierarchy is mounted"
    return f"No check can run here: {errors[0] if errors else without}"
