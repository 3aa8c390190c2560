"""The calls that read: feast.serving.ServingService, and what Feast's GrpcFeatureServer has of it.

What Redis holds is put into answers as it is (see `as_proto`).
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import Any

from google.protobuf.message import DecodeError

from featureplane.registry.protos import ServingService
from featureplane.serving.counting import GRPC_ONLINE_FEATURES, Counts
from featureplane.serving.grpc_api.app import TRAILERS
from featureplane.serving.grpc_api.status import Code, Failed
from featureplane.serving.http.asgi import Scope
from featureplane.serving.http.elsewhere import Elsewhere
from featureplane.serving.http.guard import authorization
from featureplane.serving.reading.as_proto import as_proto
from featureplane.serving.reading.deprecated import Deprecated, headers_of
from featureplane.serving.reading.reader import MOST_ROWS, OnlineReader
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.request import Request
from featureplane.serving.reading.store import Away
from featureplane.serving.reading.values import Undecodable


class ReadCalls:
    """Answers from the online store, and `elsewhere` for what is not ours to answer."""

    def __init__(self, reader: OnlineReader, elsewhere: Elsewhere, meter: Counts) -> None:
        self._reader = reader
        self._elsewhere = elsewhere
        self._meter = meter

    async def info(self, _: bytes, __: Scope) -> bytes:
        answer = ServingService.GetFeastServingInfoResponse(version=version("feast"))
        return bytes(answer.SerializeToString())

    async def online_features(self, body: bytes, scope: Scope) -> bytes:
        started = perf_counter()
        try:
            message = ServingService.GetOnlineFeaturesRequest.FromString(body)
            request = from_message(message)
            answer = await self._reader.read(request)
            columns = answer.entities.columns
            kept = [_named(message.entities, answer.plan.entities, name) for name in columns]
            views = answer.plan.views if request.with_versions else ()
            said = as_proto(answer.entities, kept, answer.columns, views)
        except ForFeast:
            return await self._of_feast(body, scope, self._reader.deprecated(request))
        except Exception as error:
            self._meter.refused(GRPC_ONLINE_FEATURES, away=isinstance(error, Away))
            match error:
                case DecodeError():
                    raise Failed(Code.INVALID_ARGUMENT, "the message is no GetOnlineFeaturesRequest") from None
                case Away():
                    raise Failed(Code.UNAVAILABLE, f"Redis cannot be read: {error}") from None
                case Undecodable():
                    raise Failed(Code.DATA_LOSS, f"the online store holds what is no row: {error}") from None
            raise
        self._meter.answered(GRPC_ONLINE_FEATURES, answer, perf_counter() - started)
        scope[TRAILERS] = answer.plan.headers
        return said

    async def _of_feast(self, body: bytes, scope: Scope, deprecated: Sequence[Deprecated]) -> bytes:
        """Have it answered elsewhere, say which of what was asked for is deprecated, and count that."""
        begun, status = perf_counter(), 500
        try:
            said = await self._elsewhere.message(body, authorization(scope))
            status = 200
        except Refused as refused:
            status = refused.status
            raise
        finally:
            self._meter.passed_on(GRPC_ONLINE_FEATURES, status, perf_counter() - begun)
        if deprecated:
            self._meter.asked_of_feast(deprecated)
            scope[TRAILERS] = headers_of(deprecated)
        return said


def _named(entities: Any, names: Mapping[str, str], key: str) -> Any:
    """The request's values of a join key, which it may call by the entity's name."""
    if key in entities:
        return entities[key].val
    return next(entities[name].val for name in entities if names.get(name) == key)


def from_message(message: Any) -> Request:
    """A GetOnlineFeaturesRequest. Raises Refused."""
    entities = {name: _plain_ones(values.val) for name, values in message.entities.items()}
    if not entities:
        raise Refused("entities: give the values of each join key")
    return Request(
        entities,
        message.feature_service,
        tuple(message.features.val),
        message.full_feature_names,
        message.include_feature_view_version_metadata,
    )


def _plain_ones(values: Sequence[Any]) -> Sequence[Any]:
    """As they are where they are too many: only their number is looked at then."""
    return [_plain(value) for value in values] if len(values) <= MOST_ROWS else values


def _plain(value: Any) -> Any:
    field = value.WhichOneof("val")
    return None if field is None or field == "null_val" else getattr(value, field)
