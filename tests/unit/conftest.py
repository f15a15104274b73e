"""Fixtures that several modules share."""

from cgroup_files import recorder, unified

__all__ = ["recorder", "unified"]
