"""One run: tasks to rows in the online store, a row of history for each. A view that fails stops no other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from featureplane.errors import ChildDied, FeatureplaneError
from featureplane.materialization.history import FAILED, SUCCEEDED, Run, insert_run
from featureplane.materialization.windows import Task
from featureplane.model.feast_project import FeastProject
from featureplane.registry.channel import Child
from featureplane.registry.database import begin, engine_for
from featureplane.registry.trust import refuse_code
from featureplane.rendering.repo import feature_store
from featureplane.settings import Stores, child_environment

_LONGEST_MESSAGE = 1000


class Materializer:
    """Feast's engine in a process of its own, and the run history."""

    def __init__(self, project: FeastProject, stores: Stores, repo_path: Path) -> None:
        self._project = project
        self._stores = stores
        self._repo_path = repo_path
        self._child: Child | None = None

    def run(self, tasks: Sequence[Task], on_view: Callable[[Run], None] = lambda _: None) -> list[Run]:
        """Copy each task's window, in order, and return how each ended; the history has it before the next begins."""
        engine = engine_for(self._stores.postgres)
        runs = []
        try:
            for task in tasks:
                run = self._run_one(task, engine)
                self._note(run, engine)
                on_view(run)
                runs.append(run)
        finally:
            engine.dispose()
        return runs

    def _note(self, run: Run, engine: Engine) -> None:
        with begin(engine, self._stores.postgres) as connection:
            insert_run(connection, self._project.spec.project, run)

    def _run_one(self, task: Task, engine: Engine) -> Run:
        started = datetime.now(UTC)
        try:
            answer = self._ask(task)
        except FeatureplaneError as error:
            return _failed(task, started, str(error))
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or the SIGTERM of a pod that is to go
            with suppress(FeatureplaneError):
                self._note(_failed(task, started, "interrupted"), engine)
            raise
        newest = datetime.fromisoformat(answer["newest"]) if answer["newest"] else None
        return Run(
            task.view,
            task.job,
            task.start,
            task.end,
            started,
            datetime.now(UTC),
            SUCCEEDED,
            int(answer["rows"]),
            newest,
        )

    def _ask(self, task: Task) -> dict[str, str]:
        if self._child is None or not self._child.is_running:
            self.close()
            self.start()
        assert self._child is not None
        try:
            request = {"op": "copy", "view": task.view, "start": task.start.isoformat(), "end": task.end.isoformat()}
            # A copy says nothing while it runs, however long it takes.
            return dict(self._child.ask(request, patience=None))
        except ChildDied:
            self.close()
            raise

    def start(self) -> None:
        """Begin to load Feast, which takes seconds; `run` does it too when nobody did."""
        refuse_code(self._project, self._stores.postgres)
        environment = {**child_environment(self._stores), "PYTHONWARNINGS": "ignore"}
        self._child = Child("featureplane.materialization.feast_engine", environment)
        self._child.tell(
            {"op": "open", "feature_store": feature_store(self._project), "repo_path": str(self._repo_path)}
        )

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def _failed(task: Task, started: datetime, message: str) -> Run:
    now = datetime.now(UTC)
    return Run(
        task.view, task.job, task.start, task.end, started, now, FAILED, message=message[:_LONGEST_MESSAGE]
    )  # fmt: skip


@contextmanager
def materializer(project: FeastProject, stores: Stores, repo_path: Path) -> Iterator[Materializer]:
    """A Materializer whose process ends with the block. `repo_path` is where relative sources are looked for."""
    made = Materializer(project, stores, repo_path)
    try:
        yield made
    finally:
        made.close()
