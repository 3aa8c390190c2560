"""Which span of event time a run copies. Pure: the clock is an argument, every time is aware and in UTC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from featureplane.model.durations import parse_duration
from featureplane.model.feast_project import Schedule
from featureplane.model.feature_view import NEVER
from featureplane.rendering.definitions import Definition

# Before any row: the start of a first run over all history.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# What asked for a first run.
INITIAL = "initial"


@dataclass(frozen=True)
class Task:
    """One view and the window of event time to copy, both ends included. `job` says what asked for it, `since` when the
    view was last copied: what was created after that and lies before the window came late.
    """

    view: str
    start: datetime
    end: datetime
    job: str
    since: datetime | None = None


def scheduled(now: datetime, window: timedelta, last_success: datetime | None) -> tuple[datetime, datetime]:
    """The last `window`, or all since the last success where that is longer ago: an outage leaves no gap.

    It ends now, never later, so that no run's end lies before the start of the next one's data.
    """
    start = now - window
    if last_success is not None and last_success < start:
        start = last_success
    return start, now


def initial(now: datetime, ttl: timedelta | None) -> tuple[datetime, datetime]:
    """A view's first run: everything still fit for use, which without a ttl is all there is."""
    return (now - ttl if ttl else BEGINNING), now


@dataclass(frozen=True)
class ViewPlan:
    """What the tasks of a view are made from: its schedule ('never' for none), window and ttl."""

    name: str
    schedule: str
    window: timedelta
    ttl: timedelta | None
    first_run: bool = True
    suspended: bool = False


def view_plans(views: Iterable[Definition], schedules: Mapping[str, Schedule]) -> list[ViewPlan]:
    """What decides each view's windows: its own word, else its schedule's.

    A view that has neither (its schedule is not the project's any more, say) is left out.
    """
    plans = []
    for view in views:
        extras = view.extras
        schedule = extras["schedule"] if view.spec["online"] else NEVER
        by_schedule = schedules[schedule].window if schedule in schedules else None
        window = parse_duration(extras["window"]) if extras["window"] else by_schedule
        if window is not None:
            plans.append(ViewPlan(view.name, schedule, window, _ttl(view), extras["initial"], extras["suspend"]))
    return plans


def first_runs(views: Iterable[Definition], now: datetime) -> list[Task]:
    """A first run for each of these views, whatever ran before."""
    return [Task(view.name, *initial(now, _ttl(view)), job=INITIAL) for view in views]


def _ttl(view: Definition) -> timedelta | None:
    return timedelta(seconds=view.spec["ttl_seconds"]) or None


def due(
    views: list[ViewPlan],
    now: datetime,
    last_success: Mapping[str, datetime],
    *,
    schedule: str | None = None,
    only_first: bool = False,
) -> list[Task]:
    """The tasks of a run: of one schedule, or of every view when none is named.

    A view that never succeeded gets its first run, where it wants one; `only_first` leaves the others out.
    """
    tasks = []
    for view in views:
        if view.schedule == NEVER or view.suspended or schedule not in {None, view.schedule}:
            continue
        if view.name not in last_success and view.first_run:
            tasks.append(Task(view.name, *initial(now, view.ttl), job=INITIAL))
        elif not only_first:
            last = last_success.get(view.name)
            tasks.append(Task(view.name, *scheduled(now, view.window, last), job=view.schedule, since=last))
    return tasks
