"""Removing online bytes that nobody asks for any more: what `purges` lists as due (see `registry.ledger`).

Keys are found by SCAN, a batch at a time, and half of the time is left to those that read features. A view or feature
that came back keeps its bytes: its purge is cancelled, by the writer or, for what Feast alone registered, here. Each
batch locks the rows of its purges, and the writer cancels them in the transaction that registers the view again: bytes
go before that, or stay.
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy import Connection, Engine, func, select, true, update

from featureplane.materialization.purge_cassandra import CassandraRows
from featureplane.online.connect import answering, connect, primaries
from featureplane.online.layout import Keys, field, fields_of, is_key, keys_of, pattern
from featureplane.registry import catalogue, feast_rows
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.registry.state import Registered
from featureplane.registry.tables import purges
from featureplane.rendering.definitions import Json
from featureplane.settings import Stores

# Keys that one SCAN looks at, and at most how long to wait after it.
_BATCH = 1000
_LONGEST_PAUSE = 0.1
CLIENT = {"socket_connect_timeout": 10, "socket_timeout": 30, "retry": Retry(ExponentialBackoff(cap=2, base=0.1), 3)}


@dataclass(frozen=True)
class Due:
    """A row of `purges`: a feature, or where that is empty a view with all of its features."""

    id: int
    view: str
    feature: str
    # The view as it was.
    spec: Json

    @property
    def keys(self) -> Keys:
        return keys_of(self.spec["entities"])

    @property
    def fields(self) -> set[bytes]:
        """What it takes from every row's hash."""
        if self.feature:
            return {field(self.view, self.feature)}
        return fields_of(self.view, [feature["name"] for feature in self.spec.get("features", ())])


@dataclass(frozen=True)
class Purged:
    """What became of the purges of one view. `rows` are hashes that lost something, `fields` what they lost.

    `purged` and `kept` are features, `*` being the view itself; kept is what came back.
    """

    view: str
    purged: tuple[str, ...]
    kept: tuple[str, ...]
    rows: int
    fields: int


def purge(
    stores: Stores,
    project: str,
    pause: Callable[[float], None] = time.sleep,
    cassandra: Callable[[], CassandraRows] | None = None,
) -> list[Purged]:
    """Remove all that is due, from Redis or from what `cassandra` opens.

    What broke off is still due, and the next call begins anew: deleting twice is harmless. Raises StoreUnavailable when
    PostgreSQL or the online store does not answer.
    """
    if not database_exists(stores.postgres):
        return []
    engine = engine_for(stores.postgres)
    try:
        with begin(engine, stores.postgres) as connection:
            if not feast_rows.has_schema(connection):
                return []
            due = listed(connection, project)
            known = catalogue.read(connection, project) if due else Registered()
            back = [item for item in due if _is_back(item, known)]
            _cancel(connection, back)
        wanted: dict[Keys, list[Due]] = {}
        for item in due:
            if item not in back:
                wanted.setdefault(item.keys, []).append(item)
        removal = _Removal(stores, project, engine, pause)
        if cassandra is not None:
            removal.run_in_cassandra([item for items in wanted.values() for item in items], cassandra)
            return removal.report(due)
        for keys, items in wanted.items():
            removal.run(keys, items, _live_fields(known, keys))
        return removal.report(due)
    finally:
        engine.dispose()


def listed(connection: Connection, project: str, *, only_due: bool = True) -> list[Due]:
    """What is to go now; or all that is to go at some time."""
    columns = purges.c
    statement = (
        select(columns.id, columns.view, columns.feature, columns.body)
        .where(columns.project == project, _pending(), columns.due_at <= func.now() if only_due else true())
        .order_by(columns.id)
    )
    return [Due(row.id, row.view, row.feature, json.loads(row.body)) for row in connection.execute(statement)]


def _pending() -> Any:
    return purges.c.done_at.is_(None) & purges.c.cancelled_at.is_(None)


def _is_back(item: Due, known: Registered) -> bool:
    """Whether the registry has it again, under the same keys, whoever registered it."""
    if ("view", item.view) in known.foreign_names:
        return True
    view = known.definitions.get(("feature_view", item.view))
    if view is None or keys_of(view.spec["entities"]) != item.keys:
        return False
    return not item.feature or item.feature in known.features[item.view]


def _cancel(connection: Connection, items: Iterable[Due]) -> None:
    ids = [item.id for item in items]
    connection.execute(update(purges).where(purges.c.id.in_(ids), _pending()).values(cancelled_at=func.now()))


def _live_fields(known: Registered, keys: Keys) -> set[bytes]:
    """Fields in use beside those to remove: a field is four bytes of a hash, so two features may share one."""
    views = [item.spec for (kind, _), item in known.definitions.items() if kind == "feature_view"]
    return {
        field(view["name"], feature["name"])
        for view in views
        if keys_of(view["entities"]) == keys
        for feature in view["features"]
    }


class _Removal:
    """One call's clients and counts."""

    def __init__(self, stores: Stores, project: str, engine: Engine, pause: Callable[[float], None]) -> None:
        self._stores = stores
        self._project = project
        self._engine = engine
        self._pause = pause
        self._done: set[int] = set()
        self._rows: dict[str, int] = {}
        self._fields: dict[str, int] = {}

    def run(self, keys: Keys, items: Sequence[Due], live: Collection[bytes]) -> None:
        """Remove the fields of purges whose rows have these keys, in one pass over them."""
        match = pattern(keys, self._project)
        with answering(self._stores.redis):
            client = connect(self._stores.redis, **CLIENT)
            try:
                for server in primaries(client):
                    cursor = -1
                    while cursor:
                        began = time.monotonic()
                        cursor, found = server.scan(max(cursor, 0), match=match, count=_BATCH)
                        mine = [key for key in found if is_key(key, keys, self._project)]
                        if mine and not self._remove(client, mine, items, live):
                            return
                        self._pause(min(time.monotonic() - began, _LONGEST_PAUSE))
            finally:
                client.close()
        with begin(self._engine, self._stores.postgres) as connection:
            self._note_done(connection, items)

    def run_in_cassandra(self, items: Sequence[Due], opened: Callable[[], CassandraRows]) -> None:
        """Remove tables of views, and rows of features in batches, each of them while its purge is locked."""
        if not items:
            return
        rows = opened()
        try:
            for item in items:
                if item.feature:
                    self._remove_feature(rows, item)
                else:
                    with begin(self._engine, self._stores.postgres) as connection:
                        if self._lock(connection, [item]):
                            rows.drop(item.view)
                            self._note_done(connection, [item])
        finally:
            rows.close()

    def _remove_feature(self, rows: CassandraRows, item: Due) -> None:
        for entities in rows.entities(item.view):
            began = time.monotonic()
            with begin(self._engine, self._stores.postgres) as connection:
                if not self._lock(connection, [item]):
                    return
                rows.remove(item.view, item.feature, entities)
            self._rows[item.view] = self._rows.get(item.view, 0) + len(entities)
            self._fields[item.view] = self._fields.get(item.view, 0) + len(entities)
            self._pause(min(time.monotonic() - began, _LONGEST_PAUSE))
        with begin(self._engine, self._stores.postgres) as connection:
            self._note_done(connection, [item])

    def _lock(self, connection: Connection, items: Sequence[Due]) -> set[int]:
        """Those that are pending still. Who registers one of them again waits for the end of the transaction."""
        locked = select(purges.c.id).where(purges.c.id.in_([item.id for item in items]), _pending())
        return set(connection.execute(locked.order_by(purges.c.id).with_for_update()).scalars())

    def _note_done(self, connection: Connection, items: Sequence[Due]) -> None:
        done = update(purges).where(purges.c.id.in_([item.id for item in items]), _pending())
        self._done |= set(connection.execute(done.values(done_at=func.now()).returning(purges.c.id)).scalars())

    def _remove(self, client: Any, found: Sequence[bytes], items: Sequence[Due], live: Collection[bytes]) -> bool:
        """Remove from these hashes what is pending still; False where nothing is."""
        with begin(self._engine, self._stores.postgres) as connection:
            pending = self._lock(connection, items)
            fields: dict[str, set[bytes]] = {}
            for item in items:
                if item.id in pending:
                    fields.setdefault(item.view, set()).update(item.fields.difference(live))
            self._delete(client, found, {view: names for view, names in fields.items() if names})
        return bool(pending)

    def _delete(self, client: Any, found: Sequence[bytes], fields: Mapping[str, Collection[bytes]]) -> None:
        """Redis removes a hash with its last field."""
        views = list(fields)
        if not views:
            return
        with client.pipeline(transaction=False) as pipe:
            for key in found:
                for view in views:
                    pipe.hdel(key, *fields[view])
            counts = pipe.execute()
        for number, view in enumerate(views):
            removed = counts[number :: len(views)]
            self._rows[view] = self._rows.get(view, 0) + sum(count > 0 for count in removed)
            self._fields[view] = self._fields.get(view, 0) + sum(removed)

    def report(self, due: Sequence[Due]) -> list[Purged]:
        """What became of everything that was due, a view at a time."""
        by_view: dict[str, list[Due]] = {}
        for item in due:
            by_view.setdefault(item.view, []).append(item)
        return [
            Purged(
                view,
                tuple(item.feature or "*" for item in items if item.id in self._done),
                tuple(item.feature or "*" for item in items if item.id not in self._done),
                self._rows.get(view, 0),
                self._fields.get(view, 0),
            )
            for view, items in by_view.items()
        ]
