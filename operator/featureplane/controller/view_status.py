"""The status of a FeatureView: what is so, why, and what to do next. Pure.

Ready is what `kubectl wait` waits for: valid, registered, copied once where it is to be online, and fresh. Consistent
is there where the project asks for checks of what is served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from featureplane.controller.conditions import Condition, time, under_way, written
from featureplane.controller.inventory import Item
from featureplane.errors import Problem
from featureplane.materialization.history import SUCCEEDED, Run
from featureplane.materialization.outlook import MOST_RUNS
from featureplane.model.cron import next_time
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_view import NEVER, FeatureView
from featureplane.parity.outcomes import Outcome

# A run takes a while after it is due.
_GRACE = timedelta(minutes=15)
_LONGEST_RUN_MESSAGE = 512
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Facts:
    """What is known of a view beside its object. `unregistered` says why it is not registered as declared, if so."""

    project: FeastProject | None
    problems: Sequence[Problem] = ()
    digest: str = ""
    unregistered: tuple[str, str] | None = None
    runs: Sequence[Run] = ()
    # None where the registry could not be asked.
    waits: bool | None = False
    held: tuple[str, str] | None = None
    # That the view or features of it are deprecated.
    deprecated: Condition | None = None
    parity: Outcome | None = None


def view_status(item: Item, facts: Facts, now: datetime) -> tuple[dict[str, Any], list[Condition]]:
    """The whole status, and its conditions once more for Events."""
    previous = item.status
    runs = _runs(facts.runs, previous.get("runs") or [])
    newest = _newest(facts.runs, previous.get("maxEventTimestamp"))
    schedule = _schedule(item, facts.project)
    conditions = _conditions(item, facts, runs, now)
    status = {
        "observedGeneration": item.generation,
        "conditions": written(conditions, item.generation, previous.get("conditions") or [], now),
        "runs": runs,
        "maxEventTimestamp": newest,
        "nextScheduleTime": _next_run(schedule, facts, previous, now),
        "digest": facts.digest or previous.get("digest"),
    }
    return {key: value for key, value in status.items() if value not in (None, [])}, conditions


def stale_at(item: Item, project: FeastProject | None, runs: Sequence[Mapping[str, Any]]) -> datetime | None:
    """When the view misses its second run in a row; None where it has no schedule or never ran."""
    schedule = _schedule(item, project)
    ended = [run["completionTime"] for run in runs if run["result"] == SUCCEEDED]
    if schedule is None or not ended:
        return None
    last = datetime.fromisoformat(max(ended)).astimezone(UTC)
    return next_time(*schedule, next_time(*schedule, last)) + _GRACE


def _conditions(item: Item, facts: Facts, runs: Sequence[Mapping[str, Any]], now: datetime) -> list[Condition]:
    valid = _valid(facts.problems)
    registered = _registered(facts)
    materialized = _materialized(item, facts, runs)
    fresh = _fresh(item, facts, runs, now)
    first_wrong = next((each for each in (valid, registered, materialized, fresh) if each.status == "False"), None)
    suspended = isinstance(item.model, FeatureView) and item.model.spec.suspend
    if first_wrong:
        ready = Condition("Ready", "False", first_wrong.reason, first_wrong.message)
    elif registered.status == "Unknown" or materialized.reason == _UNASKED:
        why = registered if registered.status == "Unknown" else materialized
        ready = Condition("Ready", "Unknown", why.reason, why.message)
    else:
        ready = Condition("Ready", "True", "Suspended" if suspended else "Ready", _READY[suspended])
    if facts.held:
        ready = Condition("Ready", "False", *facts.held)
    stated = (facts.deprecated,) if facts.deprecated else ()
    conditions = [ready, valid, registered, materialized, fresh, *_consistent(item, facts), *stated]
    if facts.held or item.deleting:
        reason, message = facts.held or ("Deleting", "it is being taken out of the registry")
        return [*conditions, Condition("Reconciling", "True", reason, message)]
    if valid.status == "False":
        return [*conditions, Condition("Stalled", "True", valid.reason, valid.message)]
    if registered.status != "True" or materialized.reason == "WaitingForFirstRun":
        why = registered if registered.status != "True" else materialized
        return [*conditions, under_way(why.reason, why.message)]
    return conditions


_READY = {
    True: "registered and served as it is; its scheduled runs are suspended",
    False: "all is as declared",
}


def _valid(problems: Sequence[Problem]) -> Condition:
    if not problems:
        return Condition("Valid", "True", "Valid")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    anew = _ANEW if any(problem.reason in _BY_NAME for problem in problems) else ""
    return Condition("Valid", "False", problems[0].reason, "; ".join(map(str, problems[:3])) + more + anew)


# What an object is called, and what it belongs to, cannot be changed in it.
_BY_NAME = frozenset({"NameConflict", "EntityConflict", "ProjectNotFound"})
_ANEW = "; to change names, entities or the project, delete this object and create it anew"


def _registered(facts: Facts) -> Condition:
    if facts.problems:
        return Condition("Registered", "Unknown", facts.problems[0].reason, "what was last registered stays")
    if facts.unregistered:
        reason, message = facts.unregistered
        return Condition("Registered", "False", reason, message)
    return Condition("Registered", "True", "Registered")


def _materialized(item: Item, facts: Facts, runs: Sequence[Mapping[str, Any]]) -> Condition:  # noqa: PLR0911 - a list
    kind = "Materialized"
    if not isinstance(item.model, FeatureView):
        return Condition(kind, "Unknown", "Invalid")
    if not item.model.spec.online:
        return Condition(kind, "Unknown", "Offline", "online is false: no rows are copied")
    if facts.waits is None:
        return _as_before(item, kind, facts.digest)
    if runs and runs[0]["result"] != SUCCEEDED:
        message = f"the last run failed: {runs[0].get('message', '')}; the next one tries again"
        return Condition(kind, "False", "RunFailed", message)
    if any(run["result"] == SUCCEEDED for run in runs) and not facts.waits:
        return Condition(kind, "True", "Copied")
    if item.model.spec.materialization.schedule == NEVER:
        return Condition(kind, "Unknown", "NotScheduled", "schedule is never: it is pushed to, or copied by hand")
    if item.model.spec.suspend:
        return Condition(kind, "Unknown", "Suspended", "no run starts while suspend is true")
    if facts.unregistered or facts.problems:
        return Condition(kind, "Unknown", "NotRegistered")
    if not facts.waits:
        return Condition(kind, "Unknown", "NoRuns", "nothing was copied since it was registered; its schedule will")
    return Condition(
        kind, "False", "WaitingForFirstRun",
        "its rows are not online yet; kubectl get jobs -l component=materialization shows the run",
    )  # fmt: skip


# What is not known of a view before the registry was asked for the first time.
_UNASKED = "RegistryUnavailable"
# Reasons that may be past without anything having happened in the registry.
_OF_THE_OBJECT = frozenset({"Offline", "Invalid", "NotRegistered", "Suspended", "NotScheduled"})


def _as_before(item: Item, kind: str, digest: str) -> Condition:
    """What the status said last of the same definition: a registry that does not answer changes nothing about rows that
    are online.
    """
    is_same = item.status.get("digest") == digest
    for each in item.status.get("conditions") or ():
        if each["type"] == kind and is_same and each["reason"] not in _OF_THE_OBJECT:
            return Condition(kind, each["status"], each["reason"], each.get("message", ""))
    return Condition(kind, "Unknown", _UNASKED, "the registry could not be asked for its runs yet")


def _fresh(item: Item, facts: Facts, runs: Sequence[Mapping[str, Any]], now: datetime) -> Condition:
    kind = "Fresh"
    if not isinstance(item.model, FeatureView) or item.model.spec.suspend:
        return Condition(kind, "Unknown", "Suspended" if item.model else "Invalid")
    due = stale_at(item, facts.project, runs)
    if due is None:
        return Condition(kind, "Unknown", "NoRuns")
    if due <= now:
        message = "two runs in a row did not succeed; look at kubectl get jobs -l component=materialization"
        return Condition(kind, "False", "RunsMissing", message)
    return Condition(kind, "True", "UpToDate")


def _consistent(item: Item, facts: Facts) -> list[Condition]:
    """Whether what is served is what the source says; nothing where nobody compares. It makes no view unready: what is
    served is the best that there is.
    """
    kind = "Consistent"
    compared = facts.project.spec.parity if facts.project else None
    if compared is None or not isinstance(item.model, FeatureView) or not item.model.spec.online:
        return []
    if facts.waits is None:
        return [_as_before(item, kind, facts.digest)]
    found = facts.parity
    if found is None:
        return [Condition(kind, "Unknown", "NotChecked", "nobody has compared it with its source yet")]
    if found.failed or found.rate is None:
        return [Condition(kind, "Unknown", "CheckFailed" if found.failed else "NothingCompared", found.words())]
    if found.is_below(compared.minimum_rate):
        message = f"{found.words()}; featureplane parity shows where they differ"
        return [Condition(kind, "False", "SourceDiffers", message)]
    return [Condition(kind, "True", "SourceMatches", found.words())]


def _schedule(item: Item, project: FeastProject | None) -> tuple[str, str] | None:
    """Cron line and time zone of the view's runs; None where it has none."""
    if project is None or not isinstance(item.model, FeatureView):
        return None
    spec = item.model.spec
    schedule = project.spec.schedules.get(spec.materialization.schedule)
    if schedule is None or spec.suspend or not spec.online:
        return None
    return schedule.cron, schedule.time_zone


def _next_run(schedule: tuple[str, str] | None, facts: Facts, previous: Mapping[str, Any], now: datetime) -> str | None:
    """When the next run starts. It moves on with a run and not with the clock: an idle view is never written."""
    if schedule is None:
        return None
    known = str(previous.get("nextScheduleTime") or "")
    following = time(next_time(*schedule, now))
    is_due = known != "" and time(next_time(*schedule, datetime.fromisoformat(known) - _MINUTE)) == known
    return known if is_due and not facts.runs and known <= following else following


def _runs(fresh: Sequence[Run], previous: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The newest runs, those of the history before those that the status has."""
    found: dict[tuple[str, str, str], Mapping[str, Any]] = {
        (run["job"], run["startTime"], run["completionTime"]): run for run in map(_run, fresh)
    }
    for run in previous:
        found.setdefault((run["job"], run["startTime"], run["completionTime"]), run)
    return sorted(found.values(), key=lambda run: str(run["completionTime"]), reverse=True)[:MOST_RUNS]


def _run(run: Run) -> dict[str, Any]:
    status = {
        "job": run.job,
        "window": f"{time(run.window_start.astimezone(UTC))}/{time(run.window_end.astimezone(UTC))}",
        "startTime": time(run.started_at.astimezone(UTC)),
        "completionTime": time(run.finished_at.astimezone(UTC)),
        "rowsRead": run.rows_read,
        "rowsWritten": run.rows_written,
        "rejected": run.rows_rejected,
        "result": run.result,
        "message": run.message[:_LONGEST_RUN_MESSAGE],
    }
    return {key: value for key, value in status.items() if value not in (None, "")}


def _newest(runs: Sequence[Run], previous: str | None) -> str | None:
    times = [time(run.max_event_time.astimezone(UTC)) for run in runs if run.max_event_time]
    return max([*times, *([previous] if previous else [])], default=None)
