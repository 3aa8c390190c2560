"""Opening a `SqlRegistry` of Feast's without loading it.

It loads every object of every project of the database, into a cache that the writer never asks: that takes seconds
where there are thousands, and one row of another project that cannot be read would keep this one from being written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_cache(registry_class: Any) -> Iterator[None]:
    """A registry of the class that is made within the block starts with an empty cache."""
    feasts = registry_class.__dict__["_list_projects"]
    registry_class._list_projects = _none  # noqa: SLF001 - what Feast asks for the projects to load
    try:
        yield
    finally:
        registry_class._list_projects = feasts  # noqa: SLF001


def _none(_registry: Any, _tags: Any) -> list[Any]:
    return []
