"""What Prometheus is told of the operator; `health` serves it. Labels name projects and views, never a host."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

RECONCILES = Counter(
    "featureplane_reconciles", "Reconciles that ended, by result.", ["project", "result"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "featureplane_reconcile_duration_seconds",
    "How long a reconcile took.",
    ["project"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    registry=REGISTRY,
)
ERRORS = Counter(
    "featureplane_errors", "Errors met in reconciles, by their class.", ["project", "error"], registry=REGISTRY
)
QUEUE = Gauge("featureplane_queue_length", "Projects that wait to be reconciled.", registry=REGISTRY)
VIEWS = Gauge(
    "featureplane_views",
    "Feature views by condition and its status.",
    ["project", "condition", "status"],
    registry=REGISTRY,
)
REGISTRY_WRITES = Counter(
    "featureplane_registry_writes", "Objects written to Feast's registry.", ["project", "action"], registry=REGISTRY
)
API_REQUESTS = Counter(
    "featureplane_api_requests", "Requests to the Kubernetes API.", ["verb", "resource", "code"], registry=REGISTRY
)
EVENTS_DROPPED = Counter("featureplane_events_dropped", "Kubernetes Events that were not recorded.", registry=REGISTRY)
WATCH_AGE = Gauge(
    "featureplane_watch_last_event_timestamp_seconds", "When a watch last told something.", registry=REGISTRY
)
WATCH_LAG = Gauge(
    "featureplane_watch_missed_objects",
    "Objects that differed from what the watches told, at the last comparison.",
    registry=REGISTRY,
)
WRITER_BUSY = Gauge(
    "featureplane_writer_busy_since_timestamp_seconds",
    "Since when the registry's writer has worked on one request; 0 while it rests.",
    ["project"],
    registry=REGISTRY,
)
NEWEST_EVENT = Gauge(
    "featureplane_view_newest_event_timestamp_seconds",
    "Event time of a view's newest row online; its age is the view's freshness.",
    ["project", "view"],
    registry=REGISTRY,
)


def metrics_label(key: tuple[str, str]) -> str:
    """A project's label: namespace and name, for each namespace may have its `feast`."""
    return f"{key[0]}/{key[1]}"


def forget(project: str) -> None:
    """Drop the series of a project that is gone."""
    for metric in (RECONCILES, RECONCILE_SECONDS, ERRORS, VIEWS, REGISTRY_WRITES, WRITER_BUSY, NEWEST_EVENT):
        metric.remove_by_labels({"project": project})
