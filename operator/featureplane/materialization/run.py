"""One run: tasks to rows in the online store, a row of history for each. A view that fails stops no other."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from featureplane.errors import FeatureplaneError, OnlineStoreUnavailable, StoreUnavailable, WriteRefused
from featureplane.materialization import lock
from featureplane.materialization.columnar_views import ColumnarView, columnar_views, that_expire
from featureplane.materialization.copying import Copied, Watch, WriteOptions, copy, copy_together
from featureplane.materialization.feast_child import FeastChild
from featureplane.materialization.groups import grouped
from featureplane.materialization.history import FAILED, SUCCEEDED, Run, insert_run, prune
from featureplane.materialization.readers.joined_reader import ViewUnreadable
from featureplane.materialization.readers.opening import Places, open_joined, open_reader
from featureplane.materialization.readers.reader import BATCH_ROWS
from featureplane.materialization.rows import Window
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.model.feast_project import FeastProject
from featureplane.online import expiring
from featureplane.registry import catalogue, feast_rows
from featureplane.registry.database import begin, engine_for
from featureplane.settings import PostgresAddress, Stores

logger = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1000
_LEAST_ROWS = 1000
_SHOWN = 5
# How many views of a group may turn out to be unreadable before all are copied one by one.
_MOST_UNREADABLE = 3
_LEAST_VIEWS = 2
# How long a run waits for another run on a view, when all else is done, and for a registry that is away to note a run.
_WAIT_FOR_OTHERS = 60.0
_WAIT_FOR_REGISTRY = 60.0
_AFTER_AN_OUTAGE = 2.0


@dataclass(frozen=True)
class Progress:
    """Who is told of a run's progress: of each view that ended, of the rows of the one under way, and of views that
    another run copies, which are waited for and may be left to it.
    """

    on_view: Callable[[Run], None] = lambda _: None
    on_rows: Callable[[str, int], None] = lambda _view, _rows: None
    on_busy: Callable[[str], None] = lambda _: None


class Materializer:
    """Copies views and keeps the run history."""

    def __init__(
        self, project: FeastProject, stores: Stores, repo_path: Path, offline: PostgresAddress, scratch: Path
    ) -> None:
        self._project = project
        self._stores = stores
        self._repo_path = repo_path
        # Redis was away for the last view that asked it.
        self._is_away = False
        self._seen_change: int | None = None
        self._places = Places(repo_path, offline, scratch)
        self._feast = FeastChild(project, stores, repo_path)

    def run(
        self,
        tasks: Sequence[Task],
        progress: Progress | None = None,
        *,
        overwrite: bool = False,
        seen_change: int | None = None,
    ) -> list[Run]:
        """Copy each task's window and return how each ended, in the order of their ends; the history has each at once.

        Views that another run copies at the moment come last, and are left to it if that takes long: then they have no
        run here. `overwrite` writes whatever is stored, however new it is. `seen_change` is the registry's newest
        change when the tasks were made (see `feast_rows.last_change`), and what is newest now unless given.
        """
        progress = progress or Progress()
        engine = engine_for(self._stores.postgres)
        runs = []
        try:
            self._seen_change = seen_change
            known = self._columnar_views(engine, overwrite=overwrite)
            single: list[Task] = []
            for group in grouped(tasks, known, self._repo_path):
                together = self._run_together(group, known, engine, progress) if len(group) > 1 else []
                self._tell(together, engine, progress)
                runs += together
                single += [task for task in group if task.view not in {run.view for run in together}]
            busy: list[Task] = []
            for is_last, left in ((False, single), (True, busy)):
                end = time.monotonic() + (_WAIT_FOR_OTHERS if is_last else 0)
                if is_last and left:
                    views = ", ".join(task.view for task in left[:_SHOWN])
                    views += f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
                    progress.on_busy(f"another run copies {views}; waiting up to {_WAIT_FOR_OTHERS:.0f} s")
                for task in left:
                    patience = max(end - time.monotonic(), 0.0)
                    try:
                        run = self._run_one(task, known.get(task.view), engine, progress, patience, overwrite=overwrite)
                    except lock.Busy as error:
                        if is_last:
                            progress.on_busy(str(error))
                        else:
                            busy.append(task)
                        continue
                    self._tell([run], engine, progress)
                    runs.append(run)
            with suppress(StoreUnavailable), begin(engine, self._stores.postgres) as connection:
                prune(connection, self._project.spec.project)
        finally:
            engine.dispose()
        return runs

    def _columnar_views(self, engine: Engine, *, overwrite: bool) -> dict[str, ColumnarView]:
        project = self._project.spec.project
        with begin(engine, self._stores.postgres) as connection:
            if self._seen_change is None:
                self._seen_change = feast_rows.last_change(connection, project)
            found = columnar_views(
                self._project,
                catalogue.read(connection, project),
                expiring.read(connection, project),
                overwrite=overwrite,
            )
            expiring.note(connection, project, that_expire(found.values()))
        return found

    def _tell(self, runs: Sequence[Run], engine: Engine, progress: Progress) -> None:
        for run in runs:
            self._note(run, engine)
            progress.on_view(run)

    def _note(self, run: Run, engine: Engine) -> None:
        """Put the run into the history: its rows are written, so a registry that is away for a moment is waited for."""
        retrying = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential(multiplier=0.1, max=5),
            stop=stop_after_delay(_WAIT_FOR_REGISTRY),
            reraise=True,
        )
        for attempt in retrying:
            with attempt, begin(engine, self._stores.postgres) as connection:
                insert_run(connection, self._project.spec.project, run, self._seen_change)

    def _run_together(
        self, tasks: Sequence[Task], known: Mapping[str, ColumnarView], engine: Engine, progress: Progress
    ) -> list[Run]:
        """The runs of views that could be copied with one command for each entity; the others are left to `_run_one`.

        One that cannot be read would hold up all: then none is copied here, and each says what is wrong with it alone.
        """
        names = [task.view for task in tasks]
        started = datetime.now(UTC)
        mine: list[Task] = []
        try:
            with lock.hold_free(engine, self._stores.postgres, self._project.spec.project, names) as held:
                mine = [task for task in tasks if task.view in held.views]
                with self._noting_interruption(mine, engine):
                    for _ in range(_MOST_UNREADABLE):
                        if len(mine) < _LEAST_VIEWS:
                            break
                        try:
                            return self._copy_together(mine, known, held, progress)
                        except ViewUnreadable as error:
                            mine = [task for task in mine if task.view != error.view]
                return []
        except (StoreUnavailable, WriteRefused) as error:
            self._note_answer(error)
            return [_failed(task, started, str(error)) for task in mine]
        except Exception as error:  # noqa: BLE001 - each view says what is wrong with it when it is copied alone
            logger.info("views of one entity are copied one by one: %s", error)
            return []

    def _copy_together(
        self, tasks: Sequence[Task], known: Mapping[str, ColumnarView], held: lock.Held, progress: Progress
    ) -> list[Run]:
        views = [known[task.view].view for task in tasks]
        windows = [Window(task.start, task.end, task.since) for task in tasks]
        # A row of many views is long: fewer of them are as much.
        rows = max(_LEAST_ROWS, BATCH_ROWS * 2 // len(views))
        source = partial(open_joined, views, windows, self._places, batch_rows=rows)
        label = f"{len(tasks)} views of {', '.join(name for name, _ in views[0].keys)}"
        watch = Watch(held.check, lambda rows: progress.on_rows(label, rows))
        started = datetime.now(UTC)
        options = self._patient(known[tasks[0].view].options)
        ended = copy_together(views, source, self._stores.redis, options, watch)
        self._is_away = False
        at = datetime.now(UTC)
        return [
            _succeeded(task, started, found, at) if isinstance(found, Copied) else _failed(task, started, str(found))
            for task, found in zip(tasks, ended, strict=True)
        ]

    def _patient(self, options: WriteOptions) -> WriteOptions:
        """How long a store that was away for the last view is waited for again: hardly, or many views take hours."""
        return replace(options, patience=_AFTER_AN_OUTAGE) if self._is_away else options

    def _note_answer(self, error: FeatureplaneError) -> None:
        """Whether Redis is away, as far as an error tells."""
        if isinstance(error, OnlineStoreUnavailable):
            self._is_away = True
        elif isinstance(error, WriteRefused):
            self._is_away = False

    @contextmanager
    def _noting_interruption(self, tasks: Sequence[Task], engine: Engine) -> Iterator[None]:
        """Ctrl-C, or the SIGTERM of a pod that is to go, is what ended these tasks."""
        started = datetime.now(UTC)
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            with suppress(FeatureplaneError):
                for task in tasks:
                    self._note(_failed(task, started, "interrupted"), engine)
            raise

    def _run_one(
        self,
        task: Task,
        view: ColumnarView | None,
        engine: Engine,
        progress: Progress,
        patience: float,
        *,
        overwrite: bool,
    ) -> Run:
        """How the task ended. Raises Busy where another run has the view for longer than the patience."""
        started = datetime.now(UTC)
        postgres, project = self._stores.postgres, self._project.spec.project
        try:
            with (
                lock.hold(engine, postgres, project, task.view, patience) as held,
                self._noting_interruption([task], engine),
            ):
                started = datetime.now(UTC)
                copied = self._copy(task, view, held, progress, overwrite=overwrite)
        except lock.Busy:
            raise
        except FeatureplaneError as error:
            self._note_answer(error)
            return _failed(task, started, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a library meets in one view's rows is no other view's matter
            reason = (str(error).splitlines() or [""])[0]
            return _failed(task, started, f"{type(error).__name__}: {reason}")
        return _succeeded(task, started, copied)

    def _copy(
        self, task: Task, view: ColumnarView | None, held: lock.Held, progress: Progress, *, overwrite: bool
    ) -> Copied:
        if view is None:
            if overwrite:
                raise FeatureplaneError(
                    "Feast's own engine copies this view, and cannot overwrite; leave --overwrite out"
                )
            return self._feast.copy(task, held.check)
        window = Window(task.start, task.end, task.since)
        watch = Watch(held.check, lambda rows: progress.on_rows(task.view, rows))
        source = partial(open_reader, view.view, window, self._places)
        copied = copy(view.view, source, self._stores.redis, self._patient(view.options), watch)
        self._is_away = False
        return copied

    def close(self) -> None:
        self._feast.close()


def _succeeded(task: Task, started: datetime, copied: Copied, at: datetime | None = None) -> Run:
    return Run(
        task.view,
        task.job,
        task.start,
        task.end,
        started,
        at or datetime.now(UTC),
        SUCCEEDED,
        rows_written=copied.written,
        max_event_time=copied.newest,
        message=(copied.message or _nothing_there(task, copied))[:_LONGEST_MESSAGE],
        rows_read=copied.read,
        rows_skipped=copied.skipped,
        rows_rejected=copied.rejected,
        rows_late=copied.late,
        bytes_written=copied.bytes,
    )


def _nothing_there(task: Task, copied: Copied) -> str:
    """A first run without a row is what nobody expects: the window reaches back no further than the ttl."""
    if task.since is not None or copied.read != 0:
        return ""
    begin = "" if task.start == BEGINNING else f" from {task.start:%Y-%m-%d %H:%MZ}"
    return f"the source has no rows{begin} to {task.end:%Y-%m-%d %H:%MZ}"


def _failed(task: Task, started: datetime, message: str) -> Run:
    now = datetime.now(UTC)
    return Run(
        task.view, task.job, task.start, task.end, started, now, FAILED, message=message[:_LONGEST_MESSAGE]
    )  # fmt: skip


@contextmanager
def materializer(
    project: FeastProject, stores: Stores, repo_path: Path, offline: PostgresAddress | None = None
) -> Iterator[Materializer]:
    """A Materializer whose processes and scratch files end with the block.

    `repo_path` is where relative sources are looked for, `offline` the PostgreSQL of source tables (the registry's own
    unless given).
    """
    with TemporaryDirectory(prefix="featureplane-run-") as scratch:
        made = Materializer(project, stores, repo_path, offline or stores.postgres, Path(scratch))
        try:
            yield made
        finally:
            made.close()
