"""Twins of the reference runtime: shell wrappers with one bug each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

RUNTIME = os.path.join(os.path.dirname(sys.executable), "seatrial-runtime")

# $1 $2 are `--root DIR`; COMMAND and ID are what follows and comes last.
HEAD = """#!/bin/sh
REAL={runtime}
ROOT="$2" COMMAND="$3"
for ID; do :; done
"""
BUGS = {
    "starts-again": """case $COMMAND in
start) "$REAL" "$@" 2>/dev/null; "$REAL" --root "$ROOT" state "$ID" >/dev/null; exit;; esac""",
    "deletes-what-runs": 'case $COMMAND in delete) shift 3; exec "$REAL" --root "$ROOT" delete --force "$ID";; esac',
    "leaves-a-process": "case $COMMAND in delete) setsid sleep 300 >/dev/null 2>&1 & ;; esac",
    "does-not-kill": 'case $COMMAND in kill) exec "$REAL" --root "$ROOT" kill "$4" CONT;; esac',
    "hides-pauses": """case $COMMAND in state) "$REAL" "$@" >"$0.$$"; status=$?
sed 's/"paused"/"running"/' "$0.$$"; rm "$0.$$"; exit $status;; esac""",
    "no-hostname": """case $COMMAND in run) shift 3; B=$2
sed 's/"hostname": "[^"]*"/"hostname": "other"/' "$B/config.json" > "$B/c" && mv "$B/c" "$B/config.json"
exec "$REAL" --root "$ROOT" run "$@";; esac""",
    "other-oom-score": """case $COMMAND in run|create) shift 3; B=$2
sed 's/"oomScoreAdj": [0-9-]*/"oomScoreAdj": 777/' "$B/config.json" > "$B/c" && mv "$B/c" "$B/config.json"
exec "$REAL" --root "$ROOT" $COMMAND "$@";; esac""",
}


def twin(directory: Path, bug: str) -> str:
    """The path of a runtime with a bug."""
    path = directory / bug
    path.write_text(HEAD.format(runtime=RUNTIME) + BUGS[bug] + '\nexec "$REAL" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)
