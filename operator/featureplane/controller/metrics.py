"""What Prometheus is told of the operator; `health` serves it. Labels name projects and views, never a host.

A Job's pod ends before it is scraped: what its runs did is told here, from the run history. Names that begin with
`feast_` are Feast's own, labels and buckets too (feast/metrics.py), with the project beside them; but for the gauge
`feast_materialization_duration`, a name that alerts ask for.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from featureplane.materialization.history import SUCCEEDED, Run
from featureplane.parity.kinds import EXCUSED, WRONG
from featureplane.parity.outcomes import Outcome

# A series of each counter that says when it began to count: as many again, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
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

PARITY_RATE = Gauge(
    "featureplane_parity_rate",
    "Share of a view's compared entities of which what is served is what the source says, at the last check.",
    ["project", "view"],
    registry=REGISTRY,
)
PARITY_COMPARED = Gauge(
    "featureplane_parity_compared", "Entities that the last check compared.", ["project", "view"], registry=REGISTRY
)
PARITY_MISMATCHES = Gauge(
    "featureplane_parity_mismatches",
    "Entities by what came of them at the last check; ahead and pending are no mistakes.",
    ["project", "view", "kind"],
    registry=REGISTRY,
)
# What these say of each project's views: thousands of them change once a day, and are told of at every look.
_compared: dict[str, dict[str, Outcome]] = {}

_OF_A_VIEW = ("project", "feature_view")
RUN_SECONDS = Histogram(
    "feast_materialization_duration_seconds",
    "Duration of materialization per feature view in seconds.",
    _OF_A_VIEW,
    buckets=(1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    registry=REGISTRY,
)
LAST_RUN_SECONDS = Gauge(
    "feast_materialization_duration",
    "How many seconds a view's newest run took.",
    _OF_A_VIEW,
    registry=REGISTRY,
)
RUNS = Counter(
    "feast_materialization_result",
    "Total materialization runs per feature view; status is success or failure.",
    [*_OF_A_VIEW, "status"],
    registry=REGISTRY,
)


def _sum_of(name: str, text: str) -> Counter:
    return Counter(f"featureplane_materialization_{name}", text, _OF_A_VIEW, registry=REGISTRY)


# By the field of a run that they are the sum of. What is not known of a run (see `history.Run`) adds nothing.
RUN_SUMS = {
    "rows_read": _sum_of("rows_read", "Rows that runs read in their windows."),
    "rows_written": _sum_of("rows_written", "Rows that runs wrote."),
    "rows_skipped": _sum_of("rows_skipped", "Rows that runs left out: something newer is stored."),
    "rows_rejected": _sum_of("rows_rejected", "Rows that runs left out: a check or a type refused them."),
    "rows_late": _sum_of("rows_late", "Rows that came later than a window reached back."),
    "bytes_written": _sum_of("bytes_written", "Bytes that runs sent to the online store."),
}
_OF_RUNS = (RUN_SECONDS, LAST_RUN_SECONDS, RUNS, *RUN_SUMS.values())
# The views of each project that any of these has a series of.
_measured: dict[str, set[str]] = {}


def metrics_label(key: tuple[str, str]) -> str:
    """A project's label: namespace and name, for each namespace may have its `feast`."""
    return f"{key[0]}/{key[1]}"


def count_runs(project: str, ended: Iterable[Run]) -> None:
    """Add runs that ended, each of them once (see `tally`)."""
    for run in ended:
        _measured.setdefault(project, set()).add(run.view)
        RUN_SECONDS.labels(project, run.view).observe(run.seconds)
        RUNS.labels(project, run.view, "success" if run.result == SUCCEEDED else "failure").inc()
        for name, counter in RUN_SUMS.items():
            counter.labels(project, run.view).inc(getattr(run, name) or 0)


def show_newest_run(project: str, run: Run) -> None:
    """Tell how long a view's newest run took, also one of before this process."""
    _measured.setdefault(project, set()).add(run.view)
    LAST_RUN_SECONDS.labels(project, run.view).set(run.seconds)


def show_parity(project: str, found: Mapping[str, Outcome]) -> None:
    """Tell what the last check of each view found, and nothing of any other."""
    before = _compared.get(project, {})
    for view in before.keys() - found.keys():
        _forget_parity(project, view)
    for view, outcome in found.items():
        if before.get(view) is outcome:
            continue
        if outcome.rate is None:
            _forget_parity(project, view)
            continue
        PARITY_RATE.labels(project, view).set(outcome.rate)
        PARITY_COMPARED.labels(project, view).set(outcome.compared)
        for kind in (*WRONG, *EXCUSED):
            PARITY_MISMATCHES.labels(project, view, kind.value).set(outcome.counts.get(kind, 0))
    _compared[project] = dict(found)


def _forget_parity(project: str, view: str) -> None:
    for metric in (PARITY_RATE, PARITY_COMPARED, PARITY_MISMATCHES):
        for more in [(kind.value,) for kind in (*WRONG, *EXCUSED)] if metric is PARITY_MISMATCHES else [()]:
            with suppress(KeyError):
                metric.remove(project, view, *more)


def keep_views(project: str, views: Collection[str]) -> None:
    """Drop the series of runs of all other views of the project: they are gone."""
    for view in _measured.get(project, set()).difference(views):
        _measured[project].discard(view)
        for metric in _OF_RUNS:
            for more in (("success",), ("failure",)) if metric is RUNS else ((),):
                with suppress(KeyError):  # by its labels, and not by a look at all series
                    metric.remove(project, view, *more)


def forget(project: str) -> None:
    """Drop the series of a project that is gone."""
    _measured.pop(project, None)
    show_parity(project, {})
    _compared.pop(project, None)
    for metric in (
        RECONCILES, RECONCILE_SECONDS, ERRORS, VIEWS, REGISTRY_WRITES, WRITER_BUSY, NEWEST_EVENT, *_OF_RUNS
    ):  # fmt: skip
        metric.remove_by_labels({"project": project})
