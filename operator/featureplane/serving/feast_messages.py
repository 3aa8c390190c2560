"""Online features as gRPC's messages from Feast's own app: a route for the workers, which alone reach its Unix socket.

Feast's route speaks JSON, where bytes, times and whole numbers have lost their types. Strangers are told that there is
no such route (`http.feast_routes.check_route`).
"""

import json
import logging
from types import SimpleNamespace
from typing import Any

from featureplane.errors import OnlineStoreUnavailable
from featureplane.serving.feast_outages import AWAY
from featureplane.serving.http.feast_answers import FAILED
from featureplane.serving.http.feast_routes import MESSAGES

# What Feast raises as KeyError or ValueError for requests that are wrong, with the statuses of our own answers to them.
_WRONG = {
    "not found in projection": (404, "a view that was asked for has no such feature"),
    "Missing join key": (422, "entities: a join key of the views is missing"),
    "No features specified": (422, "No features specified for retrieval: name features, or a feature_service"),
}
_UNKNOWN, _FORBIDDEN = 404, 403


def add_route(module: Any, app: Any, store: Any) -> None:
    """Have the app that `module` (feast.feature_server) made answer messages too, for whoever its own route answers."""
    from fastapi import Depends, Request, Response

    async def answer(request: Request) -> Response:
        try:
            body = await _answer(module, store, await request.body())
        except Exception as error:
            status, text = _refusal(error)
            if status >= 500:  # noqa: PLR2004 - HTTP's
                logging.getLogger("featureplane").exception("Feast did not answer a message")
            return Response(json.dumps({"message": text}), status, media_type="application/json")
        return Response(body, media_type="application/x-protobuf")

    app.add_api_route(
        MESSAGES, answer, methods=["POST"], dependencies=[Depends(module.inject_user_details)], include_in_schema=False
    )


async def _answer(module: Any, store: Any, body: bytes) -> bytes:
    """As `get_online_features` of feast/feature_server.py."""
    from fastapi.concurrency import run_in_threadpool
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest

    message = GetOnlineFeaturesRequest.FromString(body)
    wanted = SimpleNamespace(feature_service=message.feature_service, features=list(message.features.val))
    asked = {
        "features": await module._get_features(wanted, store),  # noqa: SLF001 - it asks Feast's Permissions
        "entity_rows": {name: [_plain(value) for value in values.val] for name, values in message.entities.items()},
        "full_feature_names": message.full_feature_names,
        "include_feature_view_version_metadata": message.include_feature_view_version_metadata,
    }
    if store._get_provider().async_supported.online.read:  # noqa: SLF001 - as Feast's route
        answer = await store.get_online_features_async(**asked)
    else:
        answer = await run_in_threadpool(lambda: store.get_online_features(**asked))
    return bytes(answer.proto.SerializeToString())


def _plain(value: Any) -> Any:
    """What Feast's methods take; of a message they would make a value of a message."""
    field = value.WhichOneof("val")
    if field == "unix_timestamp_val":
        return value.unix_timestamp_val
    from feast.type_map import feast_value_type_to_python_type

    return feast_value_type_to_python_type(value)


def _refusal(error: Exception) -> tuple[int, str]:
    """Texts of Feast's go out where they say no more than the request did."""
    from feast.errors import FeastError, FeatureNameCollisionError

    if isinstance(error, OnlineStoreUnavailable):
        return 503, AWAY
    if isinstance(error, FeatureNameCollisionError):
        return 422, str(error)
    if isinstance(error, FeastError):
        if error.http_status_code() == _UNKNOWN:
            return _UNKNOWN, str(error)
        if error.http_status_code() == _FORBIDDEN:
            return _FORBIDDEN, "Feast's Permissions do not let the holder of the token read this"
    if isinstance(error, KeyError | ValueError):
        for part, refusal in _WRONG.items():
            if part in str(error):
                return refusal
    return 500, FAILED
