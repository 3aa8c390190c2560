"""Push and WriteToOnlineStore of Feast's GrpcFeatureServer: a row a call, as texts or as `feast.types.Value`s."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from featureplane.registry.protos import GrpcServer
from featureplane.serving.closed import closed_routes
from featureplane.serving.counting import Counts
from featureplane.serving.grpc_api.status import Code, Failed
from featureplane.serving.http.asgi import Scope
from featureplane.serving.reading.refusals import ForFeast
from featureplane.serving.reading.store import Away
from featureplane.serving.writing.outcome import SEND_AGAIN, NotTaken
from featureplane.serving.writing.request import ONLINE, WriteRequest, from_features, from_typed_features

if TYPE_CHECKING:
    from featureplane.serving.writing.view import ViewPlan
    from featureplane.serving.writing.writer import OnlineWriter

_OVER_HTTP = "only /push over HTTP reaches the offline store, and views that Feast alone writes"


class WriteCalls:
    """The two methods; closed without a `writer`."""

    def __init__(self, writer: "OnlineWriter | None", meter: Counts) -> None:
        self._writer = writer
        self._meter = meter

    @property
    def methods(self) -> Mapping[str, Any]:
        """By their names."""
        return {"Push": self.push, "WriteToOnlineStore": self.write}

    async def push(self, body: bytes, _: Scope) -> bytes:
        with self._counted("Push"):
            message = _parsed(GrpcServer.PushRequest, body)
            if message.to != ONLINE:
                raise Failed(Code.UNIMPLEMENTED, f"to: write {ONLINE}; {_OVER_HTTP}")
            await self._write(message, WriteRequest({}, 1, push_source=message.stream_feature_view))
        return bytes(GrpcServer.PushResponse(status=True).SerializeToString())

    async def write(self, body: bytes, _: Scope) -> bytes:
        with self._counted("WriteToOnlineStore"):
            message = _parsed(GrpcServer.WriteToOnlineStoreRequest, body)
            await self._write(message, WriteRequest({}, 1, view=message.feature_view_name))
        return bytes(GrpcServer.WriteToOnlineStoreResponse(status=True).SerializeToString())

    @contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        begun, status = perf_counter(), 500
        try:
            yield
            status = 200
        finally:
            self._meter.passed_on(method, status, perf_counter() - begun)

    async def _write(self, message: Any, request: WriteRequest) -> None:
        writer = self._writer
        if writer is None:
            raise Failed(Code.PERMISSION_DENIED, closed_routes(writes=False)["/push"])
        if message.features and message.typed_features:
            raise Failed(Code.INVALID_ARGUMENT, "Only one of features or typed_features may be set, not both")
        try:
            target = writer.target(request)
            if target.is_feasts:
                raise ForFeast
            if request.push_source:
                self._meter.pushed(request.push_source, request.to)
            field, columns = (
                ("typed_features", from_typed_features(message.typed_features))
                if message.typed_features
                else ("features", from_features(message.features, _text_columns(target.views)))
            )
            async with writer.checked(replace(request, columns=columns, field=field), target) as checked:
                await writer.write(target, checked)
        except ForFeast:
            raise Failed(Code.UNIMPLEMENTED, _OVER_HTTP) from None
        except (NotTaken, Away) as error:
            raise Failed(Code.UNAVAILABLE, f"Redis takes no rows: {error}; {SEND_AGAIN}") from None


def _text_columns(views: "Sequence[ViewPlan]") -> frozenset[str]:
    return frozenset().union(*(view.text_columns for view in views))


def _parsed(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise Failed(Code.INVALID_ARGUMENT, f"the message is no {kind.DESCRIPTOR.name}") from None
