"""What Feast's own app answers for, asked over gRPC: its servicer's messages, and HTTP's answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import feasts
import grpc
import httpx
import pytest
from test_drop_in import started
from test_grpc_clients import message
from test_served_answers import by_name
from world import World

from cli.commands import Place
from featureplane.serving.counting import GRPC_ONLINE_FEATURES
from featureplane.serving.grpc_api.server import SERVICE, GrpcListener, grpc_app
from featureplane.serving.http.elsewhere import FeastApp
from featureplane.serving.http.feast_routes import MESSAGES
from featureplane.serving.reading.refusals import ForFeast
from patience import PATIENCE

DRIVERS = {"driver_id": [1, 2, 99]}
METHOD = f"/{SERVICE}/GetOnlineFeatures"


class Both(NamedTuple):
    """Our server over both protocols, and Feast's store in this process."""

    http: httpx.Client
    stub: Any
    store: Any


@pytest.fixture(scope="module")
def both(make_bare_world: Callable[..., World]) -> Iterator[Both]:
    from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub

    from feast import FeatureStore

    world = make_bare_world()
    folder = feasts.applied(world, enable_online_feature_view_versioning=True)
    feasts.materialize(world, folder)
    options = ("--feast-repo", folder, "--trust-user-defined-functions", "--grpc-port", "0")
    with ExitStack() as stack:
        url, _, address = stack.enter_context(started(Place(folder), None, *options)).partition(" and over gRPC at ")
        client = stack.enter_context(httpx.Client(base_url=url.split()[-1], trust_env=False, timeout=PATIENCE))
        channel = stack.enter_context(grpc.insecure_channel(address.strip()))
        yield Both(client, ServingServiceStub(channel), FeatureStore(repo_path=str(folder)))


@pytest.mark.parametrize(
    "wanted",
    [
        {"features": ["doubled:doubled", "drivers:tags", "drivers:rate"]},
        {"features": ["doubled:doubled"], "full_feature_names": True},
        {"feature_service": "of_doubles"},
        {"features": ["drivers@v0:trips", "drivers:rate"]},
        {"features": ["doubled:doubled", "days:rain"], "entities": {**DRIVERS, "day": [1704067200, 5, 0]}},
    ],
    ids=str,
)
def test_the_message_is_feasts_and_says_what_http_says(both: Both, wanted: dict[str, Any]) -> None:
    body = {"entities": DRIVERS, **wanted}
    answer = both.stub.GetOnlineFeatures(message(body))
    features = wanted.get("features") or both.store.get_feature_service(wanted["feature_service"])
    names = wanted.get("full_feature_names", False)
    expected = both.store.get_online_features(features, body["entities"], names).proto
    assert columns(answer) == columns(expected)
    http = both.http.post("/get-online-features", json=body).json()
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

    # Not by protobuf's JSON: Feast changes that for the whole process.
    assert {name: found[1:] for name, found in by_name(http).items()} == {
        name: ([*map(FieldStatus.Name, each.statuses)], [time.ToJsonString() for time in each.event_timestamps])
        for name, each in zip(answer.metadata.feature_names.val, answer.results, strict=True)
    }


def columns(answer: Any) -> dict[str, Any]:
    return dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))


@pytest.mark.parametrize(
    ("body", "code", "details"),
    [
        ({"features": ["doubled:no_such"]}, grpc.StatusCode.NOT_FOUND, "no such feature"),
        ({"features": ["drivers@v7:trips"]}, grpc.StatusCode.NOT_FOUND, "drivers"),
        ({"features": ["doubled:doubled"], "entities": {"word": ["a"]}}, grpc.StatusCode.INVALID_ARGUMENT, "join key"),
        ({"features": ["doubled:doubled"] * 2}, grpc.StatusCode.INVALID_ARGUMENT, "doubled"),
        ({"features": ["nowhere", "doubled:doubled"]}, grpc.StatusCode.NOT_FOUND, "nowhere"),
    ],
    ids=str,
)
def test_what_feast_does_not_answer_is_a_status(both: Both, body: Any, code: Any, details: str) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        both.stub.GetOnlineFeatures(message({"entities": DRIVERS, **body}))
    assert (failed.value.code(), details in failed.value.details()) == (code, True), failed.value.details()


def test_a_view_by_itself_means_all_its_features_beside_others_too(both: Both) -> None:
    names = [feature.name for feature in both.store.get_feature_view("drivers").features]
    for wanted in (["doubled", "drivers"], ["doubled:doubled", "drivers@v0"]):
        spelled = ["doubled:doubled", *(f"{wanted[1]}:{name}" for name in names)]
        for full in (False, True):
            body = {"features": wanted, "entities": DRIVERS, "full_feature_names": full}
            expected = columns(both.store.get_online_features(spelled, DRIVERS, full).proto)
            assert columns(both.stub.GetOnlineFeatures(message(body))) == expected
            assert by_name(both.http.post("/get-online-features", json=body).json()).keys() == expected.keys()


@pytest.mark.parametrize("before", ["", "/static/.."])
@pytest.mark.parametrize("after", ["", "/"])
def test_the_workers_route_is_not_there_for_strangers(both: Both, before: str, after: str) -> None:
    target = f"{before}{MESSAGES}{after}".encode()
    body = message({"features": ["doubled:doubled"], "entities": DRIVERS}).SerializeToString()
    url = both.http.base_url.join("/")
    answer = both.http.send(httpx.Request("POST", url, content=body, extensions={"target": target}))
    assert answer.status_code == (405 if before else 404)


class ForFeasts:
    """A reader of what is all left to Feast."""

    async def read(self, _: Any) -> Any:
        raise ForFeast

    def deprecated(self, _: Any) -> tuple[()]:
        return ()


class Noted:
    """What is counted."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, int]] = []

    def passed_on(self, endpoint: str, status: int, _: float) -> None:
        self.passed.append((endpoint, status))


class Silent:
    """A Feast's app on a Unix socket that never answers: whom it has, and whether they left."""

    def __init__(self) -> None:
        self.came, self.left = asyncio.Event(), asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        while await reader.read(1 << 16):
            pass
        self.left.set()
        writer.close()


@asynccontextmanager
async def beside(path: str) -> AsyncIterator[tuple[Any, Noted]]:
    """A call of the method, and what is counted, with Feast's app at the path."""
    feast, noted = FeastApp(path), Noted()
    server = GrpcListener(grpc_app(ForFeasts(), feast, noted), "127.0.0.1", 0)  # type: ignore[arg-type]
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel.unary_unary(METHOD), noted
    await server.stop()
    await feast.close()


def asked() -> bytes:
    return bytes(message({"features": ["x:y"], "entities": DRIVERS}).SerializeToString())


def test_an_app_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async def run() -> None:
        async with beside(str(tmp_path / "nobody")) as (call, noted):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(asked())
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            assert noted.passed == [(GRPC_ONLINE_FEATURES, 503)]

    asyncio.run(run())


@pytest.mark.parametrize("ends", ["cancelled", "deadline"])
def test_a_call_that_ends_is_given_up_there_as_well(tmp_path: Path, ends: str) -> None:
    async def run() -> None:
        silent = Silent()
        path = str(tmp_path / "feast")
        async with await asyncio.start_unix_server(silent.take, path), beside(path) as (call, noted):
            under_way = call(asked(), timeout=5.0 if ends == "deadline" else PATIENCE)
            async with asyncio.timeout(PATIENCE):
                await silent.came.wait()
                if ends == "cancelled":
                    under_way.cancel()
                await silent.left.wait()
            assert [endpoint for endpoint, _ in noted.passed] == [GRPC_ONLINE_FEATURES]

    asyncio.run(run())


def test_whom_the_app_does_not_know_is_not_let_in_and_nothing_of_it_is_told(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"detail": "of the inside"}'
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async def run() -> None:
        path = str(tmp_path / "feast")
        async with await asyncio.start_unix_server(refuse, path), beside(path) as (call, _):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(asked())
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "inside" not in str(failed.value.details())

    asyncio.run(run())
