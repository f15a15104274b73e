"""Hypothesis' example databases, by name: a directory, or a Redis server that several machines share."""

from __future__ import annotations

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from seatrial.conformance.errors import EnvironmentProblem

REDIS = ("redis://", "rediss://", "unix://")


def open_database(name: str | None) -> ExampleDatabase | None:
    """The database that a directory or a `redis://` address names; None for None.

    EnvironmentProblem when the server cannot be reached or the client library is missing."""
    if name is None:
        return None
    if not name.startswith(REDIS):
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
