"""Counting in a worker: plain numbers while requests are answered, and once a second into the metrics.

A counter of prometheus_client takes 2 microseconds and a histogram 4, and a request has a dozen of them.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featureplane.serving import metrics
from featureplane.serving.counting import GRPC_ONLINE_FEATURES, ONLINE_FEATURES
from featureplane.serving.reading.answer import NOT_FOUND, OUTSIDE_MAX_AGE
from featureplane.serving.reading.deprecated import Deprecated
from featureplane.serving.reading.plan import Plan
from featureplane.serving.reading.reader import Answer
from featureplane.serving.telling import Telling

FLUSH_SECONDS = 1.0
_PROTOCOLS = {ONLINE_FEATURES: "http", GRPC_ONLINE_FEATURES: "grpc"}
_SUCCESS, _ERROR = "success", "error"
_LEAST_ERROR = 400


@dataclass(frozen=True)
class State:
    """How a worker is. `registry_checked` is in seconds since 1970; `registry_changes` counts since its start.

    Redis counts as up where the online store is another.
    """

    is_redis_up: bool
    is_store_up: bool
    is_registry_up: bool
    registry_checked: float
    registry_changes: int
    in_progress: int
    views: int


class _Tally:
    """Answers for one plan over one protocol, since the last flush."""

    __slots__ = (
        "deprecated",
        "expired",
        "missing",
        "read_seconds",
        "reads",
        "requests",
        "rows",
        "seconds",
        "sizes",
        "times",
        "views",
    )

    def __init__(self, plan: Plan) -> None:
        parts = [plan.reads[read].parts[index] for read, index in plan.order]
        self.deprecated = plan.deprecated
        self.views = tuple((part.view.name, len(part.names)) for part in parts)
        self.requests = 0
        self.rows = 0
        self.seconds = self.read_seconds = 0.0
        # How many answers fall into each bucket.
        self.times = [0] * (len(metrics.SECONDS) + 1)
        self.reads = [0] * (len(metrics.SECONDS) + 1)
        self.sizes = [0] * (len(metrics.ROWS) + 1)
        self.missing = [0] * len(parts)
        self.expired = [0] * len(parts)

    def note(self, answer: Answer, seconds: float) -> None:
        rows, read_seconds = answer.entities.rows, answer.read_seconds
        self.requests += 1
        self.rows += rows
        self.seconds += seconds
        self.read_seconds += read_seconds
        self.times[bisect_left(metrics.SECONDS, seconds)] += 1
        self.reads[bisect_left(metrics.SECONDS, read_seconds)] += 1
        self.sizes[bisect_left(metrics.ROWS, rows)] += 1
        for index, columns in enumerate(answer.columns):
            if not columns.complete:
                self.missing[index] += sum(statuses.count(NOT_FOUND) for statuses in columns.statuses)
                self.expired[index] += sum(statuses.count(OUTSIDE_MAX_AGE) for statuses in columns.statuses)

    def put(self, endpoint: str) -> None:
        """Add to the metrics."""
        metrics.REQUESTS.labels(endpoint, _SUCCESS).inc(self.requests)
        metrics.LATENCY.labels(_PROTOCOLS[endpoint]).add(self.times, self.seconds)
        features = metrics.features_label(sum(width for _, width in self.views))
        metrics.REQUEST_SECONDS.labels(endpoint, features, str(len(self.views))).add(self.times, self.seconds)
        metrics.READ_SECONDS.add(self.reads, self.read_seconds)
        metrics.RETRIEVALS.inc(self.requests)
        metrics.ENTITY_ROWS.add(self.sizes, self.rows)
        for (view, width), missing, expired in zip(self.views, self.missing, self.expired, strict=True):
            metrics.ASKED.labels(view).inc(self.requests)
            counts = {
                "present": width * self.rows - missing - expired,
                "not_found": missing,
                "outside_max_age": expired,
            }
            for status, count in counts.items():
                if count:
                    metrics.VALUES.labels(view, status).inc(count)
            metrics.MISSING.labels(view).inc(missing)
        _count_deprecated(self.deprecated, self.requests)


def _count_deprecated(asked: Sequence[Deprecated], requests: int) -> None:
    for each in asked:
        metrics.DEPRECATED.labels(each.view, each.feature, each.service).inc(requests)


class Meter:
    """A worker's `counting.Counts`; `state` says how it is at the moment. Its methods are for the loop's thread."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state
        self._changes = 0
        self._telling = Telling()
        self._tallies: dict[str, dict[Plan, _Tally]] = {endpoint: {} for endpoint in _PROTOCOLS}
        metrics.STARTS.inc()
        metrics.WORKERS.set(1)

    def answered(self, endpoint: str, answer: Answer, seconds: float) -> None:
        tallies = self._tallies[endpoint]
        tally = tallies.get(answer.plan)
        if tally is None:
            tally = tallies[answer.plan] = _Tally(answer.plan)
        tally.note(answer, seconds)

    def refused(self, endpoint: str, *, away: bool = False) -> None:
        metrics.REQUESTS.labels(endpoint, _ERROR).inc()
        if away:
            metrics.AWAY.inc()

    def pushed(self, push_source: str, to: str) -> None:
        metrics.PUSHES.labels(push_source, to).inc()

    def passed_on(self, endpoint: str, status: int, seconds: float) -> None:
        metrics.REQUESTS.labels(endpoint, _ERROR if status >= _LEAST_ERROR else _SUCCESS).inc()
        metrics.REQUEST_SECONDS.labels(endpoint, "", "").observe(seconds)

    def asked_of_feast(self, deprecated: Sequence[Deprecated]) -> None:
        _count_deprecated(deprecated, 1)
        self._telling.asked(deprecated, 1)

    def flush(self) -> None:
        """Put what was counted into the metrics, and how the worker is."""
        for endpoint, tallies in self._tallies.items():
            for tally in tallies.values():
                tally.put(endpoint)
                self._telling.asked(tally.deprecated, tally.requests)
            tallies.clear()
        state = self._state()
        metrics.REDIS_UP.set(state.is_redis_up)
        metrics.STORE_UP.set(state.is_store_up)
        metrics.REGISTRY_UP.set(state.is_registry_up)
        metrics.REGISTRY_CHECKED.set(state.registry_checked)
        metrics.REGISTRY_CHANGES.inc(state.registry_changes - self._changes)
        self._changes = state.registry_changes
        metrics.IN_PROGRESS.set(state.in_progress)
        metrics.VIEWS.set(state.views)

    async def run(self) -> None:
        """Flush, again and again, until cancelled."""
        while True:
            self.flush()
            await asyncio.sleep(FLUSH_SECONDS)
