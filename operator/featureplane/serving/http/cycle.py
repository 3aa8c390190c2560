"""A request and its answer, whose head and body go out in one write.

uvicorn's own looks at each header of an answer with two regular expressions, writes twice, and waits for a body that is
there: a sixth of the time of an answer from Redis.
"""

from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_WITHOUT_BODY = {204, 304}
# Headers that say how the body is written.
_FRAMING = {b"content-length", b"transfer-encoding", b"connection"}


class Cycle(RequestResponseCycle):
    """See the module."""

    # What came of the request's body and was not received; bytes while it is one piece.
    body: Any
    # The head of an answer of known length, which waits for the body; and whether it says that it is the last one.
    _head = b""
    _says_close = False
    _was_received = False

    def answer(self, body: bytes, more: bytes = b"") -> bool:
        """Say 200 and this JSON at once, with `more` lines in the head; False where the client is to be waited for."""
        if self.flow.write_paused or self.response_started:
            return False
        if not self.disconnected:
            head = _head_of(tuple(self.default_headers), keep_alive=self.keep_alive)
            self.response_started = True
            self.transport.write(b"%b%d\r\n%b\r\n%b" % (head, len(body), more, body))
            self._complete()
        return True

    def take(self, body: bytes) -> None:
        """A piece of the request's body."""
        if not self.body:
            self.body = body
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += body  # in its place: pieces may be of a byte each

    async def receive(self) -> Any:
        if self.more_body or self._was_received or self.disconnected or self.response_complete:
            return await super().receive()
        self._was_received = True
        self.message_event.clear()
        self.waiting_for_100_continue = False
        self.flow.resume_reading()
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if self.response_complete or message["type"] != expected:
            raise RuntimeError(f"{message['type']} was sent out of turn")
        if self.response_started:
            self._write(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._start(message["status"], message.get("headers", ()))

    def _start(self, status: int, headers: Any) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for given, value in (*self.default_headers, *headers):
            name = given.lower()
            if name in _FRAMING:
                self._mind(name, value)
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive and not self._says_close:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines) or b"\0" in head:
            raise RuntimeError("a header of the answer has the end of a line in it")
        self._head = head + b"\r\n"
        if self.chunked_encoding:  # its body may take its time
            self.transport.write(self._head)
            self._head = b""

    def _mind(self, name: bytes, value: bytes) -> None:
        if name == b"connection":
            if b"close" in [each.strip() for each in value.lower().split(b",")]:
                self.keep_alive = False
                self._says_close = True
        elif name == b"transfer-encoding":
            self.chunked_encoding = value.lower() == b"chunked" or self.chunked_encoding
        elif self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("the answer's body is not as long as its head says")
        if self._head or body:
            self.transport.write(self._head + body)
            self._head = b""
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


@lru_cache(4)
def _head_of(headers: tuple[tuple[bytes, bytes], ...], *, keep_alive: bool) -> bytes:
    """Of an answer in JSON, up to its length; `headers` tell the time, and change once a second."""
    more = (*headers, (b"content-type", b"application/json"), *(() if keep_alive else (CLOSE_HEADER,)))
    return STATUS_LINE[200] + b"".join([b"%b: %b\r\n" % header for header in more]) + b"content-length: "
