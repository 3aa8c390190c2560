"""The ASGI application of a worker: routes that are ours, all others go to Feast's own app.

Written against ASGI itself: a framework's routing and validation take longer than the answer.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import orjson

from featureplane.serving.access.access import Access, NotLetIn
from featureplane.serving.closed import WRITES
from featureplane.serving.counting import ONLINE_FEATURES, Counts
from featureplane.serving.http.asgi import Receive, Scope, Send, say
from featureplane.serving.http.body import BodyTooLarge, ClientGone, EncodedBody, TooManyBodies, read_body
from featureplane.serving.http.elsewhere import Elsewhere
from featureplane.serving.http.guard import let_in
from featureplane.serving.http.refusing import CLOSE, RETRY_AFTER, new_id, refuse
from featureplane.serving.http.routes import Routes
from featureplane.serving.reading.as_json import as_json
from featureplane.serving.reading.deprecated import Deprecated, headers_of
from featureplane.serving.reading.reader import OnlineReader
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.request import from_json
from featureplane.serving.reading.store import Away
from featureplane.serving.reading.values import Undecodable

MOST_BYTES = 1 << 20
# Paths that metrics and traces are named after; those of others are as many as clients can think of.
ROUTES = frozenset({
    ONLINE_FEATURES, "/push", "/write-to-online-store", "/materialize", "/materialize-incremental",
    "/retrieve-online-documents", "/search", "/chat", "/v1/vector_stores",
    "/health", "/ready", "/metrics", "/status", "/status/views", "/",
})  # fmt: skip
_ANY_OTHER = "other"
_PROBES = frozenset({"/health", "/ready"})
Answering = Callable[[Scope, Receive, bytes, Send], Awaitable[None]]
# As proxies note who has gone before he was answered.
_CLIENT_GONE = 499
_LEAST_ERROR = 400
_PLAIN_BODIES = (b"accept-encoding", b"identity")
logger = logging.getLogger(__name__)


class Health(Protocol):
    """What `/ready` says of the worker."""

    def problems(self) -> dict[str, str]:
        """What is wrong, by what it is wrong with; empty while requests are answered."""
        ...


class Writes(Protocol):
    """Answers for the routes that write."""

    async def answer(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None: ...


@dataclass(frozen=True)
class Parts:
    """What an application is made of. `routes` are those that are got in one piece, `elsewhere` answers what is not
    ours, `closed` are paths that are refused, each with the reason, `access` says who may ask (None: everybody), and
    `most_bytes` is what a body may have.
    """

    reader: OnlineReader
    elsewhere: Elsewhere
    health: Health
    meter: Counts
    routes: Routes
    closed: Mapping[str, str]
    access: Access | None = None
    most_bytes: int = MOST_BYTES
    # None where those routes are closed.
    writes: Writes | None = None


class App:
    """See the module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reader, self._meter = parts.reader, parts.meter
        self.in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.in_progress += 1
        try:
            if self._parts.access is not None:
                await let_in(self._parts.access, scope)
            await self._answer(scope, receive, send)
        except NotLetIn as refused:
            await self._refuse(scope, send, refused, *refused.headers)
        except BodyTooLarge:
            text = f"the body is larger than {self._parts.most_bytes} bytes; ask for fewer entities at a time"
            await self._refuse(scope, send, Refused(text, 413))
        except EncodedBody as refused:
            await self._refuse(scope, send, refused, _PLAIN_BODIES)
        except TooManyBodies:
            text = "too many requests are on their way to this server"
            await self._refuse(scope, send, Refused(text, 503), RETRY_AFTER)
        except ClientGone:
            pass
        except Exception:
            request_id = new_id()
            logger.exception("the request %s to %s failed", request_id, scope["path"])
            failed = Refused("the server failed; its log has more of it", 500)
            await self._refuse(scope, send, failed, request_id=request_id)
        finally:
            self.in_progress -= 1

    async def _refuse(
        self, scope: Scope, send: Send, refused: Refused, *headers: tuple[bytes, bytes], request_id: str = ""
    ) -> None:
        if scope["path"] == ONLINE_FEATURES:
            self._meter.refused(ONLINE_FEATURES)
        waits = any(name == b"expect" for name, _ in scope["headers"])
        await refuse(send, refused, *headers, *((CLOSE,) if waits else ()), request_id=request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == ONLINE_FEATURES:
            body = await read_body(scope, receive, self._parts.most_bytes)
            await self._online_features(scope, receive, body, send)
        elif method in {"GET", "HEAD"} and (path in _PROBES or path in self._parts.routes):
            # Who waits for leave to send his body sends another request else, which would be taken for it.
            await read_body(scope, receive, self._parts.most_bytes)
            await self._got(scope, send)
        elif method == "POST" and (path := path.rstrip("/")) in self._parts.closed:
            await self._refuse(scope, send, Refused(self._parts.closed[path], 403))
        else:
            body = await read_body(scope, receive, self._parts.most_bytes)
            writes = self._parts.writes if scope["method"] == "POST" and scope["path"] in WRITES else None
            answer = writes.answer if writes else self._parts.elsewhere.forward
            await self._noted(answer, scope, receive, body, send)

    async def _got(self, scope: Scope, send: Send) -> None:
        path = scope["path"]
        if path == "/health":
            await say(send, 200, b"")
        elif path == "/ready":
            await say(send, 200, orjson.dumps({"problems": self._parts.health.problems()}))
        else:
            await self._parts.routes[path](scope, send)

    async def _noted(
        self,
        answer: Answering,
        scope: Scope,
        receive: Receive,
        body: bytes,
        send: Send,
        deprecated: Sequence[Deprecated] = (),
    ) -> None:
        """Have it answered, say which of what was asked for is deprecated, and count that."""
        begun, status, more = perf_counter(), 500, headers_of(deprecated)

        async def noting(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            if more and "headers" in message and status < _LEAST_ERROR:
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            await answer(scope, receive, body, noting)
        except ClientGone:
            status = _CLIENT_GONE
            raise
        finally:
            path = scope["path"]
            self._meter.passed_on(path if path in ROUTES else _ANY_OTHER, status, perf_counter() - begun)
            if deprecated and status < _LEAST_ERROR:
                self._meter.asked_of_feast(deprecated)

    async def _online_features(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None:
        begun = perf_counter()
        try:
            request = from_json(body)
            answer = await self._reader.read(request)
            said = as_json(answer.entities, answer.columns, answer.plan.views if request.with_versions else ())
        except ForFeast:
            deprecated = self._reader.deprecated(request)
            await self._noted(self._parts.elsewhere.forward, scope, receive, body, send, deprecated)
        except Refused as refused:
            self._meter.refused(ONLINE_FEATURES)
            await refuse(send, refused)
        except Away as away:
            self._meter.refused(ONLINE_FEATURES, away=True)
            await refuse(send, Refused(f"Redis cannot be read: {away}", 503), RETRY_AFTER)
        except Undecodable as error:
            self._meter.refused(ONLINE_FEATURES)
            await refuse(send, Refused(f"the online store holds what is no row: {error}", 500))
        else:
            self._meter.answered(ONLINE_FEATURES, answer, perf_counter() - begun)
            await say(send, 200, said, *answer.plan.headers)
