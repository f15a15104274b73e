"""Users as the command line and library callers name them: ``uid``, ``uid:gid``, ``name``, ``name:group``.

Numbers are taken as they are; a name is looked up by the executor in the container's own /etc/passwd and /etc/group,
beneath its root and after its mounts (`user` in docs/operations.md): the host's files say nothing about a container.
"""

from __future__ import annotations

from seatrial.runtime.errors import UsageError

_NO_ID = 2**32 - 1  # setresuid(2), setresgid(2): "leave it as it is"


def parse_user(text: str) -> tuple[str, str]:
    """The user and the group ("": none given) of a description.  Raises UsageError."""
    user, colon, group = text.partition(":")
    if not user or (colon and not group) or ":" in group or any(letter in text for letter in "\0\n,"):
        raise UsageError(f"invalid user {text!r}", "give UID, UID:GID, NAME or NAME:GROUP")
    for part in (user, group):
        number(part)
    return user, group


def number(text: str) -> int | None:
    """The id that a text of digits stands for; None for a name.  Raises UsageError above 4294967294."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10 or int(text) >= _NO_ID:
        raise UsageError(f"invalid id {text}", "ids go up to 4294967294")
    return int(text)


def is_numeric(text: str) -> bool:
    """Whether a description needs no look-up: digits for the user, and for the group if there is one."""
    user, group = parse_user(text)
    return number(user) is not None and (not group or number(group) is not None)
