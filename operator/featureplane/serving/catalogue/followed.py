"""What is registered for a project, kept as the registry has it: rows that changed are read, and no others.

A change of ours is a new number in `changes`. What others write to Feast's tables shows in the rows' versions (xmin,
the number of the transaction that wrote a row; postgresql.org, "System Columns"): Feast's own time of the last change
has a resolution of a second. Where only Feast writes, there are no numbers to ask for, and the rows are looked at as
often: not at all while nobody has written to the database, and else at one number for each table, which takes less than
a millisecond here and a few in the database for 5,000 views.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from featureplane.registry import feast_rows
from featureplane.registry.database import begin, engine_for
from featureplane.serving.catalogue.freshness import Freshness
from featureplane.serving.catalogue.served import (
    Catalogue,
    Described,
    Projection,
    ServedView,
    described_of,
    service_of,
    view_of,
)
from featureplane.serving.catalogue.snapshots import Snapshots
from featureplane.serving.catalogue.writable import Writing
from featureplane.settings import PostgresAddress

if TYPE_CHECKING:
    from featureplane.serving.catalogue.writing import FollowedWriting

Key = tuple[str, str]

_VIEW, _SERVICE, _ENTITY, _STREAM = "feature_view", "feature_service", "entity", feast_rows.STREAM_VIEWS
_AT_ONCE = 1_000


class Followed:
    """The project's `catalogue`, made anew by `refresh`. Where clients say who they are, it `minds_permissions`; what
    writing asks for is left out without a `writing`. See `view_of` for `is_versioned`.
    """

    def __init__(
        self,
        address: PostgresAddress,
        project: str,
        writing: "FollowedWriting | None" = None,
        *,
        is_versioned: bool = False,
        minds_permissions: bool = False,
    ) -> None:
        self.catalogue = Catalogue(project, is_versioned=is_versioned)
        self._minds_permissions = minds_permissions
        self._address = address
        self._engine = engine_for(address, "featureplane-server")
        self.freshness = Freshness(self._engine, address, project)
        self._versions: dict[Key, str] = {}
        self._views: dict[str, ServedView | None] = {}
        self._services: dict[str, tuple[Projection, ...] | None] = {}
        self._described_services: dict[str, Described] = {}
        self._entities: dict[str, str] = {}
        # As of the last look at rows: see `feast_rows`.
        self._snapshot = ""
        self._snapshots = Snapshots(self._engine)
        self._digest: tuple[Any, ...] = ()
        self._number: int | None = None
        self._has_ours = False
        self._unreadable: set[Key] = set()
        self._writing = writing
        convert_view = partial(view_of, is_versioned=is_versioned)
        self._convert: dict[str, Callable[[Any], Any]] = {
            _VIEW: convert_view,
            _STREAM: convert_view,
            _SERVICE: service_of,
            _ENTITY: lambda message: message.spec.join_key,
        }

    @property
    def problem(self) -> str:
        """Which rows of the registry cannot be read; empty while all can."""
        if not self._unreadable:
            return ""
        kind, name = min(self._unreadable)
        more = f" and {len(self._unreadable) - 1} more" if self._unreadable - {(kind, name)} else ""
        return f"the registry's row of the {kind.replace('_', ' ')} {name!r}{more} cannot be read"

    def refresh(self, *, thoroughly: bool = False) -> bool:
        """Look for changes; whether there were any. `thoroughly` also finds what others than we wrote.

        Raises FeatureplaneError where the registry does not answer; what was known stays. A row that cannot be read is
        a `problem`, and stays what it was.
        """
        is_new = self._look(thoroughly=thoroughly)
        if self._writing is None or self._writing.is_noted:
            return is_new
        # The note that failed is tried again, though nothing else may have changed since.
        self.catalogue = replace(self.catalogue, writing=self._what_is_written(self._writing))
        return is_new or self._writing.is_noted

    def _look(self, *, thoroughly: bool) -> bool:
        if not thoroughly and self._snapshots.now() == self._snapshot != "":
            return False
        self._snapshots.give_back()
        with begin(self._engine, self._address) as connection:
            snapshot = feast_rows.snapshot(connection)
            self._restrict(connection)
            self._has_ours = self._has_ours or feast_rows.has_schema(connection)
            number = feast_rows.last_change(connection, self.catalogue.project) if self._has_ours else None
            if number is not None and number == self._number and not thoroughly:
                return False
            noted = self._writing is not None and self._writing.refresh(connection, is_ours=self._has_ours)
            digest = feast_rows.digest(connection, self.catalogue.project)
            is_new = (noted or digest != self._digest) and self._compare(connection, noted=noted)
            self._snapshot, self._digest, self._number = snapshot, digest, number
        return is_new

    def close(self) -> None:
        self._snapshots.give_back()
        self._engine.dispose()

    def _compare(self, connection: Connection, *, noted: bool) -> bool:
        """Take what has changed; whether there was anything. What writing asks for has changed when it is `noted`."""
        versions = feast_rows.versions(connection, self.catalogue.project)
        changed = [key for key, version in versions.items() if self._versions.get(key) != version]
        gone = self._versions.keys() - versions.keys()
        is_new = bool(changed or gone or noted)
        if is_new:
            self._take(connection, changed, gone)
        self._versions = versions
        return is_new

    def _restrict(self, connection: Connection) -> None:
        """Permissions are Feast's alone: no number of ours says that there is a first one, so each look asks."""
        if self._minds_permissions:
            restricted = feast_rows.has_permissions(connection, self.catalogue.project)
            if restricted != self.catalogue.restricted:
                self.catalogue = replace(self.catalogue, restricted=restricted)

    def _take(self, connection: Connection, changed: list[Key], gone: Iterable[Key]) -> None:
        views, services, entities = dict(self._views), dict(self._services), dict(self._entities)
        described = dict(self._described_services)
        tables: dict[str, dict[str, Any]] = {_VIEW: views, _STREAM: views, _SERVICE: services, _ENTITY: entities}
        for kind, name in gone:
            tables.get(kind, views).pop(name, None)
        for kind, name in changed:
            if kind not in tables:  # a view of another sort
                views[name] = None
        wanted = [key for key in changed if key[0] in tables]
        self._unreadable -= {*changed, *gone}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            for kind, name, message in feast_rows.messages_of(connection, self.catalogue.project, some):
                if message is None:  # what it was is served on
                    self._unreadable.add((kind, name))
                else:
                    tables[kind][name] = self._convert[kind](message)
                    if kind == _SERVICE:
                        described[name] = described_of(message.spec)
                    if self._writing is not None:
                        self._writing.take(kind, message)
        if self._writing is not None:
            self._writing.take_other_views(connection, changed)
        self._views, self._services, self._entities = views, services, entities
        self._described_services = {name: described[name] for name in services if name in described}
        left = {("view", name) for name, view in views.items() if view is None}
        left |= {("feature_service", name) for name, service in services.items() if service is None}
        self.catalogue = Catalogue(
            self.catalogue.project,
            {name: view for name, view in views.items() if view is not None},
            {name: service for name, service in services.items() if service is not None},
            entities,
            frozenset(left),
            self.catalogue.restricted,
            Writing() if self._writing is None else self._what_is_written(self._writing),
            self.catalogue.is_versioned,
            self._described_services,
        )

    def _what_is_written(self, writing: "FollowedWriting") -> Writing:
        return writing.snapshot(self._views, self._services, partial(begin, self._engine, self._address))
