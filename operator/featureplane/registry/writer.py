"""The parent's side of the one writer: starts its process on demand, sends it a plan, ends it.

A project's newest writer is the only one that can write: opening takes the epoch, and every earlier one is fenced.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Self, TextIO

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from featureplane.errors import FeatureplaneError, PlanRefused, RegistryError
from featureplane.model.feast_project import FeastProject
from featureplane.registry.actor import Actor, local_user
from featureplane.registry.channel import Child
from featureplane.registry.plan import Change, Plan, closure
from featureplane.rendering.definitions import Definition, Key
from featureplane.rendering.repo import feature_store
from featureplane.settings import Stores, child_environment

OnProgress = Callable[[int, int], None]

# Objects of one request: tens of thousands in one would be most of what either process ever holds in memory.
_MOST_AT_ONCE = 500


@dataclass
class Writer:
    """The registry's writer for one project. Use it as a context manager; the process starts with the first request.

    Once another Writer took the project over, every request of this one raises Fenced: it never takes it back.
    """

    project: FeastProject
    stores: Stores
    # Who its changes are of, where nobody says so for each.
    actor: Actor = field(default_factory=lambda: local_user("featureplane"))
    attempts: int = 4
    log: TextIO | None = None
    _child: Child | None = field(default=None, init=False)
    _epoch: int | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    @property
    def pid(self) -> int | None:
        """The process that writes, while there is one."""
        return self._child.pid if self._child and self._child.is_running else None

    def open(self) -> int:
        """Take the project's epoch and return it; makes the database and our tables when they are missing."""
        return int(self._asked({"op": "epoch"})["epoch"])

    def apply(
        self,
        plan: Plan,
        on_progress: OnProgress = lambda _done, _total: None,
        actors: Mapping[Key, Actor] = MappingProxyType({}),
    ) -> Mapping[str, Any]:
        """Make the registry what the plan says. Repeats after a passing fault: every step of it is idempotent.

        `actors` say who single changes are of.

        Raises PlanRefused before anything is written, Fenced when another writer took over, StoreUnavailable when the
        registry stays silent; then what was written is whole objects, and the next plan shows the rest.
        """
        if plan.refused:
            raise PlanRefused(plan.refused)
        work: list[Change | Definition] = [*plan.changes, *plan.adopted]
        counts = {"written": 0, "removed": 0, "adopted": 0}
        for start in range(0, len(work), _MOST_AT_ONCE):

            def tell(message: Mapping[str, Any], done: int = start) -> None:
                on_progress(done + message["done"], len(plan.changes))

            part = work[start : start + _MOST_AT_ONCE]
            answer = self._asked({**_request(plan, part), "by": self._by(part, actors)}, tell)
            counts = {name: count + answer[name] for name, count in counts.items()}
        return counts

    def _by(self, part: Sequence[Change | Definition], actors: Mapping[Key, Actor]) -> list[Any]:
        return [[*item.key, asdict(actors.get(item.key, self.actor))] for item in part]

    def fold(self) -> int:
        """Tell Feast's registry of the windows materialized since the last time; returns how many."""
        return int(self._asked({"op": "fold"})["folded"])

    def _opening(self) -> dict[str, Any]:
        spec = self.project.spec
        return {
            "project": spec.project,
            "feature_store": feature_store(self.project),
            "create_database": spec.registry.postgresql.create_database,
            "trust_user_defined_functions": spec.registry.trust_user_defined_functions,
            "purge_after_seconds": int(spec.purge_after.total_seconds()),
        }

    def _asked(
        self, request: Mapping[str, Any], on_progress: Callable[[Mapping[str, Any]], None] = lambda _: None
    ) -> Mapping[str, Any]:
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, FeatureplaneError) and error.retriable),
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=0.5, max=8),
            reraise=True,
        )
        return retrying(self._ask_once, request, on_progress)

    def _ask_once(
        self, request: Mapping[str, Any], on_progress: Callable[[Mapping[str, Any]], None]
    ) -> Mapping[str, Any]:
        try:
            return self._opened().ask(request, on_progress)
        except FeatureplaneError as error:
            # A refusal may be the connection's and not the database's: one made while it was read-only stays so.
            if error.retriable or isinstance(error, RegistryError):
                self.close()
            raise

    def _opened(self) -> Child:
        """The running child; a new one goes on with our epoch, or takes one when we had none."""
        if self._child is not None and self._child.is_running:
            return self._child
        self.close()
        environment = {**child_environment(self.stores), "PYTHONWARNINGS": "ignore", "FEAST_USAGE": "False"}
        child = Child("featureplane.registry.writer_process", environment, log=self.log or _log())
        try:
            self._epoch = int(child.ask({"op": "open", "held": self._epoch, **self._opening()})["epoch"])
        except BaseException:
            child.close()
            raise
        self._child = child
        return child


def _request(plan: Plan, part: Sequence[Change | Definition]) -> dict[str, Any]:
    """The part of a plan, changes and what is only to be noted, with all that it refers to."""
    changes = [item for item in part if isinstance(item, Change)]
    written = {change.key: change for change in changes if change.action != "remove"}
    needed = closure(plan.context, [change.definition for change in written.values()])
    return {
        "op": "apply",
        "changes": [{"action": change.action, "definition": _row(change.definition)} for change in written.values()],
        "removed": [_row(change.definition) for change in changes if change.action == "remove"],
        "adopted": [_row(item) for item in part if isinstance(item, Definition)],
        "context": [_row(item) for item in needed if item.key not in written],
    }


def _log() -> TextIO | None:
    """Where the child's words go: nowhere, unless somebody looks at ours in a debugger."""
    return sys.stderr if sys.flags.dev_mode else None


def _row(item: Definition) -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "spec": item.spec, "extras": item.extras, "owner": item.owner}
