"""The check of views: what runs have copied of each, what its source says, what is served, and where they differ."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable, SourceChanged
from featureplane.materialization.history import copied_windows
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.rows import View, Window, view_of
from featureplane.materialization.windows import BEGINNING, due, view_plans
from featureplane.model.feast_project import FeastProject
from featureplane.model.types import parse_type
from featureplane.online.layout import entity_of
from featureplane.parity.differences import Found, Rows, worst
from featureplane.parity.judging import Copied, Judge, Judged, micros
from featureplane.parity.kinds import EXCUSED, Kind
from featureplane.parity.outcomes import Outcome
from featureplane.parity.sample import Sample, number, share_of
from featureplane.parity.served import online_keys, online_rows
from featureplane.parity.source import NOTHING, Sampled, sampled
from featureplane.registry.database import begin, engine_for
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.served import Catalogue
from featureplane.settings import Stores

# Rows that expire so soon are not compared: they may go between the one reading and the other, and clocks differ.
_EDGE = timedelta(minutes=1)
# A source that is replaced while it is read is read anew, but not for ever.
_BEGINNINGS = 3
# After any row. Nanoseconds reach to 2262.
_END = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Options:
    """Up to `sample` entities of each view, chosen by `seed`, and its `differences` worst differences. With a `window`
    only entities that have a row in so long a time before the last run's end.
    """

    sample: int
    seed: int
    window: timedelta | None = None
    differences: int = 0


def check(
    project: FeastProject,
    stores: Stores,
    places: Places,
    known: Registered,
    views: Sequence[Definition],
    options: Options,
) -> Iterator[Outcome]:
    """What comes of each of these registered views, one after the other.

    Raises StoreUnavailable where the registry or Redis does not answer: no other view would fare better;
    FeatureplaneError where rows are not in Redis. What else is wrong with a view is said in its outcome.
    """
    if project.spec.online_store.cassandra is not None:
        name = project.spec.project
        raise FeatureplaneError(f"the rows of {name!r} are in Cassandra, and parity compares what is in Redis")
    engine = engine_for(stores.postgres)
    followed = Followed(stores.postgres, project.spec.project)
    try:
        followed.refresh(thoroughly=True)
        checker = _Checker(project, stores, places, engine, followed.catalogue, options)
        for item in views:
            try:
                yield checker.check(item, known)
            except OnlineStoreUnavailable:
                raise
            except FeatureplaneError as error:
                yield Outcome(item.name, datetime.now(UTC), message=str(error), failed=True)
            except Exception as error:  # noqa: BLE001 - whatever a library meets in one view's rows is no other's matter
                cause = (str(error).splitlines() or [""])[0] if options.differences else ""
                yield Outcome(item.name, datetime.now(UTC), message=_unexpected(error), failed=True, cause=cause)
    finally:
        followed.close()
        engine.dispose()


def _unexpected(error: Exception) -> str:
    """Without its words, which may hold values."""
    return f"{type(error).__name__} when it was compared; featureplane parity with --differences says more"


@dataclass(frozen=True)
class _Checker:
    project: FeastProject
    stores: Stores
    places: Places
    engine: Engine
    catalogue: Catalogue
    options: Options

    def check(self, item: Definition, known: Registered) -> Outcome:
        now = datetime.now(UTC)
        try:
            view = view_of(self.project.spec.project, item, known.definitions)
        except KeyError:
            return Outcome(item.name, now, message="its source is not registered; apply it anew", failed=True)
        copied = self._copied(item, now)
        if not copied.windows:
            return Outcome(item.name, now, message="no run has copied it yet")
        fit = self._fit(view, now)
        start = max(fit, copied.until - self.options.window) if self.options.window else fit
        asked = [] if self.options.window else self._found_online(view)
        source = self._sampled(view, Window(start, copied.until), asked) if start <= copied.until else NOTHING
        entities = _entities(view, source, asked)
        online = asyncio.run(online_rows(self.stores.redis, self.catalogue, view, [values for _, values in entities]))
        rows = [
            Rows(key, values, served, source.rows.get(key))
            for (key, values), served in zip(entities, online, strict=True)
        ]
        judge = Judge([parse_type(kind) for _, kind in view.features], copied, self._is_written(view))
        found = list(_judged(judge, rows, micros(self._fit(view, datetime.now(UTC)))))
        found = self._with_later_rows(view, copied, found)
        return self._outcome(view, now, copied, source, found)

    def _fit(self, view: View, now: datetime) -> datetime:
        """What is older has expired, or will in a moment."""
        return now - timedelta(seconds=view.ttl_seconds) + _EDGE if view.ttl_seconds else BEGINNING

    def _with_later_rows(self, view: View, copied: Copied, found: Sequence[Found]) -> list[Found]:
        """A source that keeps one row of each entity has lost, where it has a later one, what is online by right."""
        extra = [each.rows.key for each in found if each.judged.kind == Kind.EXTRA]
        if not extra:
            return list(found)
        window = Window(copied.until + timedelta(microseconds=1), _END)
        later = self._sampled(view, window, extra, len(extra)).values
        return [
            replace(each, judged=Judged(Kind.PENDING, each.judged.same))
            if each.judged.kind == Kind.EXTRA and each.rows.key in later
            else each
            for each in found
        ]

    def _copied(self, item: Definition, now: datetime) -> Copied:
        with begin(self.engine, self.stores.postgres) as connection:
            windows = copied_windows(connection, self.project.spec.project, item.name)
        plans = view_plans([item], self.project.spec.schedules)
        ends = [each.end for each in windows if not each.by_hand]
        (ahead,) = due(plans, now, {item.name: max(ends)} if ends else {}) or (None,)
        return Copied(windows, micros(ahead.start) if ahead else None, item.extras["initial"])

    def _found_online(self, view: View) -> list[bytes]:
        size, seed = self.options.sample, self.options.seed
        keys = online_keys(self.stores.redis, view, size)
        return sorted(keys, key=lambda key: number(key, seed))[: share_of(size)]

    def _sampled(self, view: View, window: Window, asked: Sequence[bytes], size: int | None = None) -> Sampled:
        for left in reversed(range(_BEGINNINGS)):
            try:
                sample: Sample[Any] = Sample(size or self.options.sample, self.options.seed, asked)
                return sampled(view, window, self.places, sample)
            except SourceChanged:
                if not left:
                    raise
        raise AssertionError("the last attempt returned or raised")

    def _is_written(self, view: View) -> bool:
        return view.takes_pushes or self.project.spec.server.writes.enabled

    def _outcome(self, view: View, now: datetime, copied: Copied, source: Sampled, found: Sequence[Found]) -> Outcome:
        counts = Counter(each.judged.kind for each in found)
        counted = [each.judged.same for each in found if each.judged.kind not in EXCUSED]
        rejected = len(source.values) - len(source.rows)
        message = (
            f"{rejected} of the sampled rows are refused by a check or a type, and not compared" if rejected else ""
        )
        if not found and not message:
            message = "neither the source nor the online store has a row that is fit for use"
        return Outcome(
            view.name,
            now,
            {kind: counts[kind] for kind in Kind},
            sum(map(len, counted)),
            sum(map(sum, counted)),
            copied.until,
            message,
            differences=worst(view, found, self.options.differences),
        )


def _entities(view: View, source: Sampled, asked: Sequence[bytes]) -> list[tuple[bytes, tuple[Any, ...]]]:
    """Key and join keys' values of those to compare: a row that no run may copy says nothing of its entity."""
    found = [(key, source.values[key]) for key in source.rows]
    read = [(key, entity_of(key, view.keys, view.project)) for key in asked if key not in source.values]
    return [*found, *((key, values) for key, values in read if values is not None)]


def _judged(judge: Judge, rows: Iterable[Rows], fit: int) -> Iterator[Found]:
    """Those of which at least one row is fit for use, or none at all."""
    for each in rows:
        times = [time for time in (each.online.time, each.offline.time if each.offline else None) if time is not None]
        is_fit = each.online.is_unreadable or max(times, default=fit - 1) >= fit
        if is_fit and (judged := judge.judge(each.online, each.offline)) is not None:
            yield Found(each, judged)
