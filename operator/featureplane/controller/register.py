"""One project's registry as the operator sees it: what is there, and the writer that makes it what is declared.

Everything in here blocks, so it runs in a thread of its own, one for a project. Digests of what is registered are kept,
so that a look at unchanged objects asks nobody, and one at a few changed ones reads those and what is around them; what
somebody else wrote beside us is found when everything is read, as it is every now and then.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from featureplane.controller.metrics import REGISTRY_WRITES, WRITER_BUSY, metrics_label
from featureplane.controller.tally import Tally
from featureplane.errors import FeatureplaneError, Fenced
from featureplane.materialization import history, outlook
from featureplane.model.feast_project import FeastProject
from featureplane.parity import outcomes
from featureplane.registry import catalogue, feast_rows, schema
from featureplane.registry.actor import Actor, Declarer, actors_of
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.registry.plan import RETAIN, Plan, compare, references
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering import repo
from featureplane.rendering.definitions import Definition, Key
from featureplane.settings import Stores

R = TypeVar("R")
# The object that has the definition, and whether that says Delete itself.
Removable = Mapping[Key, tuple[str, bool]]
Actors = Mapping[Declarer, Actor]
VIA = "featureplane operator"
# What no object is known to have asked for.
NOBODY = Actor("", VIA)
logger = logging.getLogger(__name__)

# After another operator took over, this one waits before it does: it may be about to end.
_FENCED_SECONDS = 30.0
_MOST_SHOWN = 10
# With more changes than this everything is read: as fast, and simpler.
_MOST_IN_PART = 200


@dataclass(frozen=True)
class Brought:
    """How the registry answered: what is there now, what it cannot take, and what stays although declared no more."""

    digests: Mapping[Key, str]
    owners: Mapping[Key, str]
    refused: Mapping[Key, Sequence[str]] = field(default_factory=dict)
    kept: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Looked:
    """What the run history says: new runs by view, who waits for a first run, and what is due to be purged.

    `runs` may have a run again, for a status that was not written; `ended` has each once.
    """

    runs: Mapping[str, Sequence[history.Run]]
    waiting: Mapping[str, outlook.Waiting]
    purges: outlook.Purges
    # Feast was not told of all of them.
    has_unfolded: bool = False
    ended: Sequence[history.Run] = ()
    # The newest check of each view against its source.
    parity: Mapping[str, outcomes.Outcome] = field(default_factory=dict)


class Register:
    """The registry of one FeastProject at one address."""

    def __init__(self, project: FeastProject, stores: Stores) -> None:
        self.stores = stores
        self._project = project
        self._name = project.spec.project
        self._label = metrics_label(project.key)
        self._told = _told(project)
        self._engine = engine_for(stores.postgres, "featureplane-operator")
        self._writer = Writer(project, stores, NOBODY)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"registry-{project.metadata.name}")
        self._digests: dict[Key, str] = {}
        self._owners: dict[Key, str] = {}
        # Nothing was read yet, or somebody may have written since.
        self._is_stale = True
        self._last_run = 0
        self._last_check = 0
        self._parity: dict[str, outcomes.Outcome] = {}
        self._tally = Tally()
        self._used = time.monotonic()
        self._fenced_at: float | None = None
        self.busy_since: float | None = None
        self.last_write: float | None = None

    def fits(self, project: FeastProject) -> bool:
        """Whether the writer was started for a project that looks the same to it."""
        return self._told == _told(project)

    async def bring(
        self,
        declared: Sequence[Definition],
        removable: Removable | None = None,
        actors: Actors = MappingProxyType({}),
        *,
        look: bool = False,
    ) -> Brought:
        """Make the registry what is declared; `look` reads it even where nothing seems to have changed. `actors` say
        who the changes are of.

        `removable` may go, each if it is still registered by the object that is named with it; where that object did
        not say so itself, only if it was not registered with deletionPolicy Retain.

        Raises FeatureplaneError where the registry does not answer or must not be used.
        """
        return await self._in_thread(self._bring, declared, removable or {}, actors, look)

    async def look(self, unseen: Collection[str] = ()) -> Looked:
        """What happened since the last look, and all that ever happened to `unseen` views."""
        return await self._in_thread(self._look, unseen)

    async def fold(self) -> None:
        """Tell Feast of the windows that were copied; what is not told now is told the next time."""
        try:
            await self._in_thread(self._fold)
        except FeatureplaneError as error:
            logger.warning("Feast was not told of the last runs: %s", error)

    def _fold(self) -> None:
        self._written(self._writer.fold)

    @property
    def digests(self) -> Mapping[Key, str]:
        """What was registered as of the last reading."""
        return self._digests

    @property
    def owners(self) -> Mapping[Key, str]:
        """The object that registered each definition, as of the last reading."""
        return self._owners

    def read_runs_again(self) -> None:
        """Ask for every run again: what the last look told was not written down."""
        self._last_run = 0

    def forget(self) -> None:
        """Read everything again the next time: somebody else may have written."""
        self._is_stale = True

    async def rest(self, idle: float) -> None:
        """End the writer's process when it had nothing to do for `idle` seconds."""
        if self._writer.pid is not None and self.busy_since is None and time.monotonic() - self._used > idle:
            await self._in_thread(self._writer.close)

    async def close(self) -> None:
        """End the writer and drop the connections."""
        await self._in_thread(self._writer.close)
        self._engine.dispose()
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[..., R], *arguments: object) -> R:
        # With the context of the reconcile that asks, which its log lines name.
        context = copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, context.run, self._timed, work, *arguments)

    def _timed(self, work: Callable[..., R], *arguments: object) -> R:
        self.busy_since = time.time()
        WRITER_BUSY.labels(self._label).set(self.busy_since)
        try:
            return work(*arguments)
        finally:
            self.busy_since = None
            WRITER_BUSY.labels(self._label).set(0)

    def _bring(self, declared: Sequence[Definition], removable: Removable, actors: Actors, look: bool) -> Brought:  # noqa: FBT001
        if self._is_stale:
            self._open()
        changed = {
            item.key
            for item in declared
            if self._digests.get(item.key) != item.digest or self._owners.get(item.key) != item.owner
        }
        whole = look or bool(removable) or self._is_stale or len(changed) > _MOST_IN_PART
        if not whole and not changed:
            return Brought(self._digests, self._owners)
        only = None if whole else self._around(declared, changed)
        registered = self._read(only)
        left_over = _left_over(declared, registered)
        if left_over and only is not None:  # who else uses it shows only in the whole
            only, registered = None, self._read(None)
        self._note(registered, Plan(self._name), only)
        wanted = [item for item in declared if only is None or item.key in only]
        prune = _with_what_they_need(removable, registered) | left_over
        plan = compare(self._name, wanted, registered, prune=prune, retain=False)
        if plan.refusals:
            refused: dict[Key, list[str]] = {}
            for key, text in plan.refusals:
                refused.setdefault(key, []).append(text)
            return Brought({}, {}, refused)
        self._apply(plan, actors)
        self._note(registered, plan, only)
        return Brought(self._digests, self._owners, {}, dict(plan.kept))

    def _apply(self, plan: Plan, actors: Actors) -> None:
        if not plan.changes and not plan.adopted:
            return
        self._is_stale = True
        self._written(lambda: self._writer.apply(plan, actors=actors_of(plan, actors)))
        for change in plan.changes:
            REGISTRY_WRITES.labels(self._label, change.action).inc()
        shown = ", ".join(f"{change.action} {change.key[0]} {change.key[1]}" for change in plan.changes[:_MOST_SHOWN])
        more = f" and {len(plan.changes) - _MOST_SHOWN} more" if len(plan.changes) > _MOST_SHOWN else ""
        logger.info("registered: %s%s", shown or f"{len(plan.adopted)} adopted", more)

    def _around(self, declared: Sequence[Definition], changed: Collection[Key]) -> set[Key]:
        """What has to be looked at beside a few changed objects: what they refer to, and what refers to them."""
        found = set(changed)
        services: set[Key] = {key for key in self._digests if key[0] == "feature_service"}
        for item in declared:
            needed = references(item)
            if item.kind == "feature_service" or item.key in changed or not found.isdisjoint(needed):
                found.add(item.key)
        for item in reversed(declared):  # what is referred to stands before
            if item.key in found:
                found.update(references(item))
        return found | services

    def _open(self) -> None:
        """See to it that the database and our tables are there; the epoch is taken only where they are not."""
        if database_exists(self.stores.postgres):
            with begin(self._engine, self.stores.postgres) as connection:
                if schema.is_current(connection):
                    return
        self._written(self._writer.open)

    def _read(self, only: Collection[Key] | None) -> Registered:
        with begin(self._engine, self.stores.postgres) as connection:
            return catalogue.read(connection, self._name, only)

    def _written(self, write: Callable[..., R], *arguments: object) -> R:
        """Let the writer work. Fenced by another operator, wait before taking over, and look at what it did first."""
        if self._fenced_at is not None:
            if time.monotonic() - self._fenced_at < _FENCED_SECONDS:
                raise Fenced(f"another operator writes to the registry of {self._name!r}; this one waits for its end")
            self._writer.close()
            self._writer = Writer(self._project, self.stores, NOBODY)
            self._fenced_at = None
        try:
            return write(*arguments)
        except Fenced:
            self._fenced_at = time.monotonic()
            self.forget()
            raise
        except BaseException:
            self.forget()
            self._engine.dispose()
            raise
        finally:
            self._used = time.monotonic()

    def _note(self, registered: Registered, plan: Plan, only: Collection[Key] | None) -> None:
        """Remember what is there after the plan was carried out."""
        ours = {key: item for key, item in registered.definitions.items() if key in registered.owned}
        for item in plan.adopted:
            ours[item.key] = item
        for change in plan.changes:
            if change.action == "remove":
                ours.pop(change.key, None)
                self._parity.pop(change.key[1], None)
            else:
                ours[change.key] = change.definition
        before, owners = (self._digests, self._owners) if only is not None else ({}, {})
        self._digests = {
            **{key: digest for key, digest in before.items() if only is None or key not in only},
            **{key: item.digest for key, item in ours.items()},
        }
        self._owners = {
            **{key: owner for key, owner in owners.items() if only is None or key not in only},
            **{key: item.owner for key, item in ours.items()},
        }
        self._is_stale = False
        if plan.changes:
            self.last_write = time.time()

    def _look(self, unseen: Collection[str]) -> Looked:
        with begin(self._engine, self.stores.postgres) as connection:
            if not feast_rows.has_schema(connection):
                self._tally.take({})
                return Looked({}, {}, outlook.Purges())
            ended = outlook.ended_since(connection, self._name, self._tally.newest)
            newest, runs = outlook.runs_since(connection, self._name, self._last_run, unseen)
            looked = Looked(
                runs,
                outlook.waiting(connection, self._name),
                outlook.pending_purges(connection, self._name),
                outlook.has_unfolded(connection, self._name),
            )
            checked, parity = outcomes.newest(connection, self._name, self._last_check)
        self._last_run, self._last_check = newest, checked
        self._parity |= parity
        looked = replace(looked, parity=dict(self._parity))
        return replace(looked, ended=self._tally.take(ended))


def _told(project: FeastProject) -> tuple[object, ...]:
    """What the writer is told when it starts."""
    spec = project.spec
    return spec.project, repo.feature_store(project), spec.registry, spec.purge_after


def _with_what_they_need(removable: Removable, registered: Registered) -> frozenset[Key]:
    """What may go: the objects themselves, and sources and entities that they referred to and nobody else needs."""
    everything = {**registered.definitions, **registered.lost}
    found = {
        key
        for key, (owner, is_certain) in removable.items()
        if key in everything
        and everything[key].owner == owner
        and (is_certain or everything[key].extras.get("deletion_policy") != RETAIN)
    }
    ahead = list(found)
    while ahead:
        for key in references(everything[ahead.pop()]):
            # A view has an object of its own, which decides.
            if key[0] != "feature_view" and key not in found and key in everything:
                found.add(key)
                ahead.append(key)
    return frozenset(found)


def _left_over(declared: Sequence[Definition], registered: Registered) -> frozenset[Key]:
    """Sources that a changed view no longer refers to: renamed, or a push that was turned off."""
    found: set[Key] = set()
    for item in declared:
        known = registered.definitions.get(item.key)
        if item.kind == "feature_view" and known is not None and known.owner == item.owner:
            found.update(set(references(known)) - set(references(item)))
    return frozenset(found)
