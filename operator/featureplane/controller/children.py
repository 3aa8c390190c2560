"""The children of a project: applied where they differ from what is wanted, deleted where nobody wants them."""

from collections.abc import Mapping, Sequence
from typing import Any

from featureplane import names
from featureplane.controller.cluster import Resource
from featureplane.controller.inventory import Child, ObjectKey, ProjectKey, fingerprint
from featureplane.controller.world import World
from featureplane.errors import ClusterError, ClusterUnavailable
from featureplane.manifests import children
from featureplane.manifests.children import Manifest
from featureplane.manifests.context import Context
from featureplane.rendering.definitions import digest

RESOURCES = {kind: Resource(api_version, kind, plural) for api_version, kind, plural in children.KINDS}
# Jobs are made once and go by themselves.
_PASSING = "Job"
_CONFLICT = 409


async def apply_children(world: World, project: ProjectKey, context: Context) -> ClusterError | None:
    """Make the project's children what they should be; one that the API server refuses stops no other.

    Returns the first error there was.
    """
    wanted = children.children(context)
    errors = [error for manifest in wanted if (error := await _applied(world, manifest))]
    strays = _unwanted(world, project, wanted, context.uid)
    errors += [error for child in strays if (error := await _deleted(world, child))]
    return errors[0] if errors else None


async def apply(world: World, manifest: Manifest) -> None:
    """Apply one child and remember what the API server made of it. Raises ClusterError."""
    await _apply(world, manifest, None)


async def _apply(world: World, manifest: Manifest, replicas: int | None) -> None:
    key = _key(manifest)
    whole = manifest if replicas is None else {**manifest, "spec": {**manifest["spec"], "replicas": replicas}}
    body = await world.cluster.apply(RESOURCES[key[0]], whole)
    world.inventory.note_child(body)
    world.applied[key] = (digest(manifest), fingerprint(body))


async def _applied(world: World, manifest: Manifest) -> ClusterError | None:
    key = _key(manifest)
    child = world.inventory.children.get(key)
    if child is not None and world.applied.get(key) == (digest(manifest), child.fingerprint):
        return None
    try:
        if child is None:
            await _refuse_anothers(world, manifest)
        await _apply(world, manifest, await _replicas(world, manifest))
    except ClusterError as error:
        return None if error.is_end_of_namespace else error
    return None


async def _refuse_anothers(world: World, manifest: Manifest) -> None:
    """What somebody else made under this name stays theirs: taken over, it would also go with the project."""
    metadata = manifest["metadata"]
    found = await world.cluster.read(RESOURCES[manifest["kind"]], metadata["namespace"], metadata["name"])
    if found is not None and not _is_ours(found["metadata"]):
        # Nobody tells us when it is gone: it is looked for again soon.
        raise ClusterUnavailable(
            f"{manifest['kind']} {metadata['name']!r} is there already and is not Featureplane's; delete or rename it, "
            "or give the FeastProject another name",
            _CONFLICT,
        )


def _is_ours(metadata: Mapping[str, Any]) -> bool:
    """Whether we made it: its label says so, or, where somebody took that off, the API server's own notes."""
    managers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
    labels = metadata.get("labels") or {}
    return labels.get(names.LABEL_MANAGED_BY) == names.MANAGED_BY or names.FIELD_MANAGER in managers


async def _replicas(world: World, manifest: Manifest) -> int | None:
    """The number of pods to keep for an autoscaler that has not set one yet.

    A Deployment whose number was ours would fall back to one pod if we only left it out: it must be somebody else's
    first (Kubernetes, "Server-Side Apply", transferring ownership).
    """
    if manifest["kind"] != "Deployment" or "replicas" in manifest["spec"]:
        return None
    metadata = manifest["metadata"]
    found = await world.cluster.read(RESOURCES["Deployment"], metadata["namespace"], metadata["name"])
    if found is None:
        return None
    owners = {
        entry["manager"]
        for entry in found["metadata"].get("managedFields") or ()
        if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
    }
    return int(found["spec"]["replicas"]) if owners == {names.FIELD_MANAGER} else None


def _unwanted(world: World, project: ProjectKey, wanted: Sequence[Manifest], uid: str) -> list[Child]:
    """What we made and want no more; what somebody else made with our labels is theirs."""
    keys = {_key(manifest) for manifest in wanted}
    return [
        child
        for child in world.inventory.children_of(project)
        if child.key not in keys and child.kind != _PASSING and child.owner == uid
    ]


async def _deleted(world: World, child: Child) -> ClusterError | None:
    try:
        await world.cluster.delete(RESOURCES[child.kind], child.namespace, child.name)
    except ClusterError as error:
        return error
    world.applied.pop(child.key, None)
    return None


def _key(manifest: Manifest) -> ObjectKey:
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
