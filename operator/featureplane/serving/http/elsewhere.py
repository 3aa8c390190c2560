"""Requests for Feast's own app, over its Unix socket, as they came."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from featureplane.serving.http.asgi import Receive, Scope, Send
from featureplane.serving.http.body import ClientGone
from featureplane.serving.http.feast_answers import FAILED, Secrets, error_of, read_error
from featureplane.serving.http.feast_routes import MESSAGES, NotAllowed, check_route, only_reads, wants_online_store
from featureplane.serving.http.refusing import RETRY_AFTER, new_id, refuse
from featureplane.serving.reading.refusals import Refused

# Of a connection and not of a message (RFC 9110, section 7.6.1), or given anew.
_HOPS = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade",
    b"transfer-encoding", b"content-length", b"expect",
}  # fmt: skip
_AWAY = "Feast's own app, which answers for this, cannot be reached; it is started again when it has ended"
# Not in our words, for Feast looks at the token before our route does.
_NOT_LET_IN = {401: "the token is not valid for Feast's Permissions"}
_OK = 200
_LEAST_ERROR = 400
_FORM = b"application/x-www-form-urlencoded"
# In refusals of `on_demand` and of `feast_outages`, and in no answer of Feast's.
_BY_US = b"x-request-id"
# Feast's app may have to be started first.
_PATIENCE_SECONDS = 300
_AT_ONCE = 64
# Requests that are with Feast's app or wait for their turn; each keeps its body.
MOST_WAITING = 256


class Elsewhere(Protocol):
    """Feast's own app."""

    async def forward(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None: ...

    async def message(self, body: bytes, authorization: str) -> bytes: ...


class FeastApp:
    """Feast's app behind the socket at `path`; nobody hears its `secrets` in its errors.

    `outage` says why the online store that it alone reads is away, empty while it is there or nobody knows.
    """

    def __init__(self, path: str, secrets: Secrets | None = None, outage: Callable[[], str] = lambda: "") -> None:
        self._path = path
        self._secrets = secrets or Secrets()
        self._outage = outage
        self._waiting = 0
        self._session: Any = None

    async def forward(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None:
        """Pass a request on and its answer back. 404 and 405 where the app has no such route, 503 with Retry-After
        where it cannot be reached, or ends before it answers, or has too much to do, or its store is away.

        Raises ClientGone where a client goes away that only wanted to read; a write comes to its end.
        """
        try:
            check_route(scope["method"], scope["path"])
            if wants_online_store(scope["method"], scope["path"], body):
                self._refuse_while_away()
            with self._turn():
                forwarding = self._forward(scope, body, send)
                if only_reads(scope["method"], scope["path"]):
                    await _while_there(receive, forwarding)
                else:
                    await forwarding
        except NotAllowed as refused:
            await refuse(send, refused, (b"allow", refused.allowed.encode()))
        except Refused as refused:
            await refuse(send, refused, *((RETRY_AFTER,) if refused.status == 503 else ()))  # noqa: PLR2004 - HTTP's

    async def message(self, body: bytes, authorization: str) -> bytes:
        """A GetOnlineFeaturesResponse for a GetOnlineFeaturesRequest, for whom the header `authorization` names. Raises
        Refused, with a status of HTTP.
        """
        import aiohttp

        self._refuse_while_away()
        headers = {"content-type": "application/x-protobuf"}
        if authorization:
            headers["authorization"] = authorization
        with self._turn():
            try:
                async with self._opened().post(f"http://feast{MESSAGES}", data=body, headers=headers) as answer:
                    said: bytes = await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
                raise Refused(_AWAY, 503) from None
        if status != _OK:
            raise Refused(_NOT_LET_IN.get(status) or _text(said), status)
        return said

    def _refuse_while_away(self) -> None:
        """Raise Refused at once: the driver of the store would have the client wait for the same answer."""
        if outage := self._outage():
            raise Refused(outage, 503)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One of the requests that may be with Feast's app. Raises Refused where they are too many."""
        if self._waiting >= MOST_WAITING:
            raise Refused("too many requests wait for Feast's own app", 503)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _forward(self, scope: Scope, body: bytes, send: Send) -> None:
        # Most workers never need it, and it is 9 MB.
        import aiohttp

        session = self._opened()
        query = scope["query_string"].decode("latin-1")
        url = f"http://feast{scope['raw_path'].decode('latin-1')}{'?' if query else ''}{query}"
        sent = _passed(scope["headers"])
        if body.lstrip()[:1] in {b"{", b"["}:
            # curl says that of whatever it sends, and Feast's app reads no JSON then; the fast path does not mind.
            sent = [each for each in sent if each != (b"content-type", _FORM)]
            if not any(name == b"content-type" for name, _ in sent):
                sent.append((b"content-type", b"application/json"))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
        started = False
        try:
            async with session.request(
                scope["method"], _encoded(url), headers=headers, data=body or None, allow_redirects=False
            ) as answer:
                kept = _passed(answer.raw_headers)
                if answer.status >= _LEAST_ERROR and _BY_US not in dict(kept):
                    await self._say_error(answer, kept, send)
                    return
                await send({"type": "http.response.start", "status": answer.status, "headers": kept})
                started = True
                async for piece in answer.content.iter_any():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            if started:  # nothing but the end of the connection says that the answer is not whole
                raise
            await refuse(send, Refused(_AWAY, 503), RETRY_AFTER)

    async def _say_error(self, answer: Any, kept: list[tuple[bytes, bytes]], send: Send) -> None:
        """Pass an error on that a client may hear, with the headers that are kept; else ours in its place."""
        request_id, error = new_id(), await read_error(answer)
        instead = error_of(answer.status, error, self._secrets, request_id)
        if instead is not None:
            await refuse(send, instead, request_id=request_id)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": kept})
        await send({"type": "http.response.body", "body": error})

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> Any:
        if self._session is None:
            import aiohttp

            # Feast's app closes a connection behind an error of its own; what came next on it would be lost.
            connector = aiohttp.UnixConnector(self._path, limit=_AT_ONCE, force_close=True)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_PATIENCE_SECONDS)
            # A cookie of one client is not for the others.
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _text(said: bytes) -> str:
    """What our route, or who turns away, says of a request that is not done; of nobody else a word goes on."""
    try:
        return str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        return FAILED


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those of the message: not of the connection, as a list of `Connection` says which are."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in lowered if name == b"connection").lower()
    hops = {*_HOPS, *(each.strip() for each in named.split(b","))}
    return [(name, value) for name, value in lowered if name not in hops]


async def _while_there(receive: Receive, forwarding: Coroutine[Any, Any, None]) -> None:
    """Have it forwarded, or given up when the client has gone, who leaves a place for another. Raises ClientGone."""
    forwarded, gone = asyncio.ensure_future(forwarding), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((forwarded, gone), return_when=asyncio.FIRST_COMPLETED)
        if not forwarded.done():
            raise ClientGone
        await forwarded
    finally:
        for task in (forwarded, gone):
            task.cancel()
        await asyncio.gather(forwarded, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encoded(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)
