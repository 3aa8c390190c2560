"""Statuses and Events: computed from what was decided, written once at the end of a look, where they differ."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from featureplane import names
from featureplane.controller import metrics
from featureplane.controller.bring import Registry
from featureplane.controller.concurrently import concurrently
from featureplane.controller.conditions import Condition, transitions
from featureplane.controller.deletion import Fate, Held, Release
from featureplane.controller.deprecations import deprecations
from featureplane.controller.inventory import Item, ObjectKey
from featureplane.controller.judge import Verdict
from featureplane.controller.project_status import (
    ProjectFacts,
    ServiceFacts,
    is_suspended,
    project_status,
    service_status,
)
from featureplane.controller.release import RESOURCES
from featureplane.controller.seen import Seen
from featureplane.controller.view_status import Facts, stale_at, view_status
from featureplane.controller.world import World
from featureplane.errors import ClusterError, Problem
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.definitions import Key

Status = dict[str, Any]
_PENDING = ("Pending", "it will be registered in a moment")


@dataclass(frozen=True)
class Told:
    """Everything that a look found out."""

    seen: Seen
    verdict: Verdict
    registry: Registry
    fates: Mapping[ObjectKey, Fate] = field(default_factory=dict)
    children_trouble: ClusterError | None = None


@dataclass(frozen=True)
class Outcome:
    """When the next view will have missed its runs, and what the API server refused."""

    next_time: datetime | None
    errors: Sequence[ClusterError]


async def write(world: World, told: Told) -> Outcome:
    """Write every status that changed, then tell of the transitions."""
    now = world.now()
    statuses = await asyncio.to_thread(_statuses, world, told, now)
    errors = await _write_all(world, statuses.written, told.fates)
    return Outcome(statuses.next_time, errors)


@dataclass
class _Statuses:
    written: list[tuple[Item, Status, Sequence[Condition]]]
    next_time: datetime | None


def _statuses(world: World, told: Told, now: datetime) -> _Statuses:
    project = told.verdict.declarations.project
    views: dict[str, tuple[Mapping[str, Any], bool]] = {}
    changed: list[tuple[Item, Status, Sequence[Condition]]] = []
    stale: list[datetime] = []
    deprecated = deprecations(told.registry.wanted)
    for item in told.seen.views:
        status, conditions = view_status(item, _facts(told, item, project, deprecated), now)
        views[item.owner] = (status, is_suspended(item))
        changed += [(item, status, conditions)] if status != item.status else []
        due = stale_at(item, project, status.get("runs") or ())
        stale += [due] if due is not None and due > now else []
    others = [(item, *_service(told, item, now, deprecated)) for item in told.seen.services]
    others += [(told.seen.project, *_project(world, told, views, now))] if told.seen.project else []
    changed += [each for each in others if each[1] != each[0].status]
    _measure(told, views)
    return _Statuses(changed, min(stale, default=None))


async def write_without_project(
    world: World, seen: Seen, problem: Problem, fates: Mapping[ObjectKey, Fate]
) -> Sequence[ClusterError]:
    """The statuses of objects without a project; a project that is wrong says so itself."""
    now = world.now()
    writing = [(item, *view_status(item, Facts(None, item.problems or (problem,)), now)) for item in seen.views]
    writing += [(item, *service_status(item, ServiceFacts(item.problems or (problem,)), now)) for item in seen.services]
    if seen.project:
        views = {item.owner: (status, False) for item, status, _ in writing if item.kind == names.FEATURE_VIEW}
        fate = fates.get(seen.project.key)
        held = (fate.reason, fate.message) if isinstance(fate, Held) else None
        facts = ProjectFacts(seen.project.problems, views, len(seen.services), held=held)
        writing.append((seen.project, *project_status(seen.project, facts, now)))
    return await _write_all(world, writing, fates)


async def _write_all(
    world: World, writing: Sequence[tuple[Item, Status, Sequence[Condition]]], fates: Mapping[ObjectKey, Fate]
) -> Sequence[ClusterError]:
    changed = [
        (item, status, conditions)
        for item, status, conditions in writing
        if status != item.status and not isinstance(fates.get(item.key), Release)
    ]
    return await concurrently(_write(world, *each) for each in changed)


async def _write(world: World, item: Item, status: Status, conditions: Sequence[Condition]) -> None:
    before = item.status.get("conditions") or []
    await world.cluster.apply_status(RESOURCES[item.kind], item.namespace, item.name, status)
    item.status = status
    known = world.inventory.items.get(item.key)
    if known is not None and known is not item and known.uid == item.uid:
        known.status = status
    world.events.transitions(item, transitions(conditions, before))


def _facts(told: Told, item: Item, project: FeastProject, deprecated: Mapping[Key, Condition]) -> Facts:
    key: Key = ("feature_view", item.feast_name)
    definition = told.registry.wanted.get(key)
    mine = definition is not None and definition.owner == item.owner
    problems = told.verdict.problems.get(item.key, ())
    return Facts(
        project,
        problems,
        definition.digest if definition is not None and mine else "",
        None if problems else _unregistered(told, key, item),
        # Also of a view that is wrong by now: what was last registered goes on running.
        told.registry.looked.runs.get(item.feast_name, ()) if told.registry.owners.get(key) == item.owner else (),
        None if told.registry.trouble else item.feast_name in told.registry.looked.waiting,
        _held(told, item),
        deprecated.get(key) if mine else None,
        told.registry.looked.parity.get(item.feast_name) if told.registry.owners.get(key) == item.owner else None,
    )


def _unregistered(told: Told, key: Key, item: Item) -> tuple[str, str] | None:
    """Why what the object says is not what the registry holds; None where it is."""
    definition = told.registry.wanted.get(key)
    if definition is not None and told.registry.digests.get(key) == definition.digest:
        return None
    unknown = told.registry.trouble is not None and key not in told.registry.digests
    if unknown and definition is not None and _was_registered(item, definition.digest):
        return None  # a registry that does not answer loses nothing
    return told.registry.trouble or (("Deleting", "it is being deleted") if item.deleting else _PENDING)


def _was_registered(item: Item, digest: str) -> bool:
    """Whether the object's own status says that this was registered: all that is known after a restart."""
    status = item.status
    found = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    return status.get("digest") == digest and found.get("Registered") == "True"


def _held(told: Told, item: Item) -> tuple[str, str] | None:
    fate = told.fates.get(item.key)
    return (fate.reason, fate.message) if isinstance(fate, Held) else None


def _service(
    told: Told, item: Item, now: datetime, deprecated: Mapping[Key, Condition]
) -> tuple[Status, list[Condition]]:
    key: Key = ("feature_service", item.feast_name)
    problems = told.verdict.problems.get(item.key, ())
    definition = told.registry.wanted.get(key)
    features = {view.feast_name: [each.name for each in view.spec.features] for view in told.verdict.declarations.views}
    mine = definition is not None and definition.owner == item.owner
    digest = definition.digest if definition is not None and mine else ""
    its = deprecated.get(key) if mine else None
    return service_status(item, ServiceFacts(problems, _unregistered(told, key, item), digest, features, its), now)


def _project(
    world: World, told: Told, views: Mapping[str, tuple[Mapping[str, Any], bool]], now: datetime
) -> tuple[Status, list[Condition]]:
    item = told.seen.project
    assert item is not None
    register = world.registers.get(told.seen.key)
    trouble = told.children_trouble
    deployment = world.inventory.children.get(("Deployment", item.namespace, names.server(item.name)))
    facts = ProjectFacts(
        item.problems,
        views,
        len(told.seen.services),
        told.registry.trouble,
        ("ChildrenRefused", str(trouble)) if trouble else None,
        world.online.get(told.seen.key),
        register.last_write if register else None,
        deployment.status if deployment else None,
        _held(told, item),
    )
    return project_status(item, facts, now)


def _measure(told: Told, views: Mapping[str, tuple[Mapping[str, Any], bool]]) -> None:
    project = metrics.metrics_label(told.seen.key)
    counts: dict[tuple[str, str], int] = dict.fromkeys(_combinations(), 0)
    for status, _ in views.values():
        for condition in status["conditions"]:
            if (condition["type"], condition["status"]) in counts:
                counts[condition["type"], condition["status"]] += 1
    for (kind, truth), number in counts.items():
        metrics.VIEWS.labels(project, kind, truth).set(number)
    metrics.NEWEST_EVENT.remove_by_labels({"project": project})
    for item in told.seen.views:
        newest = views[item.owner][0].get("maxEventTimestamp")
        if newest:
            metrics.NEWEST_EVENT.labels(project, item.feast_name).set(
                datetime.fromisoformat(newest).astimezone(UTC).timestamp()
            )


def _combinations() -> Iterator[tuple[str, str]]:
    for kind in ("Valid", "Registered", "Materialized", "Fresh", "Consistent", "Ready"):
        for truth in ("True", "False", "Unknown"):
            yield kind, truth
