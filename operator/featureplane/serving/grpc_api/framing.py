"""Messages in the bodies of gRPC's requests and answers: a flag for compression, a length of four bytes, the message
(grpc/grpc, doc/PROTOCOL-HTTP2.md).
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from struct import Struct

from featureplane.serving.grpc_api.status import Code, Failed
from featureplane.serving.http.asgi import Receive
from featureplane.serving.http.body import on_its_way

PREFIX = Struct(">BI")
# What a compressed message may be compressed with, by zlib's names for the formats.
ENCODINGS = {b"gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}


def framed(message: bytes) -> bytes:
    """A message, not compressed, as a body holds it."""
    return PREFIX.pack(0, len(message)) + message


def only_message(body: bytes, encoding: bytes, most: int) -> bytes:
    """The one message that a body holds. Raises Failed."""
    if len(body) >= PREFIX.size:
        compressed, length = PREFIX.unpack_from(body)
        message = body[PREFIX.size :]
        if length == len(message):
            return _plain(message, encoding, most) if compressed else message
    raise Failed(Code.INTERNAL, "the request is not one whole message")


async def messages(receive: Receive, encoding: bytes, most: int, seconds: float) -> AsyncIterator[bytes]:
    """Those that come one after the other, until the client has said all. The first has to be whole after `seconds`,
    and each one that has begun. Raises Failed, TooManyBodies, TimeoutError.
    """
    loop = asyncio.get_running_loop()
    buffered = bytearray()
    until: float | None = loop.time() + seconds
    goes_on = True
    with on_its_way() as keep:
        while goes_on:
            async with asyncio.timeout_at(until):
                event = await receive()
            if event["type"] == "http.disconnect":
                return
            buffered += event.get("body", b"")
            goes_on = event.get("more_body", False)
            while (end := _end(buffered, most)) and end <= len(buffered):
                message = bytes(buffered[PREFIX.size : end])
                is_compressed = buffered[0]
                del buffered[:end]
                until = None
                keep(len(buffered))
                yield _plain(message, encoding, most) if is_compressed else message
            keep(len(buffered))
            if buffered and until is None:
                until = loop.time() + seconds
    if buffered:
        raise Failed(Code.INTERNAL, "the request ends within a message")


def _end(buffered: bytearray, most: int) -> int:
    """Where the message ends that has begun; 0 while that is not known."""
    if len(buffered) < PREFIX.size:
        return 0
    _, length = PREFIX.unpack_from(buffered)
    if length > most:
        raise too_large(most)
    return int(PREFIX.size + length)


def too_large(most: int) -> Failed:
    return Failed(Code.RESOURCE_EXHAUSTED, f"the message is larger than {most} bytes; ask for fewer entities at a time")


def _plain(message: bytes, encoding: bytes, most: int) -> bytes:
    """What a compressed message holds. A few bytes may say that there are gigabytes of it."""
    if encoding not in ENCODINGS:
        text = f"messages may be compressed with {b', '.join(ENCODINGS).decode()}, or not at all"
        raise Failed(Code.UNIMPLEMENTED, text)
    unpacking = zlib.decompressobj(ENCODINGS[encoding])
    try:
        plain = unpacking.decompress(message, most + 1)
    except zlib.error:
        raise Failed(Code.INTERNAL, "the message cannot be unpacked") from None
    if len(plain) > most:
        raise too_large(most)
    # gRPC's own servers take nothing behind it either, be it another piece that is compressed.
    if not unpacking.eof or unpacking.unused_data:
        raise Failed(Code.INTERNAL, "the message cannot be unpacked")
    return plain
