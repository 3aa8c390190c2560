"""Copying with Feast's own engine, in a process of its own: what has no direct way, and other engines."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from featureplane.errors import ChildDied
from featureplane.materialization.copying import Copied
from featureplane.materialization.windows import Task
from featureplane.model.feast_project import FeastProject
from featureplane.registry.channel import Child
from featureplane.registry.trust import refuse_code
from featureplane.rendering.repo import feature_store
from featureplane.settings import Stores, child_environment


class FeastChild:
    """The process, started when it is first needed and again after it died."""

    def __init__(self, project: FeastProject, stores: Stores, repo_path: Path) -> None:
        self._project = project
        self._stores = stores
        self._repo_path = repo_path
        self._child: Child | None = None

    def copy(self, task: Task, still_held: Callable[[], None]) -> Copied:
        """Copy one view's window. Where `still_held` raises, the process is ended and the copy with it.

        Raises ChildDied, and what Feast raises as FeatureplaneError.
        """
        if self._child is None or not self._child.is_running:
            self.close()
            self.start()
        assert self._child is not None
        request = {"op": "copy", "view": task.view, "start": task.start.isoformat(), "end": task.end.isoformat()}
        try:
            # A copy says nothing while it runs, however long it takes.
            answer = self._child.ask(request, patience=None, on_wait=still_held)
        except ChildDied:
            self.close()
            raise
        newest = datetime.fromisoformat(answer["newest"]) if answer["newest"] else None
        return Copied(**{**answer, "newest": newest})

    def start(self) -> None:
        """Begin to load Feast, which takes seconds; `copy` does it too when nobody did."""
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
