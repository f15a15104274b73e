"""Renders the pages: self-contained, escaped, and unable to run or load anything but their own script."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any
from urllib.parse import quote

from seatrial.conformance.ledger import ledger
from seatrial.conformance.report.text import one_line, visible

TEMPLATES = os.path.dirname(os.path.abspath(__file__))
SPEC = "https://github.com/opencontainers/runtime-spec/blob/"
COLOURS = {"verified": "good", "violated": "bad", "not applicable": "warn", "untested": "none"}


def source(name: str) -> str:
    """The text of a style sheet or script beside the templates."""
    with open(os.path.join(TEMPLATES, name), encoding="utf-8") as file:
        return file.read()


def render(template: str, script: str, **values: Any) -> str:
    """A page.  `script` is the file name of its script, whose digest is all that its content policy admits."""
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.undefined = jinja2.StrictUndefined
    environment.filters["visible"] = visible
    environment.filters["one_line"] = one_line
    environment.globals["colour"] = COLOURS.__getitem__
    environment.globals["spec_link"] = spec_link
    code = "\n" + source(script)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    styles = source("page.css")
    return environment.get_template(template).render(policy=policy, styles=styles, script=code, **values)


def spec_link(requirement: ledger.Requirement) -> str:
    """Where the spec says it: the file and heading at the commit that the ledger was walked from."""
    anchor = "" if requirement.file.startswith("schema/") else f"#{requirement.section}"
    return f"{SPEC}{ledger.SPEC_COMMIT}/{requirement.file}{anchor}"


def evidence_link(directory: str, page: str) -> str:
    """A link to a directory of evidence: relative where it is below the page's own folder (both can then be moved
    together), otherwise to the file system."""
    folder = os.path.dirname(os.path.abspath(page))
    path = os.path.normpath(directory) if os.path.isabs(directory) else os.path.join(folder, directory)
    if os.path.commonpath([folder, path]) == folder:
        return "./" + _quote(os.path.relpath(path, folder)) + "/"
    return "file://" + _quote(path) + "/"


def _quote(path: str) -> str:
    return quote(path.encode("utf-8", "surrogatepass"))
