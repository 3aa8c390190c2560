"""Rows that are pushed over gRPC, with the stubs that Feast publishes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from world import World

from factories import a_feature, a_feature_view, a_source, an_entity
from featureplane.registry.protos import GrpcServer, Value
from featureplane.serving.access.access import Access
from featureplane.serving.access.judge import Act, Verdict
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.writing import FollowedWriting
from featureplane.serving.grpc_api.server import GrpcListener, grpc_app
from featureplane.serving.grpc_api.writes import WriteCalls
from featureplane.serving.http.elsewhere import FeastApp
from featureplane.serving.reading.reader import OnlineReader
from featureplane.serving.reading.request import Request
from featureplane.serving.reading.store import open_store
from featureplane.serving.writing.writer import OnlineWriter

NOW = datetime.now(UTC).isoformat()
VIEW = a_feature_view(
    "stats",
    entities=[an_entity("driver", joinKey="driver_id", type="Int64")],
    features=[
        a_feature("trips", "Int64", checks={"minimum": 0}),
        a_feature("rate", "Float64"),
        a_feature("city", "String"),
        a_feature("scores", "Array(Float32)"),
    ],
    source=a_source(),
    push={"enabled": True},
)
TEXTS = {"driver_id": "7", "trips": "5", "rate": "0.5", "city": "12", "scores": "[1.5, 2.5]", "event_timestamp": NOW}


@pytest.fixture(scope="module")
def world(make_world: Callable[[], World]) -> World:
    made = make_world()
    made.apply(VIEW)
    return made


class Noted:
    """Takes note of what is counted: our metrics have names of Feast's, which has its own in this process."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, bool]] = []
        self.pushes: list[tuple[str, str]] = []
        self.turned_away: list[str] = []

    def passed_on(self, endpoint: str, status: int, seconds: float) -> None:
        assert seconds > 0
        self.passed.append((endpoint, status < 400))

    def pushed(self, push_source: str, to: str) -> None:
        self.pushes.append((push_source, to))

    def refused(self, endpoint: str, *, away: bool = False) -> None:
        assert not away
        self.turned_away.append(endpoint)


class Served:
    def __init__(self, reader: OnlineReader, channel: Any, noted: Noted) -> None:
        from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub

        self.reader = reader
        self.noted = noted
        self.stub = GrpcFeatureServerStub(channel)

    async def read(self) -> list[bytes | None]:
        features = tuple(f"stats:{name}" for name in ("trips", "rate", "city", "scores"))
        answer = await self.reader.read(Request({"driver_id": [7]}, features=features))
        return [stored[0] for columns in answer.columns for stored in columns.stored]


@asynccontextmanager
async def served_by(world: World, *, writes: bool = True, access: Access | None = None) -> AsyncIterator[Served]:
    followed = Followed(world.stores.postgres, "feast", FollowedWriting("feast"))
    store = await open_store(world.stores.redis)
    try:
        followed.refresh(thoroughly=True)
        reader = OnlineReader(lambda: followed.catalogue, store)
        writer = OnlineWriter(lambda: followed.catalogue, store) if writes else None
        noted: Any = Noted()
        more = WriteCalls(writer, noted).methods
        server = GrpcListener(grpc_app(reader, FeastApp("/nowhere"), noted, access, more=more), "127.0.0.1", 0)
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Served(reader, channel, noted)
        await server.stop()
    finally:
        await store.close()
        followed.close()


def typed(**changes: Any) -> dict[str, Any]:
    row = {
        "driver_id": Value(int64_val=7), "trips": Value(int64_val=6), "rate": Value(double_val=0.25), "city": Value(),
        "scores": Value(), "event_timestamp": Value(string_val=NOW), **changes,
    }  # fmt: skip
    row["scores"].float_list_val.val.append(0.5)
    return row


def push(**changes: Any) -> Any:
    return GrpcServer.PushRequest(**{"stream_feature_view": "stats_push", "to": "online", **changes})


def test_a_row_of_texts_and_a_row_of_values_are_written(world: World) -> None:
    async def run() -> None:
        async with served_by(world) as served:
            assert (await served.stub.Push(push(features=TEXTS))).status
            stored = [
                Value(int64_val=5), Value(double_val=0.5), Value(string_val="12"),
                Value(float_list_val={"val": [1.5, 2.5]}),
            ]  # fmt: skip
            assert await served.read() == [each.SerializeToString() for each in stored]
            request = GrpcServer.WriteToOnlineStoreRequest(feature_view_name="stats", typed_features=typed())
            assert (await served.stub.WriteToOnlineStore(request)).status
            stored = [Value(int64_val=6), Value(double_val=0.25), Value(), Value(float_list_val={"val": [0.5]})]
            assert await served.read() == [each.SerializeToString() for each in stored]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (push(features={**TEXTS, "trips": "-1"}), "INVALID_ARGUMENT", "features.trips: -1 is below the minimum 0"),
        (push(features={**TEXTS, "trips": "many"}), "INVALID_ARGUMENT", 'features.trips: "many" is no whole number'),
        (push(typed_features=typed(trips=Value(int64_val=-1))), "INVALID_ARGUMENT", "typed_features.trips: -1"),
        (push(features={}), "INVALID_ARGUMENT", "features.event_timestamp: is missing"),
        (push(features=TEXTS, typed_features=typed()), "INVALID_ARGUMENT", "Only one of features or typed_features"),
        (push(features=TEXTS, stream_feature_view="nobody"), "INVALID_ARGUMENT", "Unable to find push source 'nobody'"),
        (push(features=TEXTS, to="offline"), "UNIMPLEMENTED", "only /push over HTTP reaches the offline store"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_refused(world: World, request_: Any, code: str, said: str) -> None:
    async def run() -> grpc.aio.AioRpcError:
        async with served_by(world) as served:
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await served.stub.Push(request_)
            return found.value

    error = asyncio.run(run())
    assert error.code().name == code
    assert said in error.details()


def test_without_writes_the_methods_are_closed(world: World) -> None:
    async def run() -> grpc.aio.AioRpcError:
        async with served_by(world, writes=False) as served:
            with pytest.raises(grpc.aio.AioRpcError) as found:
                await served.stub.Push(push(features=TEXTS))
            return found.value

    error = asyncio.run(run())
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "server.writes.enabled" in error.details()


def test_writes_are_counted_and_so_is_who_is_turned_away(world: World) -> None:
    from feast.protos.feast.serving.GrpcServer_pb2 import WriteToOnlineStoreRequest

    async def run() -> list[Noted]:
        async with served_by(world) as served:
            await served.stub.Push(push(features=TEXTS))
            await served.stub.WriteToOnlineStore(WriteToOnlineStoreRequest(feature_view_name="stats", features=TEXTS))
            for wrong in (push(features={**TEXTS, "trips": "-1"}), push(features={"city": "x" * (1 << 20)})):
                with pytest.raises(grpc.aio.AioRpcError):
                    await served.stub.Push(wrong)
            first = served.noted
        async with served_by(world, access=Access(Nobody())) as served:
            with pytest.raises(grpc.aio.AioRpcError):
                await served.stub.Push(push(features=TEXTS))
            return [first, served.noted]

    open_, closed = asyncio.run(run())
    assert open_.passed == [("Push", True), ("WriteToOnlineStore", True), ("Push", False)]
    assert open_.pushes == [("stats_push", "online")] * 2
    assert open_.turned_away == ["Push"]
    assert (closed.turned_away, closed.passed, closed.pushes) == (["Push"], [], [])


class Nobody:
    """A judge that lets nobody in."""

    async def judge(self, _token: str, _act: Act) -> Verdict:
        return Verdict(403, "you may not")

    async def close(self) -> None:
        pass
