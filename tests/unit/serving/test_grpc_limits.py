"""What h2corn answers at its limits, and that what a client leaves behind ends, as gRPC's own client sees it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import grpc
import pytest

from fast_server import Nothing
from featureplane.registry.protos import ServingService
from featureplane.serving.grpc_api import server
from featureplane.serving.grpc_api.server import GrpcListener, grpc_app
from patience import PATIENCE, until_so

INFO = f"/{server.SERVICE}/GetFeastServingInfo"
READ = f"/{server.SERVICE}/GetOnlineFeatures"
# Connections that nobody shares.
ALONE = [("grpc.use_local_subchannel_pool", 1)]


class Reading:
    """A reader that comes to no end; how many read now, and how many ever did."""

    now: ClassVar[int] = 0
    begun: ClassVar[int] = 0

    async def read(self, _: Any) -> Any:
        Reading.begun += 1
        Reading.now += 1
        try:
            await asyncio.Event().wait()
        finally:
            Reading.now -= 1


class Served:
    def __init__(self, port: int) -> None:
        self._port = port

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=ALONE)


def serving(ask: Callable[[Served], Awaitable[None]]) -> None:
    async def run() -> None:
        Reading.now = Reading.begun = 0
        reader: Any = Reading()
        elsewhere: Any = None
        listener = GrpcListener(grpc_app(reader, elsewhere, Nothing()), "127.0.0.1", 0)
        served = Served(await listener.start())
        await ask(served)
        await until_so(lambda: Reading.now == 0)
        await listener.stop()

    asyncio.run(run())


def read(channel: grpc.aio.Channel, **options: Any) -> Any:
    request = ServingService.GetOnlineFeaturesRequest()
    request.features.val.append("rides")
    request.entities["driver_id"].val.add().int64_val = 1
    return channel.unary_unary(READ)(request.SerializeToString(), **options)


async def info(channel: grpc.aio.Channel, **options: Any) -> Any:
    return await channel.unary_unary(INFO)(b"", timeout=PATIENCE, **options)


def test_a_read_ends_when_its_client_cancels_it() -> None:
    async def ask(served: Served) -> None:
        async with served.channel() as channel:
            calls = [read(channel) for _ in range(5)]
            await until_so(lambda: Reading.now == 5)
            for call in calls[1:]:
                call.cancel()
            await until_so(lambda: Reading.now == 1)
            assert not calls[0].done()

    serving(ask)


def test_a_read_ends_when_its_client_has_gone() -> None:
    async def ask(served: Served) -> None:
        async with served.channel() as gone, served.channel() as other:
            read(gone)
            kept = read(other)
            await until_so(lambda: Reading.now == 2)
            await gone.close()
            await until_so(lambda: Reading.now == 1)
            assert not kept.done()

    serving(ask)


def test_a_connection_has_a_number_of_calls_and_the_next_ones_wait() -> None:
    async def ask(served: Served) -> None:
        async with served.channel() as channel, served.channel() as other:
            calls = [read(channel) for _ in range(300)]
            await until_so(lambda: Reading.begun == 256)
            assert await info(other)
            calls[0].cancel()
            await until_so(lambda: Reading.begun == 257)

    serving(ask)


def test_more_calls_than_a_worker_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_CALLS", 20)

    async def ask(served: Served) -> None:
        async with served.channel() as channel, served.channel() as other:
            calls = [read(channel) for _ in range(20)]
            await until_so(lambda: Reading.now == 20)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await info(other)
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE
            calls[0].cancel()
            await until_so(lambda: Reading.now == 19)
            assert await info(other)

    serving(ask)


def test_more_connections_than_a_worker_takes_wait_until_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)

    async def ask(served: Served) -> None:
        async with served.channel() as first, served.channel() as second, served.channel() as third:
            assert await info(first)
            assert await info(second)
            waiting = asyncio.ensure_future(info(third))
            assert await info(first)
            assert not waiting.done()
            await second.close()
            assert await waiting

    serving(ask)


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ([(f"x-{number}", "v") for number in range(150)], grpc.StatusCode.UNKNOWN),
        ([("x-much", "v" * 100_000)], grpc.StatusCode.UNAVAILABLE),
        ([("x-much", "v" * 5_000_000)], grpc.StatusCode.UNAVAILABLE),
    ],
    ids=["many", "large", "very large"],
)
def test_headers_that_are_too_large_are_refused_and_harm_nobody_else(metadata: Any, code: grpc.StatusCode) -> None:
    """431 of HTTP, which has no status of gRPC; and where they need not be unpacked for it, the connection ends."""

    async def ask(served: Served) -> None:
        async with served.channel() as channel, served.channel() as other:
            kept = read(other)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await info(channel, metadata=metadata)
            assert error.value.code() == code
            assert await info(channel)
            assert await info(channel, metadata=[("x-much", "v" * 40_000)])
            assert not kept.done()

    serving(ask)
