"""What the server says of itself: `/status` and `/status/views` to the page and to people, `/metrics` to Prometheus."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import time
from typing import Any

import orjson

from featureplane.serving import metrics
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.following import Following
from featureplane.serving.catalogue.served import UNDESCRIBED, Catalogue, Described, Projection, ServedView
from featureplane.serving.http.asgi import Scope, Send
from featureplane.serving.http.routes import JSON, Routes, reply, reply_tagged
from featureplane.serving.meter import Meter, State
from featureplane.serving.reading.store import Store

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class About:
    """The server that a worker is of. `started` is in seconds since 1970; the folder has all workers' metrics.

    `online_store` is what it is called: Redis or Cassandra.
    """

    project: str
    workers: int
    started: float
    metrics_folder: Path
    online_store: str


class Status:
    """The three routes of a worker."""

    def __init__(self, about: About, followed: Followed, following: Following, store: Store, meter: Meter) -> None:
        self._about = about
        self._followed = followed
        self._following = following
        self._store = store
        self._meter = meter

    def routes(self) -> Routes:
        return {"/status": self.server, "/status/views": self.views, "/metrics": self.metrics}

    async def server(self, _: Scope, send: Send) -> None:
        """The server and its stores."""
        now, about, catalogue = time(), self._about, self._followed.catalogue
        said = {
            "version": version("featureplane"),
            "project": about.project,
            "workers": about.workers,
            "started": written(about.started),
            "uptime_seconds": round(now - about.started),
            "now": written(now),
            "registry": {"problem": self._following.problem, "checked": written(self._following.checked_at)},
            "online_store": {"type": about.online_store, "problem": self._store.is_away},
            "feature_views": len(catalogue.views),
            "feature_services": len(catalogue.services),
        }
        await reply(send, orjson.dumps(said), JSON, ((b"cache-control", b"no-store"),))

    async def views(self, scope: Scope, send: Send) -> None:
        """What can be asked for, and how fresh it is; tagged, as thousands of views are a megabyte."""
        body = await asyncio.to_thread(lambda: orjson.dumps(self._catalogue()))
        await reply_tagged(scope, send, body, JSON)

    async def metrics(self, _: Scope, send: Send) -> None:
        """In Prometheus' text format; other workers' counts may be a second old."""
        self._meter.flush()
        await reply(send, await asyncio.to_thread(self._exposition), _TEXT)

    def _catalogue(self) -> dict[str, Any]:
        catalogue, freshness = self._followed.catalogue, self._followed.freshness
        entities = {key: name for name, key in sorted(catalogue.entities.items(), reverse=True)}
        sent = metrics.written(self._about.metrics_folder)
        views = []
        for view in sorted(catalogue.views.values(), key=lambda view: view.name):
            newest = freshness.of(view, sent)
            views.append({
                "name": view.name,
                "join_keys": _join_keys(dict(view.join_keys), entities),
                "features": view.features,
                "types": view.types,
                "ttl_seconds": view.ttl,
                "newest_event_time": written(newest.at) if newest else None,
                "newest_of": newest.of if newest else None,
                "why_not": view.why_not,
                **_described(view.described),
            })  # fmt: skip
        services = [
            {
                "name": name,
                **_service(catalogue, projections, entities),
                **_described(catalogue.described_services.get(name, UNDESCRIBED)),
            }
            for name, projections in sorted(catalogue.services.items())
        ]
        return {
            "feature_views": views,
            "feature_services": services,
            "answered_by_feast": sorted(name for _, name in catalogue.left_to_feast),
        }

    def _exposition(self) -> bytes:
        now, sent, freshness = time(), metrics.written(self._about.metrics_folder), self._followed.freshness
        newest = ((view.name, freshness.of(view, sent)) for view in self._followed.catalogue.views.values())
        ages = [(name, max(now - known.at, 0.0)) for name, known in newest if known]
        return metrics.exposition(self._about.metrics_folder, self._about.project, ages)


def state_of(followed: Followed, following: Following, store: Store, in_progress: int, *, by_feast: bool) -> State:
    """How a worker is at the moment; `by_feast` where its rows are not in Redis."""
    return State(
        is_redis_up=by_feast or not store.is_away,
        is_store_up=not store.is_away,
        is_registry_up=not following.problem,
        registry_checked=following.checked_at,
        registry_changes=following.changes,
        in_progress=in_progress,
        views=len(followed.catalogue.views),
    )


def written(seconds: float) -> str:
    """A time since 1970 as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _described(found: Described) -> dict[str, Any]:
    """Who answers for it, its tags, and what of it is deprecated: features by name, the whole under an empty one."""
    deprecated = [{"feature": feature, **said._asdict()} for feature, said in found.deprecated]
    return {"owner": found.owner, "tags": dict(found.tags), "deprecated": deprecated}


def _join_keys(types: Mapping[str, str], entities: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind, "entity": entities.get(name, "")} for name, kind in types.items()]


def _service(
    catalogue: Catalogue, projections: tuple[Projection, ...], entities: Mapping[str, str]
) -> dict[str, list[Any]]:
    """The join keys that a request for it names, and its features, of those views that are there."""
    found: list[tuple[Projection, ServedView]] = [
        (each, catalogue.views[each.view]) for each in projections if each.view in catalogue.views
    ]
    types = {each.join_keys.get(key, key): kind for each, view in found for key, kind in view.join_keys}
    return {
        "join_keys": _join_keys(types, entities),
        "features": [f"{each.name}:{feature}" for each in projections for feature in each.features],
    }
