"""Routes of Feast's own app (feast/feature_server.py, `get_app`), with their methods; a test compares.

Whatever else is asked for is refused here: a stranger who tries addresses would start a process of 200 MB.
"""

import re
from collections.abc import Mapping

import orjson

from featureplane.serving.closed import WRITES
from featureplane.serving.reading.refusals import Refused

_POST = frozenset({"POST"})
_PAGE = frozenset({"GET", "HEAD"})
FEAST_ROUTES: Mapping[str, frozenset[str]] = {
    "/get-online-features": _POST,
    "/retrieve-online-documents": _POST,
    "/search": _POST,
    "/push": _POST,
    "/write-to-online-store": _POST,
    "/materialize": _POST,
    "/materialize-incremental": _POST,
    "/health": _PAGE,
    "/chat": frozenset({"GET", "POST"}),
    "/v1/vector_stores": frozenset({"GET"}),
    "/v1/vector_stores/{vector_store_id}": frozenset({"GET"}),
    "/v1/vector_stores/{vector_store_id}/search": _POST,
    # Feast's page for /chat loads files.
    "/static/{path}": _PAGE,
    **dict.fromkeys(("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"), _PAGE),
}
# Of the workers alone, which Feast's app has from us (`feast_messages`): not among those that are let through.
MESSAGES = "/featureplane/online-features"
# Answered by the worker itself, for these methods.
_OURS = dict.fromkeys(("/", "/ready", "/metrics", "/status", "/status/views"), _PAGE)
_PATTERNS = {
    re.compile(path.replace("{path}", ".+").replace("{vector_store_id}", "[^/]+")): methods
    for path, methods in FEAST_ROUTES.items()
    if "{" in path
}
_MOST_SHOWN = 200
# Of Feast's routes those that only read; whatever else is sent may change something.
_READS = frozenset({"/get-online-features", "/search", "/retrieve-online-documents"})
_STORES = "/v1/vector_stores/"
_PUSH = "/push"
_OFFLINE = "offline"


class NotAllowed(Refused):
    """A route is there for other methods: `allowed`, as the header of that name has them."""

    def __init__(self, method: str, path: str, allowed: frozenset[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"{path} takes {self.allowed}, and not {method}", 405)


def check_route(method: str, path: str) -> None:
    """Raises Refused where there is no such route, and NotAllowed where it is there for other methods."""
    # Feast's app shows who writes a slash too many the way.
    sought = path.rstrip("/") or "/"
    allowed = {**FEAST_ROUTES, **_OURS}.get(sought) or next(
        (methods for pattern, methods in _PATTERNS.items() if pattern.fullmatch(sought)), None
    )
    if sought == "/ws/chat":
        raise Refused("this server passes no WebSocket on to Feast's own app; send POST /chat", 501)
    if allowed is None:
        raise Refused(f"this server has no {path[:_MOST_SHOWN]}", 404)
    if method not in allowed:
        raise NotAllowed(method, path[:_MOST_SHOWN], allowed)


def only_reads(method: str, path: str) -> bool:
    """Whether a request changes nothing."""
    reads = method in {"GET", "HEAD", "OPTIONS"} or path.rstrip("/") in _READS
    return reads or (path.startswith(_STORES) and path.endswith("/search"))


def wants_online_store(method: str, path: str, body: bytes) -> bool:
    """Whether a request is for rows of the online store: all but those for pages, and a push to the offline store."""
    sought = path.rstrip("/")
    if sought == _PUSH and _is_offline(body):
        return False
    is_of_rows = sought in _READS | WRITES or (sought.startswith(_STORES) and sought.endswith("/search"))
    return method == "POST" and is_of_rows


def _is_offline(body: bytes) -> bool:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and found.get("to") == _OFFLINE
