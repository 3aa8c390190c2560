"""Routes that are looked at and answered in one piece: GET, with a tag by which a browser asks whether it has it."""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import blake2b
from typing import Any

from featureplane.serving.http.asgi import Scope, Send

Route = Callable[[Scope, Send], Awaitable[None]]
Routes = Mapping[str, Route]

JSON = b"application/json"
Headers = tuple[tuple[bytes, bytes], ...]
_SAFE: Headers = ((b"x-content-type-options", b"nosniff"),)


async def reply(send: Send, body: bytes, content_type: bytes, headers: Headers = ()) -> None:
    """Answer with 200."""
    more = ((b"content-type", content_type), (b"content-length", b"%d" % len(body)))
    await _say(send, 200, body, (*more, *_SAFE, *headers))


async def reply_tagged(scope: Scope, send: Send, body: bytes, content_type: bytes, headers: Headers = ()) -> None:
    """Answer with 200, or with 304 where the client says that it has just that."""
    tag = b'"%b"' % blake2b(body, digest_size=12).hexdigest().encode()
    kept = ((b"etag", tag), (b"cache-control", b"private, no-cache"), *headers)
    if tag in _tags(scope):
        await _say(send, 304, b"", kept)
    else:
        await reply(send, body, content_type, kept)


def _tags(scope: Scope) -> list[bytes]:
    """What the client has; a proxy that compresses makes the tag a weak one."""
    given = [value for name, value in scope["headers"] if name == b"if-none-match"]
    return [tag.strip().removeprefix(b"W/") for value in given for tag in value.split(b",")]


async def _say(send: Send, status: int, body: bytes, headers: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
