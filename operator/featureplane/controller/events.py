"""Kubernetes Events about transitions, recorded in the background: none delays a reconcile, none is worth a retry."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from featureplane import names
from featureplane.controller.cluster import Cluster
from featureplane.controller.conditions import Transition
from featureplane.controller.inventory import Item
from featureplane.controller.metrics import EVENTS_DROPPED
from featureplane.errors import ClusterError

logger = logging.getLogger(__name__)

_MOST_WAITING = 2000
# Below what the reconciles need of the API server, and of etcd: a thousand new views take a minute to be told of.
_PAUSE_SECONDS = 0.02
# Ready repeats what the others say when something is wrong.
_TOLD = {
    ("Ready", "True"): False,
    ("Registered", "True"): False,
    ("Valid", "False"): True,
    ("Materialized", "False"): True,
    ("Fresh", "False"): True,
    ("Deprecated", "True"): False,
}
# What passes by itself. What keeps a view out of the registry is the project's trouble, and told of there.
_QUIET = frozenset({"WaitingForFirstRun", "Pending", "Deleting"})


# A server that starts is no trouble.
_STARTING = frozenset({"Missing", "NotReady"})


class Events:
    """The Events that wait to be recorded."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: asyncio.Queue[tuple[dict[str, Any], str, str, str]] = asyncio.Queue(_MOST_WAITING)

    def tell(self, item: Item, reason: str, message: str, *, warning: bool = False) -> None:
        """Record an Event, unless too many wait already."""
        regarding = {
            "apiVersion": names.API_VERSION,
            "kind": item.kind,
            "name": item.name,
            "namespace": item.namespace,
            "uid": item.uid,
            "resourceVersion": item.resource_version,
        }
        try:
            self._waiting.put_nowait((regarding, "Warning" if warning else "Normal", reason, message))
        except asyncio.QueueFull:
            EVENTS_DROPPED.inc()

    def transitions(self, item: Item, found: Iterable[Transition]) -> None:
        """An Event for each that somebody may want to know of."""
        for transition in found:
            condition = transition.condition
            warning = _TOLD.get((condition.type, condition.status))
            if item.kind == names.FEAST_PROJECT and (condition.type, condition.status) == ("Ready", "False"):
                warning = condition.reason not in _STARTING
            if condition.reason == "InUse" and condition.type == "Ready":
                warning = True
            if warning is not None and condition.reason not in _QUIET:
                self.tell(item, condition.reason, condition.message or condition.type, warning=warning)

    async def run(self) -> None:
        """Record what waits, one after the other, for ever. That we may not is said once."""
        refused = False
        while True:
            regarding, kind, reason, message = await self._waiting.get()
            try:
                await self._cluster.emit(regarding, kind, reason, message)
            except ClusterError as error:
                EVENTS_DROPPED.inc()
                level = logging.DEBUG if error.retriable or error.is_end_of_namespace or refused else logging.WARNING
                refused = refused or level == logging.WARNING
                logger.log(level, "an Event was not recorded: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)
