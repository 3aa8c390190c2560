"""Request bodies, up to a length, and up to a length of all that are on their way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from featureplane.serving.http.asgi import Receive, Scope
from featureplane.serving.reading.refusals import Refused

# Bytes of bodies that have begun to come and are not whole: a thousand slow clients would fill the memory.
MOST_ON_THEIR_WAY = 64 << 20
_AS_IT_IS = {b"", b"identity"}
_MOST_SHOWN = 60


class EncodedBody(Refused):
    """A body is compressed, as nobody here and in Feast's own app reads it."""

    def __init__(self, encoding: bytes) -> None:
        text = f"the body has the content-encoding {encoding[:_MOST_SHOWN].decode('latin-1')}; send it as it is"
        super().__init__(text, 415)


class BodyTooLarge(Exception):
    """A body is longer than it may be."""


class TooManyBodies(Exception):
    """Others send so much at the moment that there is no room for this body."""


class ClientGone(Exception):
    """The client went away before its body was whole: there is nobody to answer."""


class _OnTheirWay:
    """Bytes of unfinished bodies of this process."""

    size = 0


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises BodyTooLarge, before it was read where its length is given, TooManyBodies, ClientGone,
    EncodedBody.
    """
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.lower() not in _AS_IT_IS:
            raise EncodedBody(value)
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise BodyTooLarge
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if len(body) > most:
        raise BodyTooLarge
    return await _rest(body, receive, most) if message.get("more_body") else body


async def _rest(first: bytes, receive: Receive, most: int) -> bytes:
    parts, length = [first], len(first)
    _OnTheirWay.size += length
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            parts.append(part)
            length += len(part)
            _OnTheirWay.size += len(part)
            if length > most:
                raise BodyTooLarge
            if _OnTheirWay.size > MOST_ON_THEIR_WAY:
                raise TooManyBodies
            if not message.get("more_body"):
                return b"".join(parts)
    finally:
        _OnTheirWay.size -= length


@contextmanager
def on_its_way() -> Iterator[Callable[[int], None]]:
    """Says how many bytes are kept of what has not come whole. What is yielded raises TooManyBodies."""
    kept = 0

    def keep(size: int) -> None:
        nonlocal kept
        _OnTheirWay.size += size - kept
        kept = size
        if _OnTheirWay.size > MOST_ON_THEIR_WAY:
            raise TooManyBodies

    try:
        yield keep
    finally:
        _OnTheirWay.size -= kept
