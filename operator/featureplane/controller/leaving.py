"""What happens before an operator is uninstalled: it stops, and lets go of every object.

An object with our finalizer waits for an operator when it is deleted. Where there will be none, the finalizer has to go
first, and so has the operator, which would put it back. Nothing leaves the registry by this: whoever installs an
operator again finds everything as it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from featureplane import names
from featureplane.controller.cluster import DECLARED, Cluster, Resource
from featureplane.controller.concurrently import concurrently
from featureplane.errors import ClusterError, ClusterUnavailable

_DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
_POD = Resource("v1", "Pod", "pods")
_STOPPING_SECONDS = 90
_PAUSE_SECONDS = 0.5
_ROUNDS = 5
_CONFLICT = 409


async def let_go(cluster: Cluster, watched: str | None, operator: str | None, patience: float) -> int:
    """Let go of everything in the namespace `watched`, None for all; returns of how many objects.

    `operator` is the Deployment to stop first. What is being deleted gets `patience` seconds to leave the registry,
    which only an operator can see to. Raises ClusterError.
    """
    if operator:
        await _until_deleted(cluster, watched, patience)
        await _stop(cluster, operator)
    count = 0
    for _ in range(_ROUNDS):
        held = [(resource, item) async for resource, item in _held(cluster, watched)]
        if not held:
            return count
        errors = await concurrently(_free(cluster, resource, item) for resource, item in held)
        # Somebody else wrote to it at the same time: it is looked at again.
        if refused := [error for error in errors if error.status != _CONFLICT]:
            raise refused[0]
        count += len(held) - len(errors)
    raise ClusterUnavailable(f"{len(held)} objects are held again and again; does another operator run?")


async def _held(cluster: Cluster, watched: str | None) -> AsyncIterator[tuple[Resource, dict[str, Any]]]:
    for resource in DECLARED:
        async for metadata in cluster.metadata(resource, watched):
            if names.FINALIZER in metadata.get("finalizers", ()):
                yield resource, metadata


async def _free(cluster: Cluster, resource: Resource, metadata: dict[str, Any]) -> None:
    """Whoever owns the finalizer: a backup's tool puts objects back under its own name."""
    left = [name for name in metadata["finalizers"] if name != names.FINALIZER]
    change = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": left}}
    await cluster.change(resource, metadata["namespace"], metadata["name"], change)


async def _until_deleted(cluster: Cluster, watched: str | None, patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not [item async for _, item in _held(cluster, watched) if item.get("deletionTimestamp")]:
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _stop(cluster: Cluster, operator: str) -> None:
    deployment = await cluster.read(_DEPLOYMENT, cluster.namespace, operator)
    if deployment is None:
        return
    await cluster.change(_DEPLOYMENT, cluster.namespace, operator, {"spec": {"replicas": 0}}, "scale")
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    deadline = time.monotonic() + _STOPPING_SECONDS
    while [pod async for pod in cluster.metadata(_POD, cluster.namespace, selector)]:
        if time.monotonic() > deadline:
            raise ClusterError(f"the pods of {operator} do not end; look at them with kubectl get pods -l {selector}")
        await asyncio.sleep(_PAUSE_SECONDS)
