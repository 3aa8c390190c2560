"""What is declared as deprecated reaches everybody who asks: over HTTP, over gRPC, in metrics and in Feast's SDK."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import pytest
from world import World

from factories import Object, a_feature, a_feature_view, a_project, a_service
from featureplane.serving.app import serving
from featureplane.serving.listening import Where
from patience import PATIENCE, until

WHOLE = {"since": "2025-01-01", "message": "nobody fills it"}
PART = {"since": "2026-03-31", "replacedBy": "commodity_prices:price"}
ASKED = {"features": ["commodity_prices:volume"], "entities": {"commodity": ["gold"]}}


def objects(*, part: Any = PART, service: Any = None) -> list[Object]:
    features = [a_feature(), a_feature("volume", "Int64", deprecated=part)]
    return [
        a_feature_view(features=features, owner="markets@example.com", tags={"domain": "markets"}),
        a_feature_view("old", deprecated=WHOLE),
        a_service(views=[{"name": "commodity_prices", "features": ["price"]}], deprecated=service, owner="models"),
    ]


@dataclass
class Asked:
    client: httpx.Client
    channel: Any

    def headers(self, body: dict[str, Any]) -> httpx.Headers:
        answer = self.client.post("/get-online-features", json=body)
        assert answer.is_success, answer.text
        return answer.headers

    def trailers(self, *features: str) -> dict[str, str]:
        from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest
        from feast.protos.feast.serving.ServingService_pb2_grpc import ServingServiceStub

        request = GetOnlineFeaturesRequest()
        request.features.val.extend(features)
        request.entities["commodity"].val.add(string_val="gold")
        _, call = ServingServiceStub(self.channel).GetOnlineFeatures.with_call(request, timeout=PATIENCE)
        return dict(call.trailing_metadata())

    def metric(self, **labels: str) -> float:
        wanted = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
        head = f"featureplane_server_deprecated_requests_total{{{wanted}}} "
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.removeprefix(head)) for line in lines if line.startswith(head))


@pytest.fixture
def asked(world: World) -> Iterator[Asked]:
    world.apply(*objects())
    with asking(world, *objects()) as made:
        yield made


@contextmanager
def asking(world: World, *found: Object) -> Iterator[Asked]:
    project = world.declarations(*found).project
    with serving(project, world.stores, world.folder, Where(grpc_port=0)) as server:
        server.wait_until_ready()
        with (
            httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client,
            grpc.insecure_channel(server.grpc) as channel,
        ):
            yield Asked(client, channel)


def test_it_is_said_for_as_long_as_it_is_declared(world: World, asked: Asked) -> None:
    said = asked.headers(ASKED)
    assert said["deprecation"] == "@1774915200"
    assert "commodity_prices:volume is deprecated as of 2026-03-31" in said["featureplane-deprecated"]
    assert "old is deprecated" in asked.headers({**ASKED, "features": ["old"]})["featureplane-deprecated"]
    assert "deprecation" not in asked.headers({**ASKED, "features": ["commodity_prices:price"]})
    assert asked.trailers("commodity_prices:volume")["deprecation"] == "@1774915200"
    assert "deprecation" not in asked.trailers("commodity_prices:price")
    until(lambda: asked.metric(feature_view="commodity_prices", feature="volume", feature_service="") == 2)
    assert asked.metric(feature_view="old", feature="", feature_service="") == 1
    service = {"feature_service": "price_model", "entities": ASKED["entities"]}
    assert "deprecation" not in asked.headers(service)
    world.apply(*objects(part=None, service=PART | {"replacedBy": "better_model"}))
    until(lambda: "deprecation" not in asked.headers(ASKED))
    until(lambda: "price_model is deprecated" in asked.headers(service).get("featureplane-deprecated", ""))


def test_feasts_own_app_says_it_as_well(world: World) -> None:
    project = a_project(registry={"trustUserDefinedFunctions": True})
    found = [project, *objects(service=PART | {"replacedBy": "better_model"})]
    world.apply(*found)
    register_on_demand(world)
    with asking(world, *found) as asked:
        both = {**ASKED, "features": ["commodity_prices:volume", "doubled:twice"]}
        said = asked.headers(both)
        assert said["deprecation"] == "@1774915200"
        assert "commodity_prices:volume is deprecated as of 2026-03-31" in said["featureplane-deprecated"]
        assert "deprecation" not in asked.headers({**both, "features": ["commodity_prices:price", "doubled:twice"]})
        assert asked.trailers("commodity_prices:volume", "doubled:twice")["deprecation"] == "@1774915200"
        assert "deprecation" not in asked.trailers("commodity_prices:price", "doubled:twice")
        wrong = asked.client.post("/get-online-features", json={**both, "entities": {"nobody": [1]}})
        assert (wrong.is_success, "deprecation" in wrong.headers) == (False, False)
        until(lambda: asked.metric(feature_view="commodity_prices", feature="volume", feature_service="") == 2)


def register_on_demand(world: World) -> None:
    """A view that only Feast can answer for, made of `commodity_prices`."""
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Int64

    from feast import Field

    store = world.sdk()
    source = store.get_feature_view("commodity_prices")

    @on_demand_feature_view(sources=[source], schema=[Field(name="twice", dtype=Int64)], mode="python")
    def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"twice": [2 * (volume or 0) for volume in inputs["volume"]]}

    store.apply([doubled])


def test_owners_tags_and_deprecations_are_shown(asked: Asked) -> None:
    said = asked.client.get("/status/views").json()
    views = {view["name"]: view for view in said["feature_views"]}
    assert views["commodity_prices"]["owner"] == "markets@example.com"
    assert views["commodity_prices"]["tags"] == {"domain": "markets"}
    part = {"feature": "volume", "since": "2026-03-31", "message": "", "replaced_by": "commodity_prices:price"}
    assert views["commodity_prices"]["deprecated"] == [part]
    assert [each["feature"] for each in views["old"]["deprecated"]] == [""]
    assert views["old"]["tags"] == {}
    assert said["feature_services"][0]["owner"] == "models"


def test_feasts_sdk_shows_them_and_finds_no_other_change(world: World) -> None:
    before = world.definitions(*objects(part=None))
    world.apply(*objects(part=None))
    plan = world.apply(*objects())
    changed = {change.key: {field.path for field in change.fields} for change in plan.changes}
    fields = {f"features.volume.deprecated.{name}" for name in ("since", "replacedBy")}
    assert changed == {("feature_view", "commodity_prices"): fields}
    assert not [effect for change in plan.changes for effect in change.effects]
    view = world.sdk().get_feature_view("commodity_prices")
    assert (view.owner, view.tags) == ("markets@example.com", {"domain": "markets"})
    (volume,) = [field for field in view.features if field.name == "volume"]
    assert volume.tags["featureplane.dev/deprecated-since"] == "2026-03-31"
    assert world.plan(*objects()).is_empty
    assert [item.key for item in before] == [item.key for item in world.definitions(*objects())]
    folder = world.repo(*objects())
    assert "No changes to registry" in world.feast("plan", "--skip-source-validation", folder=folder).stdout
