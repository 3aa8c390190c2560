"""The generated stubs of Feast's gRPC services against our server: each message is what Feast's servicer gives."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, assume, given, settings
from test_served_answers import KEYS, OBJECTS, fill, requests
from world import World

from featureplane.serving.app import serving
from featureplane.serving.listening import Where

NOT_FOUND = 3
TYPES = {"driver_id": "INT64", "word": "STRING", "day": "UNIX_TIMESTAMP", "floor": "INT32"}


class Stubs(NamedTuple):
    online: Any
    feature_server: Any
    # Feast's own servicer, in this process.
    feast: Any


class Context:
    """What a servicer is told of a call, and what it says of its failure."""

    code = None

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None: ...


@pytest.fixture(scope="module")
def stubs(make_world: Callable[[], World]) -> Iterator[Stubs]:
    from feast.infra.contrib.grpc_server import GrpcFeatureServer
    from feast.protos.feast.serving.GrpcServer_pb2_grpc import GrpcFeatureServerStub
    from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub

    world = make_world()
    world.apply(*OBJECTS)
    patch = pytest.MonkeyPatch()
    for name, value in world.stores.environment().items():
        patch.setenv(name, value)
    store = world.sdk(online=True)
    fill(store)
    feast = GrpcFeatureServer(store, registry_ttl_sec=3600)
    with serving(world.declarations(*OBJECTS).project, world.stores, world.folder, Where(grpc_port=0)) as server:
        server.wait_until_ready()
        with grpc.insecure_channel(server.grpc) as channel:
            yield Stubs(ServingServiceStub(channel), GrpcFeatureServerStub(channel), feast)
    feast._active_timer.cancel()  # noqa: SLF001 - nothing else ends it
    patch.undo()
    world.close()


def message(body: dict[str, Any]) -> Any:
    """A request of JSON as one of gRPC, keys in the types that their views have."""
    from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
    from feast.type_map import python_values_to_proto_values

    from feast import ValueType

    made = GetOnlineFeaturesRequest(full_feature_names=body.get("full_feature_names", False))
    if "feature_service" in body:
        made.feature_service = body["feature_service"]
    else:
        made.features.val.extend(body["features"])
    for name, values in body["entities"].items():
        made.entities[name].val.extend(python_values_to_proto_values(values, ValueType[TYPES.get(name, "INT64")]))
    return made


def by_name(answer: Any, keys: Any) -> dict[str, tuple[list[Any], list[int], list[Any]]]:
    """Columns by name. Feast says PRESENT of what is not there: such a row has no event time."""
    found = {}
    for name, result in zip(answer.metadata.feature_names.val, answer.results, strict=True):
        times = list(result.event_timestamps)
        statuses = [
            status if name in keys or time != Timestamp() else NOT_FOUND
            for status, time in zip(result.statuses, times, strict=True)
        ]
        found[name] = (list(result.values), statuses, times)
    return found


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_a_message_is_feasts(stubs: Stubs, body: dict[str, Any]) -> None:
    assume(body.get("feature_service") != "no_such_service")
    request = message(body)
    try:
        expected = stubs.feast.GetOnlineFeatures(request, Context())
    except Exception as error:  # noqa: BLE001 - whatever it is, Feast's server answers UNKNOWN with its text
        assume("value" not in str(error).lower())  # see the next test
        with pytest.raises(grpc.RpcError) as failed:
            stubs.online.GetOnlineFeatures(request)
        assert failed.value.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
        return
    answers = [stub.GetOnlineFeatures(request) for stub in (stubs.online, stubs.feature_server)]
    assert answers[0] == answers[1]
    assert by_name(answers[0], KEYS) == by_name(expected, KEYS)


@pytest.mark.parametrize("entities", [{"day": [0, 86_400, 5]}, {"day": [0], "unheard_of": [1]}], ids=str)
def test_keys_that_feasts_servicer_takes_from_nobody_are_taken(stubs: Stubs, entities: dict[str, list[int]]) -> None:
    """Times, and whatever no view asks for: it takes the messages for values of Python's."""
    request = message({"features": ["by_day:rain"], "entities": entities})
    with pytest.raises((TypeError, ValueError), match=r"[Vv]alue"):
        stubs.feast.GetOnlineFeatures(request, Context())
    expected = stubs.feast.fs.get_online_features(["by_day:rain"], {"day": entities["day"]}).proto
    assert by_name(stubs.online.GetOnlineFeatures(request), KEYS) == by_name(expected, KEYS)


def test_what_feast_serves_is_said_by_the_generated_stub(stubs: Stubs) -> None:
    from importlib.metadata import version

    from feast.protos.feast.serving.ServingService_pb2 import GetFeastServingInfoRequest

    assert stubs.online.GetFeastServingInfo(GetFeastServingInfoRequest()).version == version("feast")


def test_what_does_not_exist_is_not_found(stubs: Stubs) -> None:
    """Feast's server says UNKNOWN and INTERNAL."""
    for wanted in ({"features": ["no_such:x"]}, {"feature_service": "no_such"}):
        with pytest.raises(grpc.RpcError, match="no_such does not exist in project feast") as failed:
            stubs.feature_server.GetOnlineFeatures(message({**wanted, "entities": {"driver_id": [1]}}))
        assert failed.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_version_is_refused_where_versions_are_not_enabled(stubs: Stubs) -> None:
    with pytest.raises(grpc.RpcError, match="versions are not served here; write by_day:rain") as failed:
        stubs.feature_server.GetOnlineFeatures(message({"features": ["by_day@v1:rain"], "entities": {"day": [0]}}))
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
