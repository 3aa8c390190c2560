"""`/push` and `/write-to-online-store`: answered here for views that we can write, by Feast's own app for all others.

What goes to the offline store as well is written online first: where that fails, nothing was appended offline that a
second attempt would append again.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from featureplane.serving.counting import Counts
from featureplane.serving.http.asgi import Receive, Scope, Send, say
from featureplane.serving.http.elsewhere import Elsewhere
from featureplane.serving.http.refusing import RETRY_AFTER, refuse
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.store import Away
from featureplane.serving.writing.outcome import SEND_AGAIN, NotTaken, Outcome
from featureplane.serving.writing.request import (
    BOTH,
    OFFLINE,
    NoRows,
    WriteRequest,
    push_from_json,
    with_to,
    write_from_json,
)
from featureplane.serving.writing.writer import OnlineWriter

_REQUESTS = {"/push": push_from_json, "/write-to-online-store": write_from_json}
_LEAST_ERROR = 400
# As Feast's app answers: nothing, and a null.
_BODIES = {"/push": b"", "/write-to-online-store": b"null"}


class Writes:
    """Answers for them; see the module."""

    def __init__(self, writer: OnlineWriter, elsewhere: Elsewhere, meter: Counts) -> None:
        self._writer = writer
        self._meter = meter
        self._elsewhere = elsewhere

    async def answer(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None:
        try:
            await self._answer(scope, receive, body, send)
        except Refused as refused:
            await refuse(send, refused)
        except (NotTaken, Away) as error:
            await refuse(send, Refused(f"Redis takes no rows: {error}; {SEND_AGAIN}", 503), RETRY_AFTER)

    async def _answer(self, scope: Scope, receive: Receive, body: bytes, send: Send) -> None:
        path = scope["path"]
        try:
            request: WriteRequest = _REQUESTS[path](body)
        except NoRows as none:
            raise NoRows(none.request, self._writer.columns(none.request)) from None
        if request.push_source:
            send = _when_taken(send, lambda: self._meter.pushed(request.push_source, request.to))
        try:
            await self._write(request, scope, receive, body, send)
        except ForFeast:
            await self._elsewhere.forward(scope, receive, body, send)

    async def _write(self, request: WriteRequest, scope: Scope, receive: Receive, body: bytes, send: Send) -> None:
        writer = self._writer
        if request.to == OFFLINE:
            raise ForFeast
        target = writer.target(request)
        async with writer.checked(request, target) as checked:
            if target.is_feasts:
                raise ForFeast
            outcome = await writer.write(target, checked)
        if request.to == BOTH:
            await self._elsewhere.forward(scope, receive, with_to(body, OFFLINE), _saying(send, outcome))
        else:
            await say(send, 200, _BODIES[scope["path"]], *_headers(outcome))


def _headers(outcome: Outcome) -> list[tuple[bytes, bytes]]:
    counts = {b"written": outcome.written, b"older": outcome.older, b"expired": outcome.expired}
    return [(b"x-featureplane-rows-%b" % name, b"%d" % count) for name, count in counts.items()]


def _when_taken(send: Send, note: Callable[[], None]) -> Send:
    """Send an answer, and note it where it is no error."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] < _LEAST_ERROR:
            note()
        await send(message)

    return sending


def _saying(send: Send, outcome: Outcome) -> Send:
    """Send an answer of Feast's with our headers beside its own."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_headers(outcome)]
        await send(message)

    return sending
