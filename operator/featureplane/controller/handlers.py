"""What kopf calls, and what each call means. Binds only: every line hands an event to the inventory.

`on.event` handlers alone: kopf then keeps no state on objects, adds no finalizer and takes 5,000 objects in seconds.
They are coroutines that never wait: kopf would run plain functions in threads, and the inventory has no locks.
"""

import time
from typing import Any

import kopf

from featureplane.controller import metrics
from featureplane.controller.children import RESOURCES
from featureplane.controller.cluster import DECLARED
from featureplane.controller.inventory import Inventory
from featureplane.settings import OperatorSettings


def bind(inventory: Inventory, settings: OperatorSettings) -> kopf.OperatorRegistry:
    """A registry of handlers that tell the inventory of custom resources and children."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return (
            kopf.login_with_kubeconfig(**kwargs) if settings.kubeconfig else kopf.login_with_service_account(**kwargs)
        )

    async def observe(event: Any, **_: Any) -> None:
        metrics.WATCH_AGE.set(time.time())
        inventory.observe(event["type"], event["object"])

    async def observe_child(event: Any, **_: Any) -> None:
        metrics.WATCH_AGE.set(time.time())
        inventory.observe_child(event["type"], event["object"])

    for resource in DECLARED:
        group, version = resource.api_version.split("/")
        kopf.on.event(group, version, resource.plural, registry=registry)(observe)
    for resource in RESOURCES.values():
        group, _, version = resource.api_version.rpartition("/")
        kopf.on.event(group, version, resource.plural, registry=registry)(observe_child)
    return registry
