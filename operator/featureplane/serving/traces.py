"""Traces with OpenTelemetry: a span for each request, and one in it for the read from Redis.

Imported only where the environment says where spans go to (`Settings.traces`), by OpenTelemetry's own variables, which
its SDK reads: endpoint, headers, sampler, service name and limits. Attributes are those of its semantic conventions
for HTTP, RPC and databases.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from featureplane.serving.grpc_api.status import Code
from featureplane.serving.http.asgi import App, Receive, Scope, Send
from featureplane.serving.reading.link import Waiter
from featureplane.serving.reading.store import Store
from featureplane.settings import RedisAddress

_NAME = "feast-server"
_FLUSH_SECONDS = 3.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_SERVER_ERROR = 500
# Codes that say that the server failed, and not its client ("Semantic conventions for gRPC").
_FAULTS = frozenset({
    Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS,
})  # fmt: skip


class Traces:
    """The spans of a worker. `routes` are the paths that spans are named after: others may be of any number."""

    def __init__(self, routes: frozenset[str]) -> None:
        # A collector that is away is no news for each batch: spans are lost, requests are not.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        self._routes = routes
        self._provider = TracerProvider(resource=Resource.create(_resource()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("featureplane.serving", version("featureplane"))
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left, for a moment: a collector that is gone must not hold up the end of a pod."""
        flushing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_SECONDS)

    def app(self, app: App) -> App:
        """An ASGI application with a span for each of its requests."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            name, attributes = _http(scope, self._routes)
            with self._span(name, attributes, _carried(scope["headers"])) as span:

                async def noting(message: Any) -> None:
                    if message["type"] == "http.response.start":
                        _end_http(span, message["status"])
                    await send(message)

                await app(scope, receive, noting)

        return traced

    def store(self, store: Store, address: RedisAddress) -> Store:
        """A store with a span for each read."""
        return _TracedStore(store, self._tracer, address)

    def grpc_app(self, app: App) -> App:
        """An ASGI application of gRPC with a span for each of its calls."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            service, _, method = scope["path"].lstrip("/").partition("/")
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
            with self._span(f"{service}/{method}", attributes, _carried(scope["headers"])) as span:

                async def noting(message: Any) -> None:
                    if message["type"] == "http.response.trailers":
                        _end_call(span, int(dict(message["headers"])[b"grpc-status"]))
                    await send(message)

                await app(scope, receive, noting)

        return traced

    @contextmanager
    def _span(self, name: str, attributes: dict[str, Any], carried: dict[str, str]) -> Iterator[Span]:
        parent = self._propagator.extract(carried)
        with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, attributes) as span:
            yield span


def _resource() -> dict[str, Any]:
    named = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_NAME in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {
        **({} if named else {SERVICE_NAME: _NAME}),
        "service.version": version("featureplane"),
        "process.pid": os.getpid(),
    }


def _carried(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """What says which trace the request belongs to (W3C Trace Context)."""
    wanted = {b"traceparent", b"tracestate"}
    return {name.decode(): value.decode("latin-1") for name, value in headers if name in wanted}


def _http(scope: Scope, routes: frozenset[str]) -> tuple[str, dict[str, Any]]:
    method, path = scope["method"], scope["path"]
    shown = method if method in _METHODS else "_OTHER"
    attributes: dict[str, Any] = {
        "http.request.method": shown,
        "url.path": path,
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope["http_version"],
    }
    if shown != method:
        attributes["http.request.method_original"] = method
    if path in routes:
        attributes["http.route"] = path
    if scope.get("server"):
        attributes["server.address"], attributes["server.port"] = scope["server"][:2]
    if scope.get("client"):
        attributes["client.address"] = scope["client"][0]
    for name, value in scope["headers"]:
        if name == b"user-agent":
            attributes["user_agent.original"] = value.decode("latin-1")
    verb = "HTTP" if shown == "_OTHER" else shown
    return (f"{verb} {path}" if path in routes else verb), attributes


def _end_http(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def _end_call(span: Span, code: int) -> None:
    span.set_attribute("rpc.grpc.status_code", code)
    if code in _FAULTS:
        span.set_status(Status(StatusCode.ERROR))


class _TracedStore:
    def __init__(self, store: Store, tracer: Any, address: RedisAddress) -> None:
        self._store = store
        self._tracer = tracer
        self._attributes = {
            "db.system.name": "redis",
            "db.operation.name": "PIPELINE HMGET",
            "db.namespace": str(address.db),
            "server.address": address.host,
            "server.port": address.port,
        }

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    def at_once(self, _: Sequence[bytes], __: Waiter) -> bool:
        """A span has to end."""
        return False

    async def read(self, keys: Sequence[bytes], commands: Sequence[bytes]) -> list[Any]:
        attributes = {**self._attributes, "db.operation.batch.size": len(commands)}
        with self._tracer.start_as_current_span("PIPELINE HMGET", kind=SpanKind.CLIENT, attributes=attributes):
            return await self._store.read(keys, commands)

    @property
    def is_away(self) -> str:
        return self._store.is_away
