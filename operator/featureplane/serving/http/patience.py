"""A client's connection to uvicorn with an end to every wait: for a request that does not come whole, for another one,
and for an answer that nobody reads.

Times are looked at about once a second for all connections together (`look`, see `draining`): a timer for each request
would cost more than the rest of this.
"""

from collections.abc import Sized
from typing import Any, cast

import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from featureplane.serving.http.cycle import Cycle
from featureplane.serving.http.lane import Lane
from featureplane.serving.http.refusing import new_id

# Seconds from the first byte of a request to its last, and without a byte of an answer being read.
REQUEST_SECONDS = 20.0
UNREAD_SECONDS = 20.0
# For an answer to who has said all he wants to: he may listen, or be gone, which looks the same.
HALF_CLOSED_SECONDS = 5.0
# For the goodbye of TLS by who has an idle connection when the server ends; a pool of clients says it when it is used.
GOODBYE_SECONDS = 0.5
# Connections of one worker.
MOST_CONNECTIONS = 5_000


class State(ServerState):
    """What the connections of a server share: whether it is about to end, how much of all answers was not read, and how
    many requests wait for those ahead of them.

    Without a `lane` every request goes to the application.
    """

    is_draining = False
    unread = 0
    ahead = 0
    lane: Lane | None = None


class PatientConnection(HttpToolsProtocol):
    """See the module. Requests that come in are parsed elsewhere, in `connection`."""

    server_state: State
    # The request that came last, and the one that is answered where others came behind it.
    cycle: Cycle
    _under_way: RequestResponseCycle | None = None
    # When the request that is coming in began to; None while none is.
    _began: float | None = None
    # Since when all that was asked is answered, and nothing came; None where that is not so.
    _idle_since: float | None = None
    # What of the answers was not read yet, and since when that is so much.
    _unread = 0
    _unread_since = 0.0
    # Until when its client, who says no more, is waited with.
    _listens_until: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._began = self.loop.time()
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, "this server has as many connections as it takes")

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn does, which tells the request that came last alone; one ahead of it would write to nobody."""
        if self.pipeline and self._under_way is not None:
            self._under_way.disconnected = True
            self._under_way.message_event.set()
            self.server_state.ahead -= len(self.pipeline)
            self.pipeline.clear()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own says bool or None
        """Whether to keep what is left of the connection: who has said all he wants to may still be listening."""
        # TLS has no half of a connection.
        if self.scheme == "https" or not self._is_answering or self._began is not None:
            return False
        self.cycle.keep_alive = False
        self._listens_until = self.loop.time() + HALF_CLOSED_SECONDS
        return True

    def on_response_complete(self) -> None:
        """As uvicorn does, which has a timer for the end of each wait for another request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            next_one, app = self.pipeline.pop()
            self._under_way = next_one
            self.server_state.ahead -= 1
            self._start_asgi_task(next_one, app)
        elif self._began is None:
            self._idle_since = self.loop.time()

    def shutdown(self) -> None:
        """As uvicorn does, which would be kept from its end for as long as uvloop waits for goodbyes."""
        super().shutdown()
        idle_since = self._idle_since
        if idle_since is not None and self.loop.time() - idle_since > GOODBYE_SECONDS:  # all was sent by then
            self.loop.call_later(GOODBYE_SECONDS, self.transport.abort)

    def look(self, now: float) -> int:
        """Close the connection where its client is too slow; how many bytes were not read."""
        self._look_at_answers(now)
        self._look_at_request(now)
        return self._unread

    def _look_at_request(self, now: float) -> None:
        if self.transport.is_closing():
            return
        is_waited_with = self._listens_until is None or now < self._listens_until
        if not is_waited_with and not self.cycle.response_started and not self._unread:
            self.transport.abort()
        elif self._is_answering:
            # What the client sends meanwhile may wait, and so may he.
            self._began = now if self._began is not None else None
        elif self._idle_since is not None:
            if now - self._idle_since > self.timeout_keep_alive:
                self.transport.close()
        elif self._began is None:
            # Something came, and no request began with it.
            self._began = now
        elif now - self._began > REQUEST_SECONDS:
            if self.cycle is not None and self.cycle.response_started and self.cycle.more_body:
                self.transport.abort()  # the rest of a body that was refused
            else:
                self._refuse(408, f"the request did not come whole in {REQUEST_SECONDS:.0f} seconds")

    @property
    def _is_answering(self) -> bool:
        """Whether a request came whole and has no whole answer."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _look_at_answers(self, now: float) -> None:
        unread = self.transport.get_write_buffer_size()
        if not unread or unread < self._unread:
            self._unread_since = now
        elif self._unread and now - self._unread_since > UNREAD_SECONDS:
            self.transport.abort()
        self._unread = unread

    def _refuse(self, status: int, message: str) -> None:
        """Answer without an application, and close. Where others ahead of it wait for their answers, it would be taken
        for one of these: the last of them says that no more come.
        """
        if self.pipeline and self.cycle.more_body:  # its body is what is wrong
            self.pipeline.popleft()
            self.server_state.ahead -= 1
            self.cycle = cast(Cycle, self.pipeline[0][0] if self.pipeline else self._under_way)
        if self._is_answering:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        request_id, body = _body(message)
        retry = b"retry-after: 1\r\n" if status == 503 else b""  # noqa: PLR2004 - HTTP's
        self.transport.write(
            STATUS_LINE[status] + b"content-type: application/json\r\nconnection: close\r\n"
            b"%bx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (retry, request_id, len(body), body)
        )
        self.transport.close()


class _Flow(FlowControl):
    """uvicorn's, which reads on after each answer, however many requests came ahead of theirs."""

    def __init__(self, transport: Any, ahead: Sized) -> None:
        super().__init__(transport)
        self._ahead = ahead

    def resume_reading(self) -> None:
        if not self._ahead:
            super().resume_reading()


def _body(message: str) -> tuple[bytes, bytes]:
    request_id = new_id()
    return request_id.encode(), orjson.dumps({"message": message, "request_id": request_id})
