"""Taking the rows of some entities out of Redis: of each hash the fields of one view, and no other view's.

Redis removes a hash with its last field. What is removed from a hash goes by one command, so nobody reads half a row.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from featureplane.entities.by_hand import by_hand
from featureplane.materialization.purge import CLIENT, Due
from featureplane.online.connect import answering, connect
from featureplane.online.layout import Keys, fields_of, keys_of
from featureplane.registry.plan import FieldChange
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition
from featureplane.settings import RedisAddress, Stores

# Hashes that are asked with one pipeline.
_AT_ONCE = 200


@dataclass(frozen=True)
class Target:
    """A view, and the fields that its rows have."""

    view: Definition
    fields: frozenset[bytes]

    @property
    def keys(self) -> Keys:
        return keys_of(self.view.spec["entities"])


@dataclass
class Counted:
    """How many rows were there, and how many fields they had."""

    rows: int = 0
    fields: int = 0

    def add(self, fields: Sequence[int]) -> None:
        self.rows += sum(count > 0 for count in fields)
        self.fields += sum(fields)


def targets(known: Registered, views: Sequence[Definition], leaving: Iterable[Due]) -> list[Target]:
    """What each of the views has in Redis: its fields, and those of features that are gone and wait for their purge.

    A field is four bytes of a hash: one that another view uses as well stays.
    """
    gone: dict[tuple[str, Keys], set[bytes]] = {}
    for due in leaving:
        gone.setdefault((due.view, due.keys), set()).update(due.fields)
    names = {view.name for view in views}
    used: dict[Keys, set[bytes]] = {}
    for (kind, name), item in known.definitions.items():
        if kind == "feature_view" and name not in names:
            used.setdefault(keys_of(item.spec["entities"]), set()).update(_fields(item))
    found = []
    for view in views:
        keys = keys_of(view.spec["entities"])
        mine = _fields(view) | gone.get((view.name, keys), set())
        found.append(Target(view, frozenset(mine - used.get(keys, set()))))
    return found


def deleted_views(known: Registered, leaving: Iterable[Due]) -> list[Definition]:
    """Views that are deleted, and whose rows wait for their purge; one that came back with other join keys as well."""
    found = {
        (item.view, item.keys): Definition("feature_view", item.view, item.spec)
        for item in leaving
        if not is_registered(known, item.view, item.keys) and ("view", item.view) not in known.foreign_names
    }
    return list(found.values())


def is_registered(known: Registered, view: str, keys: Keys) -> bool:
    """Whether there is a view of this name with these join keys."""
    found = known.definitions.get(("feature_view", view))
    return found is not None and keys_of(found.spec["entities"]) == keys


def _fields(view: Definition) -> set[bytes]:
    return fields_of(view.name, [feature["name"] for feature in view.spec["features"]])


def count_rows(address: RedisAddress, target: Target, keys: Iterable[bytes]) -> Counted:
    """What is there. Raises StoreUnavailable."""
    counted = Counted()
    fields = list(target.fields)
    _ask(
        address,
        keys,
        lambda pipe, key: pipe.hmget(key, fields),
        lambda values: len(fields) - values.count(None),
        counted,
    )
    return counted


def delete_rows(stores: Stores, project: str, target: Target, keys: Iterable[bytes]) -> Counted:
    """Remove what is there, while no run copies the view, and note how much that was, never of whom.

    Raises Busy and StoreUnavailable; what was removed before it is noted as well.
    """
    counted = Counted()
    with by_hand(stores, project, target.view, "delete-rows") as changes:
        try:
            _ask(stores.redis, keys, lambda pipe, key: pipe.hdel(key, *target.fields), int, counted)
        finally:
            if counted.rows:
                changes.append(FieldChange("online rows", counted.rows, 0))
    return counted


def _ask(
    address: RedisAddress,
    keys: Iterable[bytes],
    ask: Callable[[Any, bytes], object],
    fields: Callable[[Any], int],
    counted: Counted,
) -> None:
    """A command for each hash, whose reply says how many `fields` it has or had. What one refuses ends it, after those
    that were sent with it are counted.
    """
    with answering(address), closing(connect(address, **CLIENT)) as client:
        for some in _pieces(keys):
            with client.pipeline(transaction=False) as pipe:
                for key in some:
                    ask(pipe, key)
                replies = pipe.execute(raise_on_error=False)
            refused = [reply for reply in replies if isinstance(reply, Exception)]
            counted.add([fields(reply) for reply in replies if not isinstance(reply, Exception)])
            if refused:
                raise refused[0]


def _pieces(keys: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    left = iter(keys)
    while some := tuple(islice(left, _AT_ONCE)):
        yield some
