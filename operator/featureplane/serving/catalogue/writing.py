"""Follows what writing asks of the registry, beside `followed`: messages as they change, and our notes of checks.

Views that take more than their rows' values (on demand, of a stream, of a label, with a vector index) are Feast's to
write; which push sources they have is known, so that what is pushed to one is written by one of the two.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from featureplane.errors import FeatureplaneError
from featureplane.model.types import FeatureType
from featureplane.online import expiring
from featureplane.online.expiry import Expiry, expiries
from featureplane.online.layout import Keys
from featureplane.registry import feast_rows, view_checks
from featureplane.registry.field_types import NoDefinition, field_type
from featureplane.registry.protos import DataSource
from featureplane.serving.catalogue.served import ServedView
from featureplane.serving.catalogue.writable import Checks, WritableView, Writing

Transaction = Callable[[], AbstractContextManager[Connection]]
logger = logging.getLogger(__name__)


class FollowedWriting:
    """`snapshot` says what was taken by now. `key_ttl_seconds` is Feast's option of the online store, 0 for none.

    Until it `is_noted` which keys expire, rows are written without an expiry, and a later `snapshot` notes it.
    """

    def __init__(self, project: str, key_ttl_seconds: int = 0) -> None:
        self._project = project
        self._key_ttl_seconds = key_ttl_seconds
        self.is_noted = True
        self._versions: dict[str, str] = {}
        self._checks: dict[str, Checks] = {}
        self._views: dict[str, WritableView] = {}
        self._push_sources: dict[str, str] = {}
        self._precomputed: dict[str, frozenset[str]] = {}
        self._noted: frozenset[Keys] = frozenset()
        self._is_ours = False

    def refresh(self, connection: Connection, *, is_ours: bool) -> bool:
        """Look for changed checks; whether there were any. They may change where no row of Feast's does.

        `is_ours` says whether our tables are there: rows expire as we know it from then on.
        """
        is_first = is_ours and not self._is_ours
        self._is_ours = is_ours
        if not is_ours:
            return False
        versions = view_checks.versions(connection, self._project)
        changed = [name for name, version in versions.items() if self._versions.get(name) != version]
        gone = self._versions.keys() - versions.keys()
        for name in (*gone, *changed):
            self._checks.pop(name, None)
        self._checks |= view_checks.checks_of(connection, self._project, changed)
        self._versions = versions
        return bool(changed or gone or is_first)

    def take(self, kind: str, message: Any) -> None:
        """A message that is new, or has changed."""
        name = message.spec.name
        if kind == "feature_view":
            view = writable_view_of(message)
            self._views.pop(name, None)
            if view is not None:
                self._views[name] = view
            self._take_push_source(message)
        elif kind == "feature_service":
            views = frozenset(each.feature_view_name for each in message.spec.features)
            self._precomputed[name] = views if message.spec.precompute_online else frozenset()

    def take_other_views(self, connection: Connection, changed: Iterable[tuple[str, str]]) -> None:
        """Views of other sorts, by the tables that they are in."""
        for message in feast_rows.other_views(connection, self._project, changed):
            self._take_push_source(message)

    def _take_push_source(self, message: Any) -> None:
        self._push_sources[message.spec.name] = push_source_of(message)

    def snapshot(
        self, views: Mapping[str, ServedView | None], services: Collection[str], transaction: Transaction
    ) -> Writing:
        """What is known of these views and services: others have gone. A view that is None is of another sort."""
        self._views = {name: view for name, view in self._views.items() if name in views}
        self._push_sources = {name: source for name, source in self._push_sources.items() if name in views}
        self._precomputed = {name: names for name, names in self._precomputed.items() if name in services}
        pushed: dict[str, list[str]] = {}
        for view, source in self._push_sources.items():
            if source:
                pushed.setdefault(source, []).append(view)
        return Writing(
            self._views,
            self._checks.copy(),
            {source: tuple(names) for source, names in pushed.items()},
            frozenset().union(*self._precomputed.values()),
            *self._expiring(views, transaction),
        )

    def _expiring(
        self, views: Mapping[str, ServedView | None], transaction: Transaction
    ) -> tuple[Mapping[Keys, Expiry], Expiry | None]:
        """What rows expire by, and what those do that do not expire."""
        if not self._is_ours:  # Feast's own option is all that it knows
            return {}, Expiry(key_ttl_seconds=self._key_ttl_seconds) if self._key_ttl_seconds else None
        ttls = [(view.join_keys, int(view.ttl)) for view in views.values() if view is not None]
        found = expiries(ttls, self._key_ttl_seconds, is_complete=None not in views.values())
        new = found.keys() - self._noted
        if new:
            # Known before the first row expires: a run takes the expiry away again once no view has a ttl.
            try:
                with transaction() as connection:
                    expiring.note(connection, self._project, new)
            except FeatureplaneError as error:
                if self.is_noted:
                    logger.warning("rows that are pushed do not expire for now: %s", error)
                self.is_noted = False
                return {}, Expiry()
            self._noted |= new
        self.is_noted = True
        return found, Expiry()


def writable_view_of(message: Any) -> WritableView | None:
    """A FeatureView; None where Feast alone can write it."""
    spec = message.spec
    source = spec.batch_source
    if (
        not spec.HasField("batch_source")
        or not source.timestamp_field
        or any(each.vector_index for each in spec.features)
    ):
        return None
    try:
        kinds = tuple(_shared(field_type(each)) for each in spec.features)
    except (NoDefinition, KeyError, TypeError, ValueError):
        return None
    columns = {name: column for column, name in source.field_mapping.items()} if source.field_mapping else {}
    return WritableView(kinds, source.timestamp_field, columns)


def push_source_of(message: Any) -> str:
    """The push source of a view of whatever sort; empty where it has none, as on-demand views never have."""
    known = message.spec.DESCRIPTOR.fields_by_name
    name = next((each for each in ("source", "stream_source") if each in known), None)
    if name is None or not message.spec.HasField(name):
        return ""
    source = getattr(message.spec, name)
    return str(source.name) if source.type == DataSource.PUSH_SOURCE else ""


@lru_cache(4096)
def _shared(kind: FeatureType) -> FeatureType:
    """Thousands of features share a few types."""
    return kind
