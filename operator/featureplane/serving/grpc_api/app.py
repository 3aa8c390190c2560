"""gRPC as an ASGI application, on a server that speaks HTTP/2 and sends trailers.

Messages come as bytes and answers go as bytes: whoever answers a call knows what they are.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from featureplane.serving.access.access import Access, NotLetIn
from featureplane.serving.grpc_api.framing import ENCODINGS, framed, messages, only_message, too_large
from featureplane.serving.grpc_api.guard import let_in
from featureplane.serving.grpc_api.status import Code, Failed, failed
from featureplane.serving.http.app import MOST_BYTES
from featureplane.serving.http.asgi import Receive, Scope, Send, say
from featureplane.serving.http.body import BodyTooLarge, ClientGone, TooManyBodies, read_body
from featureplane.serving.http.refusing import new_id
from featureplane.serving.percent import percent_encoded
from featureplane.serving.reading.refusals import Refused

Unary = Callable[[bytes, Scope], Awaitable[bytes]]
# Messages of the client to messages of the server.
Streaming = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
# Seconds for a request to come whole, and for a call whose client sets no deadline.
_REQUEST_SECONDS = 20.0
_LONGEST_SECONDS = 300.0
# Calls whose clients may stay for as long as they live; a worker has places for more calls than these.
MOST_STREAMS = 500
_GRPC = b"application/grpc"
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_BEGIN = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", _GRPC), (b"grpc-accept-encoding", b",".join([b"identity", *ENCODINGS]))],
    "trailers": True,
}
_END = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
# In a call's scope: what whoever answers it has its end say beside the status.
TRAILERS = "featureplane.trailers"
logger = logging.getLogger(__name__)


def _forget(_: str) -> None:
    """Nobody counts."""


class GrpcApp:
    """Answers calls by their paths (`/package.Service/Method`); `access` says who may call (None: everybody), and
    `turned_away` is told the path of a call that ends before its method is asked.
    """

    def __init__(
        self,
        unary: Mapping[str, Unary],
        streaming: Mapping[str, Streaming],
        access: Access | None = None,
        turned_away: Callable[[str], None] = _forget,
    ) -> None:
        self._turned_away = turned_away
        self._unary = unary
        self._streaming = streaming
        self._access = access
        self._streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"").startswith(_GRPC):
            await say(send, 415, b'{"message": "this port speaks gRPC"}')
            return
        has_begun, last = False, b""

        async def answer(message: bytes) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                await send(dict(_BEGIN))
            await send({"type": "http.response.body", "body": framed(message), "more_body": True})

        try:
            if self._access is not None:
                await self._let_in(self._access, scope)
            last = await self._call(scope, headers, receive, answer)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - each becomes a status
            ends_with = _ending(error, scope["path"])
        else:
            more = scope.get(TRAILERS)
            ends_with = {**_END, "headers": [*_END["headers"], *more]} if more else _END
        if not has_begun:
            await send(dict(_BEGIN))
        await send({"type": "http.response.body", "body": last})
        await send(dict(ends_with))

    async def _let_in(self, access: Access, scope: Scope) -> None:
        try:
            await let_in(access, scope)
        except NotLetIn:
            self._turned_away(scope["path"])
            raise

    async def _call(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, answer: Callable[[bytes], Awaitable[None]]
    ) -> bytes:
        """The last of the answer, which goes out with its end; what comes before is told to `answer`."""
        encoding = headers.get(b"grpc-encoding", b"identity")
        unary = self._unary.get(scope["path"])
        if unary is not None:
            async with asyncio.timeout(_REQUEST_SECONDS) as deadline:
                try:
                    body = await read_body(scope, receive, MOST_BYTES)
                    message = only_message(body, encoding, MOST_BYTES)
                    seconds = _seconds(headers, _LONGEST_SECONDS)
                except BaseException:  # that of the deadline, too
                    self._turned_away(scope["path"])
                    raise
                deadline.reschedule(asyncio.get_running_loop().time() + seconds)
                return framed(await unary(message, scope))
        streaming = self._streaming.get(scope["path"])
        if streaming is None:
            raise Failed(Code.UNIMPLEMENTED, "there is no such method here; reflection says which there are")
        if self._streams >= MOST_STREAMS:
            raise Failed(Code.UNAVAILABLE, "this server has as many streams as it takes")
        self._streams += 1
        try:
            async with asyncio.timeout(_seconds(headers, math.inf)):
                async for message in streaming(messages(receive, encoding, MOST_BYTES, _REQUEST_SECONDS)):
                    await answer(message)
        finally:
            self._streams -= 1
        return b""


def _seconds(headers: Mapping[bytes, bytes], most: float) -> float:
    """A deadline as gRPC's clients send it: up to eight digits and a unit."""
    timeout = headers.get(b"grpc-timeout")
    if timeout is None:
        return most
    found = _TIMEOUT.fullmatch(timeout)
    if found is None:
        raise Failed(Code.INTERNAL, "the header grpc-timeout is a number of at most eight digits and a unit")
    return min(int(found[1]) * _UNITS[found[2]], most)


def _ending(error: Exception, path: str) -> dict[str, Any]:
    """The trailers of a call that did not succeed."""
    request_id = new_id()
    ended = _as_failed(error)
    if ended is None:
        logger.error("the call %s to %s failed", request_id, path, exc_info=error)
        ended = Failed(Code.INTERNAL, f"the server failed; its log has more of it, under {request_id}")
    trailers = [
        (b"grpc-status", b"%d" % ended.code),
        (b"grpc-message", percent_encoded(str(ended))),
        (b"x-request-id", request_id.encode()),
    ]
    return {"type": "http.response.trailers", "headers": trailers}


def _as_failed(error: Exception) -> Failed | None:
    match error:
        case Failed():
            return error
        case Refused():
            return failed(error)
        case BodyTooLarge():
            return too_large(MOST_BYTES)
        case TooManyBodies():
            return Failed(Code.UNAVAILABLE, "too many requests are on their way to this server")
        case TimeoutError():
            return Failed(Code.DEADLINE_EXCEEDED, "the call took longer than it may")
    return None
