"""What Feast's SQL registry takes for its engine, so that all it does is part of one transaction of ours.

Feast's registry writes each object in a dozen transactions of its own; some open a second connection in a first, and
a process that ends in the middle leaves half an object. Its code asks its two engines for nothing but `begin()`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection


class OneTransaction:
    """Stands in for `write_engine` and `read_engine` of a `SqlRegistry`; of use only within `over`."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    @contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Let Feast take part in the transaction of `connection`; who opened it ends it."""
        self._connection = connection
        try:
            yield
        finally:
            self._connection = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Feast's own beginning and end mean nothing: an error inside leaves no transaction to go on with."""
        assert self._connection is not None, "Feast used its registry outside of a transaction"
        yield self._connection


@contextmanager
def once_for_all(registry: Any, project: str) -> Iterator[None]:
    """Within the block Feast looks after its project once, and not again with every object that it writes.

    Each object has `SqlRegistry._apply_object` look for the project and its metadata twice over, write back the project
    it has just read, which changes nothing, and note the time. That is half of all its statements. Here the first look
    stands for the others, and the last time is noted at the end.
    """
    instead = _Instead(registry, project)
    replaced = _replaced(registry)
    for name in replaced:
        setattr(registry, name, getattr(instead, name))
    try:
        yield
    finally:
        for name in replaced:
            delattr(registry, name)
    instead.end()


class _Instead:
    """Methods of a `SqlRegistry`, under their own names, for as long as a batch lasts."""

    def __init__(self, registry: Any, project: str) -> None:
        self.feasts = {name: getattr(registry, name) for name in _replaced(registry)}
        self.project = project
        self.read: Any = None
        self.looked: set[str] = set()
        self.noted: tuple[Any, ...] | None = None

    def get_project(self, name: str, allow_cache: bool = False) -> Any:  # noqa: FBT001, FBT002 - Feast's signature
        if name != self.project or allow_cache:
            return self.feasts["get_project"](name, allow_cache)
        if self.read is None:
            self.read = self.feasts["get_project"](name, allow_cache)
        return self.read

    def apply_project(self, project: Any, commit: bool = True) -> None:  # noqa: FBT001, FBT002
        if project is not self.read:
            self.read = None
            self.feasts["apply_project"](project, commit)

    def _initialize_project_if_not_exists(self, project_name: str) -> None:
        self._once("_initialize_project_if_not_exists", project_name)

    def _maybe_init_project_metadata(self, project: str) -> None:
        self._once("_maybe_init_project_metadata", project)

    def _set_last_updated_metadata(self, *arguments: Any) -> None:
        self.noted = arguments

    def _once(self, name: str, project: str) -> None:
        if name not in self.looked:
            self.feasts[name](project)
            self.looked.add(name)

    def end(self) -> None:
        """Note the time of the last write."""
        if self.noted is not None:
            self.feasts["_set_last_updated_metadata"](*self.noted)


def _replaced(registry: Any) -> list[str]:
    return [name for name in vars(_Instead) if hasattr(registry, name) and not name.startswith("__")]
