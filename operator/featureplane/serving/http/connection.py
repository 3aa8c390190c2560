"""What a client sends on a connection, taken apart into requests: each within bounds, and begun by the application or
on the shortest way (`lane`).
"""

import asyncio
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from featureplane.serving.counting import ONLINE_FEATURES
from featureplane.serving.http.asgi import Receive, Scope, Send
from featureplane.serving.http.cycle import Cycle
from featureplane.serving.http.lane import MOST_BYTES as MOST_IN_THE_LANE
from featureplane.serving.http.patience import PatientConnection
from featureplane.serving.http.refusing import CLOSE, RETRY_AFTER, refuse
from featureplane.serving.reading.refusals import Refused

# Bytes of all answers of a worker that wait to be read.
MOST_UNREAD = 128 << 20
# Bytes of a request's head beyond the piece that it began in, and of all that is around its body: chunks have lengths,
# and may be followed by more headers.
MOST_OF_A_HEAD = 64 << 10
MOST_AROUND_A_BODY = 8 << 20
# Requests that came before those ahead of them were answered; nothing more is read while there is one.
MOST_AHEAD = 2_000
# Of all connections of a worker, at 3 KB each, but for the first ones of a connection.
MOST_AHEAD_OF_ALL = 20_000
_FEW_AHEAD = 10
# Requests of one piece that wish for another protocol: each is parsed twice, with all that follows it.
_MOST_WISHES = 16
# Paths of requests are few, but for those that somebody makes up.
_MOST_OF_A_KEPT_URL = 128
_OF_UPGRADES = {b"connection", b"upgrade", b"http2-settings"}


class Connection(PatientConnection):
    """See the module."""

    # Whether its application waits for its body, which may be one for the lane.
    _may_take_the_lane = False
    # Whether its head is not whole, and what came of it after its first piece without its body.
    _is_in_head = False
    _around = 0

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        # What is found to be of a body, or of a request that begins here, is taken away again.
        self._around += len(data)
        self._parse(data)
        if self._may_take_the_lane and _length_of(self.headers) > MOST_IN_THE_LANE:
            self._leave_the_lane()
        if self._around <= MOST_OF_A_HEAD or self.transport.is_closing():
            return
        if self._is_in_head:
            self._refuse(431, f"the head of the request is larger than {MOST_OF_A_HEAD} bytes")
        elif self._around > MOST_AROUND_A_BODY:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        for _ in range(_MOST_WISHES):
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                again = self._without_its_wish()
                if again is None:
                    return
                data = again + data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self._refuse(400, "this is no request of HTTP/1.1")
                return
            else:
                return
        self._refuse(400, "too many requests at once wish for another protocol")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = self.loop.time()
        self._is_in_head = True
        self._around = 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self.pipeline and self._has_too_many_ahead:
            self.transport.abort()
        elif not self.parser.should_upgrade():
            self._begin_cycle()

    @property
    def _has_too_many_ahead(self) -> bool:
        its = len(self.pipeline)
        return its >= MOST_AHEAD or (its >= _FEW_AHEAD and self.server_state.ahead >= MOST_AHEAD_OF_ALL)

    def _begin_cycle(self) -> None:
        """As uvicorn does, which parses the path of each request anew."""
        version = self.parser.get_http_version()
        scope: Any = self.scope
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        split = _few_split if len(self.url) <= _MOST_OF_A_KEPT_URL else _split
        scope["path"], scope["raw_path"], scope["query_string"] = split(self.url)
        ahead = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if ahead is None or ahead.response_complete:
            is_simple = scope["path"] == ONLINE_FEATURES and scope["method"] == "POST" and not self.expect_100_continue
            self._may_take_the_lane = is_simple and self.server_state.lane is not None
            if not self._may_take_the_lane:
                self._start(self.cycle)
        else:
            self.flow.pause_reading()
            if not self.pipeline:
                self._under_way = ahead
            self.pipeline.appendleft((self.cycle, self.app))
            self.server_state.ahead += 1

    def on_body(self, body: bytes) -> None:
        self._around -= len(body)
        if self.parser.should_upgrade() or self.cycle.response_complete:
            return
        self.cycle.take(body)
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()
        if self._may_take_the_lane and len(self.cycle.body) > MOST_IN_THE_LANE:
            self._leave_the_lane()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._began = None
        self._around = 0
        if self.server_state.is_draining:
            self.cycle.keep_alive = False
        if self._may_take_the_lane:
            self._may_take_the_lane = False
            self._take_the_lane()

    def _take_the_lane(self) -> None:
        lane, is_busy = self.server_state.lane, self.server_state.unread > MOST_UNREAD
        if lane is None or is_busy or not lane.take(self.cycle, self._start):
            self._start(self.cycle)

    def _leave_the_lane(self) -> None:
        self._may_take_the_lane = False
        self._start(self.cycle)

    def _start(self, cycle: Cycle) -> None:
        self._start_asgi_task(cycle, self.app)

    def _without_its_wish(self) -> bytes | None:
        """A request's head without its wish for another protocol, as who does not speak that may (RFC 9110, 7.8).

        Java's client wishes for HTTP/2 with the first request of each connection; the parser stops there, and loses the
        body. None where the request is refused.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(405, "this server is no proxy")
            return None
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name not in _OF_UPGRADES]
        if any(name == b"connection" and b"close" in value.lower() for name, value in self.headers):
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(_busy if self.server_state.unread > MOST_UNREAD else app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def _length_of(headers: list[tuple[bytes, bytes]]) -> int:
    """What a head says of its body; the parser has refused what is no number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def _split(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, the path as it was sent, and the query. Raises HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


_few_split = lru_cache(256)(_split)


async def _busy(_: Scope, __: Receive, send: Send) -> None:
    await refuse(send, Refused("too many answers wait for their clients to read them", 503), RETRY_AFTER, CLOSE)
