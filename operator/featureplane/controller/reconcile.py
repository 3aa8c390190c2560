"""The recipe for one FeastProject: gather, judge, bring the registry to it, apply children, tell, let go.

Level-triggered: everything is decided from what is there now, never from what changed, so that a process that was
killed at any step is made good by the next look. Each step is a room of its own; this is their order.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from featureplane import names
from featureplane.controller import deletion, release, tell
from featureplane.controller.addresses import secrets_of, versions_of
from featureplane.controller.bring import ProjectConflict, Registry, bring
from featureplane.controller.children import apply_children
from featureplane.controller.cluster import Secret
from featureplane.controller.deletion import Fate
from featureplane.controller.inventory import ASKED, Item, ObjectKey, ProjectKey
from featureplane.controller.jobs import start_jobs
from featureplane.controller.judge import Verdict, judge
from featureplane.controller.online_store import trouble_with
from featureplane.controller.queue import Again
from featureplane.controller.seen import Seen, gather
from featureplane.controller.world import World
from featureplane.errors import ClusterError, Problem
from featureplane.manifests.context import Context, SecretFacts
from featureplane.model.feast_project import FeastProject

logger = logging.getLogger(__name__)


async def reconcile(world: World, key: ProjectKey, reasons: frozenset[str]) -> Again:
    """Look at one project and make everything as declared; says when to look again.

    Without `reasons` nothing is known to have changed: then the registry is read whatever we remember of it.
    """
    seen = await gather(world, key)
    project = seen.project.model if seen.project else None
    if seen.project is None or not isinstance(project, FeastProject):
        return await without_project(world, seen)
    secrets = await secrets_of(world.cluster, project)
    world.secret_versions[key] = versions_of(secrets)
    fates = decide(world, seen)
    verdict = await asyncio.to_thread(judge_staying, seen, project, fates)
    verdict, errors = await release.hold(world, seen, verdict)
    (verdict, registry), world.online[key] = await asyncio.gather(
        bring(world, seen, verdict, fates, secrets, look=not reasons or ASKED in reasons),
        trouble_with(project, secrets, world.settings.namespace),
    )
    fates = settle(world, seen, fates, registry)
    refused = None
    if _may_have_children(seen, registry):
        context = _context(world, seen.project, project, secrets)
        refused = await apply_children(world, key, context)
        if registry.trouble is None:
            refused = await start_jobs(world, key, context, verdict, registry.looked) or refused
    outcome = await tell.write(world, tell.Told(seen, verdict, registry, fates, refused))
    if outcome.errors and (register := world.registers.get(key)):
        register.read_runs_again()
    errors += [*outcome.errors, *await release.let_go(world, seen, fates), *([refused] if refused else [])]
    _log(errors)
    if isinstance(fates.get(seen.project.key), deletion.Release) and not errors:
        await world.drop(key)
        return Again(gone=not seen.members)
    return _again(world, seen, outcome.next_time, registry, fates, errors)


def decide(world: World, seen: Seen) -> dict[ObjectKey, Fate]:
    """What becomes of each object that is being deleted."""
    register = world.registers.get(seen.key)
    owners = register.owners if register else {}
    fates: dict[ObjectKey, Fate] = {}
    for item in seen.members:
        if item.deleting:
            terminating = item.namespace in seen.terminating
            if item.kind == names.FEATURE_VIEW:
                fates[item.key] = deletion.fate_of_view(item, seen.services, owners, terminating=terminating)
            else:
                fates[item.key] = deletion.fate_of_service(item, owners, terminating=terminating)
    if seen.project and seen.project.deleting:
        terminating = seen.project.namespace in seen.terminating
        fates[seen.project.key] = deletion.fate_of_project(seen.members, terminating=terminating)
    return fates


def judge_staying(seen: Seen, project: FeastProject, fates: Mapping[ObjectKey, Fate]) -> Verdict:
    """What is right among the objects that stay, for good or because somebody needs them."""

    def stays(item: Item) -> bool:
        return not item.deleting or isinstance(fates[item.key], deletion.Held)

    return judge(project, filter(stays, seen.views), filter(stays, seen.services))


def settle(world: World, seen: Seen, fates: Mapping[ObjectKey, Fate], registry: Registry) -> dict[ObjectKey, Fate]:
    """The fates, now that the registry answered, or did not: what left it is let go, what it kept is held."""
    patience = timedelta(seconds=world.settings.orphan_after)
    since = world.note_trouble(seen.key, is_there=registry.trouble is not None)
    after = dict(fates)
    for item in seen.members:
        fate = fates.get(item.key)
        if not isinstance(fate, deletion.Remove):
            continue
        if registry.trouble is None:
            is_mine = registry.owners.get(fate.key) == item.owner
            why = registry.kept.get(fate.key) if is_mine else None
            after[item.key] = _kept(why, fate) if why else deletion.Release()
        elif deletion.is_overdue(item, world.now(), patience, since):
            after[item.key] = deletion.orphaned(item, registry.trouble[1])
        else:
            after[item.key] = deletion.Held("Deleting", f"waiting for the registry: {registry.trouble[1]}")
    return after


async def without_project(world: World, seen: Seen) -> Again:
    """Objects whose project is not there, or is wrong, say so; the deleted among them are let go."""
    patience = timedelta(seconds=world.settings.orphan_after)
    why = "its FeastProject is not there" if seen.project is None else "its FeastProject is not right"
    since = world.note_trouble(seen.key, is_there=True)
    fates: dict[ObjectKey, Fate] = {}
    for item in seen.members:
        if item.deleting:
            waits = seen.project is not None and item.namespace not in seen.terminating
            if waits and not deletion.is_overdue(item, world.now(), patience, since):
                fates[item.key] = deletion.Held("Deleting", "waiting for the FeastProject to be right")
            else:
                fates[item.key] = deletion.orphaned(item, why)
    if seen.project is None:
        text = f"there is no FeastProject {seen.key[1]!r} in {seen.key[0]!r}"
        problem = Problem("", 0, "spec.projectRef", text, "create it, or correct projectRef", "ProjectNotFound")
    else:
        problem = Problem("", 0, "spec.projectRef", "the FeastProject is not right itself", "mend it", "ProjectInvalid")
        if seen.project.deleting:
            fates[seen.project.key] = deletion.fate_of_project(
                seen.members, terminating=seen.project.namespace in seen.terminating
            )
    errors = [*await tell.write_without_project(world, seen, problem, fates), *await release.let_go(world, seen, fates)]
    _log(errors)
    if seen.project is None:
        await world.drop(seen.key)
    return Again(
        _until_overdue(world, seen, fates),
        failed=any(error.retriable for error in errors),
        gone=seen.project is None and not seen.members and not errors,
    )


def _may_have_children(seen: Seen, registry: Registry) -> bool:
    """Nothing can be made in a namespace that goes; and a second server for an older project's registry is nobody's."""
    conflict = registry.trouble is not None and registry.trouble[0] == ProjectConflict.__name__
    return seen.key[0] not in seen.terminating and not conflict


def _context(world: World, item: Item, project: FeastProject, secrets: Mapping[str, Secret | None]) -> Context:
    facts = {
        name: SecretFacts(secret.resource_version, frozenset(secret.values)) if secret else None
        for name, secret in secrets.items()
    }
    settings = world.settings
    return Context(project, item.uid, settings.image, settings.image_pull_policy, settings.image_pull_secrets, facts)


def _kept(why: str, fate: deletion.Remove) -> Fate:
    """What becomes of an object whose definition the registry keeps."""
    if not fate.is_certain and why.startswith("not declared"):
        return deletion.Release("Retained", "it was registered with deletionPolicy Retain, and stays registered")
    return deletion.Held("InUse", f"it stays registered: {why}")


def _again(
    world: World,
    seen: Seen,
    next_time: datetime | None,
    registry: Registry,
    fates: Mapping[ObjectKey, Fate],
    errors: list[ClusterError],
) -> Again:
    times = [time for time in (next_time, registry.looked.purges.next_at) if time is not None]
    waits = [(time - world.now()).total_seconds() for time in times]
    waits += [seconds for seconds in (_until_overdue(world, seen, fates),) if seconds is not None]
    failed = registry.passes or any(error.retriable for error in errors)
    return Again(max(1.0, min(waits)) if waits else None, failed=failed)


def _until_overdue(world: World, seen: Seen, fates: Mapping[ObjectKey, Fate]) -> float | None:
    """After how many seconds the first of the objects that wait for their removal has waited for too long."""
    patience = timedelta(seconds=world.settings.orphan_after)
    since = world.troubled.get(seen.key, world.now())
    ends = [
        deletion.deadline(item, patience, since)
        for item in seen.members
        if isinstance(fate := fates.get(item.key), deletion.Held) and fate.reason == "Deleting"
    ]
    return max(1.0, (min(ends) - world.now()).total_seconds()) if ends else None


def _log(errors: Iterable[ClusterError]) -> None:
    for error in errors:
        logger.warning("%s", error)
