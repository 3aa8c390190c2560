"""The registry's part of a look: made what is declared, without what it refuses, and asked what happened."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from featureplane import names
from featureplane.controller import deletion, metrics
from featureplane.controller.addresses import SecretTrouble, postgres_of, secrets_of, stores_of
from featureplane.controller.cluster import Secret
from featureplane.controller.inventory import Item, ObjectKey
from featureplane.controller.judge import Verdict
from featureplane.controller.register import VIA, Actors, Looked, Removable
from featureplane.controller.seen import Seen
from featureplane.controller.world import Claim, World, claim
from featureplane.errors import FeatureplaneError, SchemaTooNew, StoreUnavailable, UntrustedRegistry
from featureplane.materialization.outlook import Purges
from featureplane.model.feast_project import FeastProject
from featureplane.registry.actor import Actor
from featureplane.rendering.definitions import Definition, Key, define

logger = logging.getLogger(__name__)

# A refusal can uncover another one; more rounds than this are somebody's mistake.
_ROUNDS = 5


@dataclass(frozen=True)
class Registry:
    """What came of the registry. `trouble` is a reason and a message where it could not be made what is declared."""

    wanted: dict[Key, Definition] = field(default_factory=dict)
    digests: dict[Key, str] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)
    kept: dict[Key, str] = field(default_factory=dict)
    looked: Looked = field(default_factory=lambda: Looked({}, {}, Purges()))
    trouble: tuple[str, str] | None = None
    # The trouble may be over by itself: it is worth asking again soon.
    passes: bool = False


async def bring(
    world: World,
    seen: Seen,
    verdict: Verdict,
    fates: Mapping[ObjectKey, deletion.Fate],
    secrets: Mapping[str, Secret | None],
    *,
    look: bool,
) -> tuple[Verdict, Registry]:
    """Make the registry what is declared, without what it refuses; the verdict then says that, too."""
    wanted: dict[Key, Definition] = {}
    project = verdict.declarations.project
    try:
        # First of all: what was registered as declared stays so, whatever trouble there is with the registry.
        wanted = await asyncio.to_thread(_defined, verdict)
        postgres = postgres_of(project, secrets, world.settings.namespace)
        await _refuse_conflict(world, seen, project, claim(project, postgres))
        register = await world.register(project, stores_of(project, secrets, world.settings.namespace))
        for _ in range(_ROUNDS):
            brought = await register.bring(list(wanted.values()), _removable(fates, wanted), _actors(seen), look=look)
            if not brought.refused:
                break
            verdict = verdict.without(_declarers(verdict, brought.refused))
            wanted = await asyncio.to_thread(_defined, verdict)
        else:
            raise FeatureplaneError("the registry refuses one object after another; take the last changes back")
        looked = await register.look([item.feast_name for item in seen.views if not item.has_runs])
    except FeatureplaneError as error:
        known = world.registers.get(seen.key)
        digests, owners = (known.digests, known.owners) if known else ({}, {})
        if isinstance(error, ProjectConflict):  # what was known is of a place that is another's by now, or of another
            wanted, digests, owners = {}, {}, {}
        logger.warning("%s", error)
        metrics.ERRORS.labels(metrics.metrics_label(seen.key), type(error).__name__).inc()
        passes = not isinstance(error, _STAYS)
        return verdict, Registry(wanted, dict(digests), dict(owners), trouble=_trouble(error, project), passes=passes)
    _measure(seen, looked, compares=project.spec.parity is not None)
    if looked.has_unfolded:
        await register.fold()
    return verdict, Registry(wanted, dict(brought.digests), dict(brought.owners), dict(brought.kept), looked)


def _measure(seen: Seen, looked: Looked, *, compares: bool) -> None:
    """Tell Prometheus of the runs of the project's views; what else the registry holds is not ours to watch."""
    project, views = metrics.metrics_label(seen.key), {item.feast_name for item in seen.views}
    metrics.keep_views(project, views)
    metrics.count_runs(project, (run for run in looked.ended if run.view in views))
    for view in views.intersection(looked.runs):
        metrics.show_newest_run(project, looked.runs[view][0])
    metrics.show_parity(
        project, {view: looked.parity[view] for view in views.intersection(looked.parity)} if compares else {}
    )


def _removable(fates: Mapping[ObjectKey, deletion.Fate], wanted: Mapping[Key, Definition]) -> Removable:
    """What may leave the registry, each with the object that has it: another one may have taken its name over."""
    return {
        fate.key: (f"{key[1]}/{key[2]}", fate.is_certain)
        for key, fate in fates.items()
        if isinstance(fate, deletion.Remove) and fate.key not in wanted
    }


def _actors(seen: Seen) -> Actors:
    """Who last wrote each of the project's objects."""
    items = [*seen.views, *seen.services, *((seen.project,) if seen.project else ())]
    return {
        (_DEFINED_BY[item.kind], item.owner): Actor(
            item.manager, VIA, item.owner, item.uid, item.resource_version, item.generation
        )
        for item in items
    }


_DEFINED_BY = {
    names.FEATURE_VIEW: "feature_view", names.FEATURE_SERVICE: "feature_service", names.FEAST_PROJECT: "project",
}  # fmt: skip


def _defined(verdict: Verdict) -> dict[Key, Definition]:
    """What is right as definitions, their digests made: thousands take a second, in which nothing else must wait."""
    definitions = {item.key: item for item in define(verdict.declarations)}
    for item in definitions.values():
        _ = item.digest
    return definitions


class ProjectConflict(FeatureplaneError):
    """An older FeastProject has the same project in the same registry."""


# Somebody has to act, and that is seen, or the time of the next look is soon enough.
_STAYS = (SecretTrouble, ProjectConflict, UntrustedRegistry, SchemaTooNew)


async def _refuse_conflict(world: World, seen: Seen, project: FeastProject, mine: Claim) -> None:
    """Two projects at one place of a registry would take it from each other for ever: the older one has it."""
    assert seen.project is not None
    before, world.claims[seen.key] = world.claims.get(seen.key), mine
    if before is not None and before != mine:
        for other in list(world.claims):
            world.inventory.on_change(other, "another project moved")
    for item in world.inventory.projects():
        if item.project != seen.key and item.age < seen.project.age and await _claim_of(world, item) == mine:
            raise ProjectConflict(
                f"{project.spec.project!r} in this registry is the project of {item.owner}, which is older; "
                "choose another name or another database"
            )


async def _claim_of(world: World, item: Item) -> Claim | None:
    """Where another project's definitions lie, also when it was not looked at yet; None where that cannot be known."""
    if item.project not in world.claims and isinstance(item.model, FeastProject):
        secrets = await secrets_of(world.cluster, item.model)
        with suppress(SecretTrouble):
            world.claims[item.project] = claim(item.model, postgres_of(item.model, secrets, world.settings.namespace))
    return world.claims.get(item.project)


def _trouble(error: FeatureplaneError, project: FeastProject) -> tuple[str, str]:
    if isinstance(error, SecretTrouble):
        return error.reason, str(error)
    if isinstance(error, StoreUnavailable):
        secret = project.spec.registry.postgresql.secret_ref.name
        return "RegistryUnavailable", f"{error}; the Secret {secret!r} says where it is and who asks"
    return type(error).__name__, str(error)


def _declarers(verdict: Verdict, refused: Mapping[Key, Sequence[str]]) -> dict[ObjectKey, list[str]]:
    """The objects that declare what the registry refuses: a shared entity's are all of its views."""
    found: dict[ObjectKey, list[str]] = {}
    for (kind, name), texts in refused.items():
        for view in verdict.declarations.views:
            entities = {entity.name for entity in view.spec.entities}
            if (
                (kind == "feature_view" and view.feast_name == name)
                or (kind == "entity" and name in entities)
                or (kind == "data_source" and name in {view.source_name, view.push_name})
            ):
                key = (names.FEATURE_VIEW, view.metadata.namespace, view.metadata.name)
                found.setdefault(key, []).extend(texts)
        for service in verdict.declarations.services:
            if kind == "feature_service" and service.feast_name == name:
                key = (names.FEATURE_SERVICE, service.metadata.namespace, service.metadata.name)
                found.setdefault(key, []).extend(texts)
    if not found:
        raise FeatureplaneError("; ".join(text for texts in refused.values() for text in texts))
    return found
