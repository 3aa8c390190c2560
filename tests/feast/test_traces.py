"""Spans as a collector receives them: OTLP over HTTP, on loopback."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from test_materialize import NOON, task, write
from world import World

from factories import a_feature_view, a_project
from featureplane.materialization.run import materializer
from featureplane.registry.protos import ServingService
from featureplane.serving.app import serving
from featureplane.serving.grpc_api.server import SERVICE, GrpcListener, grpc_app
from featureplane.serving.http.elsewhere import FeastApp
from featureplane.serving.meter import Meter
from featureplane.serving.reading.store import Away
from featureplane.settings import Settings
from patience import PATIENCE

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """What was exported to it: (resource's attributes, span) pairs."""

    def __init__(self) -> None:
        self.spans: list[tuple[dict[str, Any], Span]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.spans += [
                        (attributes(group.resource), span) for scope in group.scope_spans for span in scope.spans
                    ]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[Span]:
        return [span for _, span in self.spans if span.name == name]


def attributes(item: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in item.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    # Nothing goes out before the end: what the tests see was flushed.
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    yield made
    made.close()


@pytest.fixture(scope="module")
def filled(make_world: Callable[[], World]) -> tuple[World, Any]:
    world = make_world()
    write(world.folder / "prices.parquet", {"gold": NOON})
    objects = [a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}}), a_feature_view()]
    world.apply(*objects)
    project = world.declarations(*objects).project
    with materializer(project, world.stores, world.folder) as engine:
        assert [run.result for run in engine.run([task(end=NOON)])] == ["Succeeded"]
    return world, project


def ask_once(filled: tuple[World, Any], **headers: str) -> None:
    """A server's whole life, with one request for features, one that is refused and one that is got."""
    world, project = filled
    body = {"features": ["commodity_prices:price"], "entities": {"commodity": ["gold", "tin"]}}
    with serving(project, world.stores, world.folder) as server:
        server.wait_until_ready()
        assert httpx.post(f"{server.url}/get-online-features", json=body, headers=headers, timeout=PATIENCE).is_success
        assert (
            httpx.post(f"{server.url}/get-online-features", json={}, headers=headers, timeout=PATIENCE).status_code
            == 422
        )
        assert httpx.get(f"{server.url}/status", headers=headers, timeout=PATIENCE).is_success


def test_a_request_is_a_span_in_its_callers_trace_and_the_read_one_in_it(filled, collector):
    ask_once(filled, traceparent=f"00-{TRACE}-{PARENT}-01", **{"user-agent": "tests/1"})
    answered, refused = sorted(
        collector.named("POST /get-online-features"), key=lambda span: attributes(span)["http.response.status_code"]
    )
    assert (answered.trace_id.hex(), answered.parent_span_id.hex()) == (TRACE, PARENT)
    assert answered.kind == Span.SPAN_KIND_SERVER
    said = attributes(answered)
    assert (
        said.items()
        >= {
            "http.request.method": "POST",
            "http.route": "/get-online-features",
            "url.path": "/get-online-features",
            "url.scheme": "http",
            "http.response.status_code": 200,
            "user_agent.original": "tests/1",
            "client.address": "127.0.0.1",
            "server.address": "127.0.0.1",
            "network.protocol.version": "1.1",
        }.items()
    )
    (read,) = collector.named("PIPELINE HMGET")
    assert (read.trace_id.hex(), read.parent_span_id) == (TRACE, answered.span_id)
    assert read.kind == Span.SPAN_KIND_CLIENT
    assert attributes(read).items() >= {"db.system.name": "redis", "db.operation.batch.size": 2}.items()
    assert answered.start_time_unix_nano <= read.start_time_unix_nano
    assert read.end_time_unix_nano <= answered.end_time_unix_nano
    # The client's fault is none of the server's.
    assert attributes(refused)["http.response.status_code"] == 422
    assert refused.status.code == Status.STATUS_CODE_UNSET
    assert collector.named("GET /status")


def test_the_service_is_named_by_the_environment(filled, collector, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "prices")
    ask_once(filled)
    resource, _ = collector.spans[0]
    assert resource["service.name"] == "prices"
    assert all(not span.parent_span_id for span in collector.named("POST /get-online-features"))


def test_the_sampler_is_the_environments(filled, collector, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    ask_once(filled)
    assert collector.spans == []
    ask_once(filled, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert collector.named("POST /get-online-features")


def test_it_can_be_off_all_the_same(filled, collector, monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    ask_once(filled)
    assert collector.spans == []


def test_a_collector_that_is_gone_holds_nothing_up(filled, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    world, project = filled
    with serving(project, world.stores, world.folder) as server:
        server.wait_until_ready()
        assert httpx.get(f"{server.url}/status", timeout=PATIENCE).is_success
        stopped = time.monotonic()
    # Well before the server is killed for not having ended.
    assert time.monotonic() - stopped < 14


def test_nothing_of_it_is_loaded_where_it_is_not_asked_for():
    code = (
        "import sys, featureplane.serving.worker_process, featureplane.serving.grpc_api.server; "
        "print(*[name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_environment_says_whether_there_are_traces(environment, wanted):
    assert Settings.from_env(environment).traces is wanted


class AwayReader:
    async def read(self, _: object) -> None:
        raise Away("it was paused")


def test_a_call_of_grpc_is_a_span_too(collector, monkeypatch):
    from featureplane.serving.traces import Traces

    async def call() -> None:
        traces = Traces(frozenset())
        app = grpc_app(AwayReader(), FeastApp("/nowhere"), Meter(lambda: None))
        server = GrpcListener(traces.grpc_app(app), "127.0.0.1", 0)
        port = await server.start()
        request = ServingService.GetOnlineFeaturesRequest()
        request.features.val.append("v:f")
        request.entities["k"].val.add(int64_val=1)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            carried = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
            await channel.unary_unary(f"/{SERVICE}/GetFeastServingInfo")(b"", metadata=carried)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(f"/{SERVICE}/GetOnlineFeatures")(request.SerializeToString())
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        await server.stop()
        await asyncio.to_thread(traces.close)

    asyncio.run(call())
    (info,) = collector.named(f"{SERVICE}/GetFeastServingInfo")
    (failed,) = collector.named(f"{SERVICE}/GetOnlineFeatures")
    assert (info.trace_id.hex(), info.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(info)["rpc.grpc.status_code"] == 0
    assert info.status.code == Status.STATUS_CODE_UNSET
    assert attributes(failed)["rpc.grpc.status_code"] == grpc.StatusCode.UNAVAILABLE.value[0]
    assert failed.status.code == Status.STATUS_CODE_ERROR
