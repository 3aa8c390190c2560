"""Answers to requests that are not done."""

import secrets

import orjson

from featureplane.serving.http.asgi import Send, say
from featureplane.serving.reading.refusals import Refused

RETRY_AFTER = (b"retry-after", b"1")
# Who waits for leave to send his body shall not wait on, and what he sends next not be taken for it.
CLOSE = (b"connection", b"close")


def new_id() -> str:
    """An id for a request."""
    return secrets.token_hex(8)


async def refuse(send: Send, refused: Refused, *headers: tuple[bytes, bytes], request_id: str = "") -> int:
    """Say why, with an id that the request may be asked after by; the status."""
    request_id = request_id or new_id()
    body = refused.body(request_id)
    # Feast's SDK reads its own errors from a text that is JSON itself.
    text = orjson.dumps(orjson.dumps(body).decode() if refused.kind else body)
    await say(send, refused.status, text, (b"x-request-id", request_id.encode()), *headers)
    return refused.status
