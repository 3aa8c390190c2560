"""gRPC's protocol over ASGI: messages, compression, deadlines and statuses, against gRPC's own client."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from featureplane.serving.grpc_api.app import GrpcApp
from featureplane.serving.grpc_api.framing import PREFIX, framed, messages, only_message
from featureplane.serving.grpc_api.health import Health
from featureplane.serving.grpc_api.server import GrpcListener
from featureplane.serving.grpc_api.status import Code, Failed
from featureplane.serving.http.app import MOST_BYTES
from featureplane.serving.http.body import TooManyBodies
from featureplane.serving.percent import percent_encoded
from featureplane.serving.reading.refusals import Refused
from patience import PATIENCE, until_so


async def echo(body: bytes, _: Any) -> bytes:
    return body


async def slow(_: bytes, __: Any) -> bytes:
    await asyncio.sleep(30)
    return b""


async def broken(_: bytes, __: Any) -> bytes:
    raise RuntimeError("password=hunter2")


async def refused(_: bytes, __: Any) -> bytes:
    raise Refused("entities: 50 % of größe\nare wrong")


async def doubled(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for each in requests:
        yield each * 2


WATCH = "/grpc.health.v1.Health/Watch"
APP = GrpcApp(
    {"/s/echo": echo, "/s/slow": slow, "/s/broken": broken, "/s/refused": refused},
    {"/s/doubled": doubled, WATCH: Health([]).watch},
)


def streams_of(app: GrpcApp) -> int:
    return app._streams  # noqa: SLF001 - nobody is told


def with_channel(ask: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        listener = GrpcListener(APP, "127.0.0.1", 0)
        port = await listener.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", **options) as channel:
            await ask(channel)
        await listener.stop()

    asyncio.run(run())


def failure(method: str, body: bytes = b"", timeout: float = PATIENCE) -> Any:
    found: list[Any] = []

    async def ask(channel: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await channel.unary_unary(f"/s/{method}")(body, timeout=timeout)
        found.append(error.value)

    with_channel(ask)
    return found[0]


@pytest.mark.parametrize("size", [0, 1, 70_000, MOST_BYTES - 100])
@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_messages_come_back_as_they_went(size: int, compression: Any) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]

    async def ask(channel: Any) -> None:
        assert await channel.unary_unary("/s/echo")(body, timeout=PATIENCE) == body

    with_channel(ask, compression=compression)


def test_messages_of_a_stream_are_answered_one_by_one() -> None:
    async def ask(channel: Any) -> None:
        call = channel.stream_stream("/s/doubled")(timeout=PATIENCE)
        for each in (b"a", b"", b"c" * 50_000):
            await call.write(each)
            assert await call.read() == each * 2
        await call.done_writing()
        assert await call.code() == grpc.StatusCode.OK

    with_channel(ask)


def compressed(message: bytes) -> bytes:
    return PREFIX.pack(1, len(message)) + message


def test_what_is_too_long_is_refused_packed_or_not() -> None:
    assert failure("echo", bytes(MOST_BYTES + 1)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    bomb = gzip.compress(bytes(100 << 20))
    with pytest.raises(Failed, match="larger than") as error:
        only_message(PREFIX.pack(1, len(bomb)) + bomb, b"gzip", MOST_BYTES)
    assert error.value.code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"", b"identity", Code.INTERNAL),
        (b"\0\0\0", b"identity", Code.INTERNAL),
        (PREFIX.pack(0, 5) + b"abc", b"identity", Code.INTERNAL),
        (PREFIX.pack(0, 1) + b"abc", b"identity", Code.INTERNAL),
        (PREFIX.pack(1, 3) + b"abc", b"br", Code.UNIMPLEMENTED),
        (PREFIX.pack(1, 3) + b"abc", b"gzip", Code.INTERNAL),
        (PREFIX.pack(1, 6) + zlib.compress(b"abc")[:6], b"deflate", Code.INTERNAL),
        (compressed(gzip.compress(b"abc", mtime=0) + b"more"), b"gzip", Code.INTERNAL),
        (compressed(gzip.compress(b"abc", mtime=0) * 2), b"gzip", Code.INTERNAL),
        (compressed(zlib.compress(b"abc") + b"\0"), b"deflate", Code.INTERNAL),
    ],
)
def test_what_is_no_message_ends_with_a_status(body: bytes, encoding: bytes, code: Code) -> None:
    with pytest.raises(Failed) as error:
        only_message(body, encoding, MOST_BYTES)
    assert error.value.code is code


def test_a_stream_that_ends_within_a_message_is_an_error() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": PREFIX.pack(0, 3) + b"ab"}

    async def read() -> None:
        with pytest.raises(Failed, match="within a message"):
            await anext(messages(receive, b"identity", MOST_BYTES, 10))

    asyncio.run(read())


@pytest.mark.parametrize("begun", [b"", b"\0\0", framed(b"whole") + PREFIX.pack(0, 5) + b"a"])
def test_a_message_of_a_stream_has_to_come_whole_in_time(begun: bytes) -> None:
    events = [begun] if begun else []

    async def receive() -> dict[str, Any]:
        if events:
            return {"type": "http.request", "body": events.pop(), "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def read() -> None:
        coming = messages(receive, b"identity", MOST_BYTES, 0.1)
        if len(begun) > PREFIX.size:
            assert await anext(coming) == b"whole"
        with pytest.raises(TimeoutError):
            await anext(coming)

    asyncio.run(read())


def test_streams_count_among_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featureplane.serving.http.body.MOST_ON_THEIR_WAY", 100_000)
    begun = PREFIX.pack(0, 90_000) + bytes(60_000)

    async def receive() -> dict[str, Any]:
        nonlocal begun
        if not begun:
            await asyncio.Event().wait()
        said, begun = begun, b""
        return {"type": "http.request", "body": said, "more_body": True}

    async def read() -> None:
        nonlocal begun
        first = asyncio.ensure_future(anext(messages(receive, b"identity", MOST_BYTES, 10)))
        await asyncio.sleep(0)
        begun = PREFIX.pack(0, 90_000) + bytes(60_000)
        with pytest.raises(TooManyBodies):
            await anext(messages(receive, b"identity", MOST_BYTES, 10))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        begun = framed(bytes(90_000))
        assert len(await anext(messages(receive, b"identity", MOST_BYTES, 10))) == 90_000

    asyncio.run(read())


@pytest.mark.parametrize("said", [framed(b""), b""], ids=["after its message", "without a message"])
def test_a_deadline_of_a_stream_is_kept_by_the_server(said: bytes) -> None:
    """A client that is away, or has another clock, ends nothing."""
    events = [{"type": "http.request", "body": said, "more_body": False}] if said else []
    sent: list[Any] = []

    async def receive() -> Any:
        if not events:
            await asyncio.Event().wait()
        return events.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/grpc"), (b"grpc-timeout", b"100m")]
    scope = {"type": "http", "path": WATCH, "headers": headers}
    asyncio.run(asyncio.wait_for(APP(scope, receive, send), 10))
    assert dict(sent[-1]["headers"])[b"grpc-status"] == b"%d" % Code.DEADLINE_EXCEEDED
    assert streams_of(APP) == 0


def test_streams_leave_places_for_other_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featureplane.serving.grpc_api.app.MOST_STREAMS", 3)

    async def ask(channel: Any) -> None:
        watched = [channel.unary_stream(WATCH)(b"") for _ in range(3)]
        for each in watched:
            assert await each.read() == b"\x08\x01"
        with pytest.raises(grpc.aio.AioRpcError, match="as many streams as it takes") as error:
            await channel.unary_stream(WATCH)(b"").read()
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        assert await channel.unary_unary("/s/echo")(b"x", timeout=PATIENCE) == b"x"
        for each in watched:
            each.cancel()
        await until_so(lambda: streams_of(APP) == 0)

    with_channel(ask)


def test_who_watches_says_one_thing() -> None:
    async def ask(channel: Any) -> None:
        call = channel.stream_stream(WATCH)(timeout=PATIENCE)
        for _ in range(2):
            await call.write(b"")
        assert await call.read() == b"\x08\x01"
        with pytest.raises(grpc.aio.AioRpcError, match="more than one message"):
            await call.read()

    with_channel(ask)


def test_a_deadline_is_kept() -> None:
    assert failure("slow", timeout=0.3).code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_exception_shows_nothing_and_can_be_found_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        error = failure("broken")
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "hunter2" not in error.details()
    request_id = dict(error.trailing_metadata())["x-request-id"]
    assert request_id in error.details()
    assert request_id in caplog.text


def test_a_refusal_keeps_its_text_letter_by_letter() -> None:
    error = failure("refused")
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT, "entities: 50 % of größe\nare wrong",
    )  # fmt: skip
    assert percent_encoded("50 %") == b"50 %25"


def test_a_method_that_is_not_there_is_unimplemented() -> None:
    assert failure("other").code() == grpc.StatusCode.UNIMPLEMENTED
