"""The list in docs/runtime.md of what the set-up calls under the program's filter: any other call kills here."""

from __future__ import annotations

import os
import subprocess

import pytest
from bundles import Bundle, CommandLine

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "native", "exit_42.c")
PROGRAM = ["exit_group"]
PRIVILEGED = ["setresgid", "setresuid", "capset", "prctl", "newfstatat", "faccessat2", "sendmsg"]
HOOK = ["pipe2", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "getpid", "clone", "set_robust_list", "dup2"]
HOOK += ["fcntl", "ppoll", "read", "write", "close", "clock_gettime", "wait4"]
BY_VERB = {"create": ["close", "accept4", "read", "execve"], "run": ["sendmsg", "read", "execve"]}


@pytest.fixture
def small(bundle: Bundle, tmp_path: os.PathLike[str]) -> Bundle:
    """A bundle whose program exits with 42, and calls nothing else."""
    if os.uname().machine != "x86_64":
        pytest.skip("the program is for x86-64")
    for name in ("small", "hook"):
        flags = ["-O1", "-fno-stack-protector", "-nostdlib", "-nostartfiles", "-static"]
        subprocess.run(["gcc", *flags, SOURCE, "-o", os.path.join(bundle.rootfs, name)], check=True)
    bundle.args()
    bundle.config["process"]["args"] = ["small"]
    return bundle


@pytest.mark.parametrize("with_hook", [False, True], ids=["", "hook"])
@pytest.mark.parametrize("no_new_privileges", [True, False], ids=["nnp", ""])
@pytest.mark.parametrize("verb", ["create", "run"])
def test_the_list_is_complete(
    cli: CommandLine, small: Bundle, verb: str, no_new_privileges: bool, with_hook: bool
) -> None:
    calls = PROGRAM + BY_VERB[verb]
    small.config["process"] |= {"noNewPrivileges": no_new_privileges, "user": {"uid": 7, "gid": 7}}
    small.config["process"]["capabilities"] = {name: ["CAP_KILL"] for name in ("bounding", "permitted", "inheritable")}
    if not no_new_privileges:
        calls = calls + PRIVILEGED
    if with_hook:  # its status 42 is a failure, which is known only after all that a hook takes
        small.config["hooks"] = {"startContainer": [{"path": "/hook"}]}
        calls = [*calls, *HOOK, "sendmsg"]
    small.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{"names": calls, "action": "SCMP_ACT_ALLOW"}],
    }
    small.write()
    if verb == "run":
        done = cli("run", "-b", small.path, "c-calls", check=False)
        status = done.returncode
    else:
        cli("create", "-b", small.path, "c-calls")
        done = cli("start", "c-calls", check=False)
        status = 42 if done.returncode == 0 else 1
    if with_hook:
        assert "ended with status 42" in done.stderr
    else:
        assert (status, done.stderr) == (42, "")
