"""Routes of Feast's server that change something, closed unless the project opens them.

Feast's server answers them to everybody who reaches it where the project has no authentication.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What `server.writes` opens, and what runs are for: they hold a lock and note what they did.
WRITES = frozenset({"/push", "/write-to-online-store"})
RUNS = frozenset({"/materialize", "/materialize-incremental"})
_NO_WRITES = (
    "this server takes no writes; set server.writes.enabled in the FeastProject to open it; where there is none, write "
    "one that names the project (spec.project), and serve with it: featureplane serve --registered project.yaml"
)
_WHY = {
    **dict.fromkeys(WRITES, _NO_WRITES),
    **dict.fromkeys(RUNS, "this server starts no runs; the schedules of the project do, or featureplane materialize"),
}


def closed_routes(*, writes: bool) -> Mapping[str, str]:
    """Why each closed route is, by its path."""
    return {path: why for path, why in _WHY.items() if path in RUNS or not writes}


class Closed:
    """An ASGI application without some of its routes: 403 says how they are opened."""

    def __init__(self, app: App, *, writes: bool) -> None:
        self._app = app
        self._closed = closed_routes(writes=writes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").rstrip("/")
        if scope["type"] != "http" or path not in self._closed:
            await self._app(scope, receive, send)
            return
        body = json.dumps({"detail": self._closed[path]}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})
