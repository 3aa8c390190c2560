"""What Prometheus is told of the server, of all workers together: each writes files of its own, and `exposition` adds
them up (prometheus_client's multiprocess mode: `metrics_files.FOLDER` must be set before this is imported).

Names are those that users know from the reference deployment, and Feast's own with its labels (feast/metrics.py) for
what both count. `meter` does the counting.
"""

from collections.abc import Iterable, Mapping, Sequence
from glob import glob
from itertools import pairwise
from pathlib import Path
from time import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

# Apart from the library's own, in which Feast's metrics of the same names would be in the way of ours.
OURS = CollectorRegistry()

# A millisecond is told from five, which is where requests are. Feast's own bounds are among them.
SECONDS = (
    0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 10_000)


class TalliedHistogram(Histogram):
    """A histogram that takes what was counted elsewhere: an observation costs it as much as the rest of a request."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Observations, as many for each bucket, and their sum."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


LATENCY = TalliedHistogram(
    "feast_online_request_latency",
    "Seconds from a request for online features to its answer.",
    ["protocol"],
    buckets=SECONDS,
    registry=OURS,
)
REQUESTS = Counter(
    "feast_feature_server_request", "Requests by route and outcome.", ["endpoint", "status"], registry=OURS
)
REQUEST_SECONDS = TalliedHistogram(
    "feast_feature_server_request_latency_seconds",
    "Seconds from a request to its answer, by route, number of features and number of views.",
    ["endpoint", "feature_count", "feature_view_count"],
    buckets=SECONDS,
    registry=OURS,
)
READ_SECONDS = TalliedHistogram(
    "feast_feature_server_online_store_read_duration_seconds",
    "Seconds that Redis took.",
    buckets=SECONDS,
    registry=OURS,
)
RETRIEVALS = Counter("feast_online_features_request", "Answered requests for online features.", registry=OURS)
ENTITY_ROWS = TalliedHistogram(
    "feast_online_features_entity_count", "Entity rows of a request.", buckets=ROWS, registry=OURS
)
PUSHES = Counter("feast_push_request", "Pushes of rows to a push source.", ["push_source", "mode"], registry=OURS)
VALUES = Counter(
    "feast_online_features_status", "Values by view and status.", ["feature_view", "status"], registry=OURS
)
ASKED = Counter(
    "feast_feature_request_count", "Answered requests that asked for a view.", ["feature_view"], registry=OURS
)
MISSING = Counter("feast_feature_not_found_count", "Values that were not there.", ["feature_view"], registry=OURS)
_AS_KNOWN = frozenset({"feast_feature_request_count", "feast_feature_not_found_count"})

DEPRECATED = Counter(
    "featureplane_server_deprecated_requests",
    "Answered requests for what is deprecated: a view, a feature of it, or a feature service.",
    ["feature_view", "feature", "feature_service"],
    registry=OURS,
)
AWAY = Counter(
    "featureplane_server_redis_unavailable", "Requests refused because Redis did not answer in time.", registry=OURS
)
REDIS_UP = Gauge(
    "featureplane_server_redis_up",
    "Whether every worker has its connection to Redis.",
    multiprocess_mode="livemin",
    registry=OURS,
)
STORE_UP = Gauge(
    "featureplane_server_online_store_up",
    "Whether every worker reaches the online store, whichever that is.",
    multiprocess_mode="livemin",
    registry=OURS,
)
REGISTRY_UP = Gauge(
    "featureplane_server_registry_up",
    "Whether the registry answered every worker.",
    multiprocess_mode="livemin",
    registry=OURS,
)
REGISTRY_CHECKED = Gauge(
    "featureplane_server_registry_checked_timestamp_seconds",
    "When the registry last answered, for the worker where that is longest ago.",
    multiprocess_mode="livemin",
    registry=OURS,
)
REGISTRY_CHANGES = Counter(
    "featureplane_server_registry_refreshes",
    "Times that a worker found the registry changed and read it.",
    registry=OURS,
)
IN_PROGRESS = Gauge(
    "featureplane_server_requests_in_progress",
    "Requests that wait for an answer.",
    multiprocess_mode="livesum",
    registry=OURS,
)
WORKERS = Gauge("featureplane_server_workers", "Workers that run.", multiprocess_mode="livesum", registry=OURS)
STARTS = Counter("featureplane_server_worker_starts", "Workers that were started.", registry=OURS)
VIEWS = Gauge(
    "featureplane_server_feature_views", "Feature views that are served.", multiprocess_mode="livemax", registry=OURS
)
STORE_BYTES = Gauge(
    "featureplane_server_online_store_used_bytes",
    "Memory that Redis takes for all that it holds, of whomever.",
    multiprocess_mode="livemax",
    registry=OURS,
)
STORE_LIMIT = Gauge(
    "featureplane_server_online_store_limit_bytes",
    "Memory that Redis may take; 0 without a limit.",
    multiprocess_mode="livemax",
    registry=OURS,
)
# Feast does not have it: it is what freshness is made of where rows are pushed.
WRITTEN = Gauge(
    "featureplane_server_written_event_timestamp_seconds",
    "Newest event time of the rows that this server was sent, in seconds since 1970; a future one as of its arrival.",
    ["feature_view"],
    multiprocess_mode="max",
    registry=OURS,
)

FRESHNESS = "feast_feature_freshness_seconds"
_FRESHNESS_HELP = "Seconds since the newest event time of a view's rows."


def note_size(used: int, limit: int) -> None:
    """Bytes that the online store takes, and may take."""
    STORE_BYTES.set(used)
    STORE_LIMIT.set(limit)


def note_written(view: str, event_time: float) -> None:
    """A row of this event time, in seconds since 1970, was sent to this worker and taken.

    One of the future counts as of its arrival: until it is over nothing else would show that rows no longer come.
    """
    event_time = min(event_time, time())
    child = WRITTEN.labels(view)
    if event_time > child._value.get():  # noqa: SLF001 - there is no other way to ask
        child.set(event_time)


def written(folder: Path) -> Mapping[str, float]:
    """By view, the newest event time of the rows that any worker was sent."""
    merge = MultiProcessCollector.merge
    found = merge(glob(str(folder / "gauge_max_*.db")))  # type: ignore[no-untyped-call]  # noqa: PTH207 - as it asks
    return {
        sample.labels["feature_view"]: sample.value
        for family in found
        if family.name == WRITTEN._name  # noqa: SLF001 - the name that it was made with
        for sample in family.samples
    }


class _Workers(Collector):
    """What the workers wrote. Two counters are known by names that do not end as Prometheus wants counters' to."""

    def __init__(self, folder: Path) -> None:
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]  # it publishes no types

    def collect(self) -> Iterable[Metric]:
        for family in self._files.collect():  # type: ignore[no-untyped-call]  # nor here
            if family.name in _AS_KNOWN:
                family.type = "unknown"
                family.samples = [sample._replace(name=family.name) for sample in family.samples]
            yield family


class _Ages(Collector):
    """Freshness, worked out at the moment of asking: a stored age would stand still."""

    def __init__(self, project: str, ages: Iterable[tuple[str, float]]) -> None:
        self._project = project
        self._ages = ages

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(FRESHNESS, _FRESHNESS_HELP, labels=["feature_view", "project"])
        for view, seconds in self._ages:
            family.add_metric([view, self._project], seconds)
        yield family


def exposition(folder: Path, project: str, ages: Iterable[tuple[str, float]]) -> bytes:
    """All workers' metrics in Prometheus' text format, and for each view of `ages` the seconds since its newest row."""
    registry = CollectorRegistry()
    registry.register(_Workers(folder))
    registry.register(_Ages(project, ages))
    return generate_latest(registry)


def features_label(count: int) -> str:
    """Feast's bins for numbers of features (feast/feature_server.py, `bin_feature_count`, with its default bounds)."""
    bounds = (0, 10, 50, 200)
    for below, most in pairwise(bounds):
        if count <= most:
            return f"{below + 1}-{most}" if count else "0"
    return f"{bounds[-1] + 1}+"
