"""Looking after what events do not tell: whether a watch has gone silent, a Secret changed or a Redis went, writers at
rest.

kopf lists again after a 410 without telling what is gone since, and a watch can hang without an error. So what the API
server has is compared with what is known, by resource version, and what differs is read.
"""

import asyncio
import logging

from featureplane import names
from featureplane.controller import metrics
from featureplane.controller.addresses import secrets_of, versions_of
from featureplane.controller.children import RESOURCES
from featureplane.controller.cluster import DECLARED, Resource
from featureplane.controller.concurrently import concurrently
from featureplane.controller.health import Health
from featureplane.controller.inventory import DELETED, Item, ObjectKey
from featureplane.controller.online_store import trouble_with
from featureplane.controller.world import World
from featureplane.errors import ClusterError
from featureplane.model.feast_project import FeastProject

logger = logging.getLogger(__name__)

_SETTLE_SECONDS = 0.2
_SERVED_SECONDS = 3.0
# An event may be on its way.
_PATIENCE_SECONDS = 5.0
_REST_SECONDS = 30.0


async def until_served(world: World) -> None:
    """Return when the API server serves our kinds: kopf looks for them once, at its start."""
    while True:
        try:
            for resource in DECLARED:
                await world.cluster.count(resource, world.settings.watched)
        except ClusterError as error:
            logger.warning("waiting for the Kubernetes API and our CRDs in it: %s", error)
            await asyncio.sleep(_SERVED_SECONDS)
        else:
            return


async def until_listed(world: World) -> None:
    """Return when everything there is is known: what is decided before could favour the younger of two."""
    watched = world.settings.watched
    for resource in DECLARED:
        while _known(world, resource) < await world.cluster.count(resource, watched):  # noqa: ASYNC110 - others tell
            await asyncio.sleep(_SETTLE_SECONDS)
    for resource in RESOURCES.values():
        async for metadata in world.cluster.metadata(resource, watched, names.LABEL_PROJECT):
            while (resource.kind, metadata["namespace"], metadata["name"]) not in world.inventory.children:
                await asyncio.sleep(_SETTLE_SECONDS)
                if await world.cluster.read(resource, metadata["namespace"], metadata["name"]) is None:
                    break


def _known(world: World, resource: Resource) -> int:
    return sum(item.kind == resource.kind for item in world.inventory.items.values())


async def compare_for_ever(world: World, health: Health) -> None:
    """Compare what is known with what there is, as often as everything is looked at."""
    while True:
        await asyncio.sleep(world.settings.resync)
        try:
            missed = await compare(world)
        except ClusterError as error:
            logger.warning("what is known could not be compared: %s", error)
            continue
        world.tidy()
        metrics.WATCH_LAG.set(missed)
        health.missed = health.missed + 1 if missed else 0
        if missed:
            logger.warning("%d objects were not as the watches had told; they are now", missed)


async def compare(world: World) -> int:
    """Take in what the watches missed; returns how many objects those were."""
    missed = 0
    for resource in DECLARED:
        known = {key: item.resource_version for key, item in world.inventory.items.items() if key[0] == resource.kind}
        missed += await _compare(world, resource, "", known, children=False)
    for resource in RESOURCES.values():
        known = {
            key: item.resource_version for key, item in world.inventory.children.items() if key[0] == resource.kind
        }
        missed += await _compare(world, resource, names.LABEL_PROJECT, known, children=True)
    return missed


async def _compare(
    world: World, resource: Resource, selector: str, known: dict[ObjectKey, str], *, children: bool
) -> int:
    there: dict[ObjectKey, str] = {}
    async for metadata in world.cluster.metadata(resource, world.settings.watched, selector):
        there[resource.kind, metadata["namespace"], metadata["name"]] = metadata["resourceVersion"]
    suspects = [key for key in {*there, *known} if there.get(key) != known.get(key)]
    if not suspects:
        return 0
    await asyncio.sleep(_PATIENCE_SECONDS)
    missed = 0
    for key in suspects:
        body = await world.cluster.read(resource, key[1], key[2])
        current = world.inventory.children.get(key) if children else world.inventory.items.get(key)
        version = body["metadata"]["resourceVersion"] if body else None
        told = current.resource_version if current else None
        if version == told:
            continue
        # One that changes all the time is told of, if a moment late.
        missed += told == known.get(key)
        if body is None and not children:
            world.inventory.forget(key)
        elif body is None:
            gone = {"kind": key[0], "metadata": {"namespace": key[1], "name": key[2], "labels": {}}}
            world.inventory.observe_child(DELETED, gone)
        elif children:
            world.inventory.observe_child(None, body)
        else:
            world.inventory.observe(None, body)
    return missed


async def poll_stores(world: World) -> None:
    """Look at a project again when a Secret it names, or how its Redis answers, is other than the last look saw."""
    while True:
        await asyncio.sleep(world.settings.secrets_poll)
        await look_at_stores(world)


async def look_at_stores(world: World) -> None:
    """Once, at several projects at a time: a Redis that is silent keeps no other project's Secret from being seen."""
    for error in await concurrently(_look_at_stores_of(world, item) for item in world.inventory.projects()):
        logger.debug("the Secrets of a project could not be read: %s", error)


async def _look_at_stores_of(world: World, item: Item) -> None:
    if not isinstance(item.model, FeastProject) or item.project not in world.secret_versions:
        return
    found = await secrets_of(world.cluster, item.model)
    if versions_of(found) != world.secret_versions.get(item.project):
        world.inventory.on_change(item.project, "Secret changed")
    elif await trouble_with(item.model, found, world.settings.namespace) != world.online.get(item.project):
        world.inventory.on_change(item.project, "online store changed")


async def rest_writers(world: World) -> None:
    """End writers that had nothing to do for long: each holds Feast in memory."""
    while True:
        await asyncio.sleep(_REST_SECONDS)
        for register in list(world.registers.values()):
            await register.rest(world.settings.writer_idle)
