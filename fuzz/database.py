"""Hypothesis' example databases, by name: a directory, or a Redis server that several machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.conformance.errors import EnvironmentProblem

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

REDIS = ("redis://", "rediss://", "unix://")


def need_hypothesis() -> None:
    """EnvironmentProblem unless Hypothesis is installed: it chooses what is tried."""
    from importlib.util import find_spec

    if find_spec("hypothesis") is None:
        raise EnvironmentProblem("this needs Hypothesis: pip install 'seatrial[fuzz]'")


def open_database(name: str | None) -> ExampleDatabase | None:
    """The database that a directory or a `redis://` address names; None for None.

    EnvironmentProblem when the server cannot be reached or the client library is missing."""
    if name is None:
        return None
    if not name.startswith(REDIS):
        from hypothesis.database import DirectoryBasedExampleDatabase

        return DirectoryBasedExampleDatabase(name)
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise EnvironmentProblem(f"{name}: needs the package redis (pip install redis)") from error
    client = Redis.from_url(name)
    try:
        client.ping()
    except RedisError as error:
        raise EnvironmentProblem(f"{name}: {error}") from error
    return RedisExampleDatabase(client)
