"""A feature server that asks who comes, by tokens of an issuer, over TLS: HTTP, gRPC, and Feast's own app behind it."""

import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from test_materialize import NOON, task, write
from world import World

from factories import a_feature, a_feature_view, a_project
from featureplane.materialization.run import materializer
from featureplane.serving.app import serving
from featureplane.serving.listening import Where
from patience import PATIENCE, until
from unit.access.certificates import write_certificate
from unit.access.issuer import AUDIENCE, Issuer, an_issuer

FEATURES = ["commodity_prices:price"]
ASKED = {"features": FEATURES, "entities": {"commodity": ["gold"]}}
PUSHED = {"push_source_name": "nobody", "df": {"commodity": ["gold"]}}
CALL = "/feast.serving.ServingService/GetOnlineFeatures"


@dataclass
class Guarded:
    world: World
    issuer: Issuer
    certificates: Path
    url: str
    grpc: str

    @property
    def authority(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificates / "tls.crt"))

    def http(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(
            base_url=self.url, verify=self.authority, trust_env=False, headers=headers, timeout=PATIENCE
        )

    def ask(self, token: str = "") -> httpx.Response:
        with self.http(token) as client:
            return client.post("/get-online-features", json=ASKED)

    def call(self, token: str = "") -> Any:
        """The same over gRPC."""
        from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesRequest, GetOnlineFeaturesResponse

        request = GetOnlineFeaturesRequest()
        request.features.val.extend(FEATURES)
        request.entities["commodity"].val.add(string_val="gold")
        metadata = [("authorization", f"Bearer {token}")] if token else []
        with self.channel() as channel:
            call = channel.unary_unary(
                CALL, GetOnlineFeaturesRequest.SerializeToString, GetOnlineFeaturesResponse.FromString
            )
            return call(request, metadata=metadata, timeout=PATIENCE)

    def channel(self) -> Any:
        authority = grpc.ssl_channel_credentials((self.certificates / "tls.crt").read_bytes())
        return grpc.secure_channel(self.grpc, authority)


@pytest.fixture(scope="module")
def guarded(make_world: Callable[[], World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    world = make_world()
    write(world.folder / "prices.parquet", {"gold": NOON})
    certificates = tmp_path_factory.mktemp("certificates")
    write_certificate(certificates)
    with an_issuer() as issuer:
        oidc = {"issuer": issuer.url, "audience": AUDIENCE, "readers": ["reader"], "writers": ["writer"]}
        objects = [
            a_project(
                offlineStore={"type": "file", "dataRoot": {"uri": str(world.folder)}},
                server={"auth": {"type": "oidc", "oidc": oidc}, "writes": {"enabled": True}, "workers": 2},
            ),
            a_feature_view(features=[a_feature()]),
        ]
        world.apply(*objects)
        project = world.declarations(*objects).project
        with materializer(project, world.stores, world.folder) as engine:
            assert [run.result for run in engine.run([task(end=NOON)])] == ["Succeeded"]
        where = Where(grpc_port=0, certificate=certificates / "tls.crt", key=certificates / "tls.key")
        with serving(project, world.stores, world.folder, where) as server:
            server.wait_until_ready()
            yield Guarded(world, issuer, certificates, server.url, server.grpc)


def reader(guarded: Guarded, **claims: Any) -> str:
    return guarded.issuer.token(**{"roles": ["reader"], **claims})


def test_whoever_shows_a_token_with_a_role_is_answered(guarded: Guarded) -> None:
    answer = guarded.ask(reader(guarded))
    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][1]["statuses"] == ["PRESENT"]
    assert [list(column.statuses) for column in guarded.call(reader(guarded)).results] == [[1], [1]]


@pytest.mark.parametrize(
    ("claims", "status", "code", "why"),
    [
        (None, 401, "UNAUTHENTICATED", "Authorization: Bearer TOKEN"),
        ({"exp": 1_000_000_000}, 401, "UNAUTHENTICATED", "the token has expired"),
        ({"aud": "another"}, 401, "UNAUTHENTICATED", "the token is for another audience"),
        ({"roles": []}, 403, "PERMISSION_DENIED", "no role that may read"),
    ],
    ids=["no token", "expired", "for another", "without a role"],
)
def test_nobody_else_is(guarded: Guarded, claims: Any, status: int, code: str, why: str) -> None:
    token = "" if claims is None else reader(guarded, **claims)
    answer = guarded.ask(token)
    assert answer.status_code == status
    assert why in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert ("www-authenticate" in answer.headers) is (status == 401)
    with pytest.raises(grpc.RpcError) as raised:
        guarded.call(token)
    assert raised.value.code().name == code
    assert why in raised.value.details()


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_probes_and_prometheus_show_no_token(guarded: Guarded, path: str) -> None:
    with guarded.http() as client:
        assert client.get(path).status_code == 200
        assert client.post(path).status_code == 401


def test_a_load_balancer_asks_for_health_over_grpc(guarded: Guarded) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    with guarded.channel() as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        with pytest.raises(grpc.RpcError) as raised:
            list(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=PATIENCE))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_two_tokens_are_none(guarded: Guarded) -> None:
    with guarded.http() as client:
        both = [("authorization", f"Bearer {reader(guarded)}"), ("authorization", "Bearer another")]
        assert client.post("/get-online-features", json=ASKED, headers=both).status_code == 401


def test_who_may_read_may_not_write(guarded: Guarded) -> None:
    with guarded.http(reader(guarded)) as client:
        answer = client.post("/push", json=PUSHED)
        assert (answer.status_code, "no role that may write" in answer.text) == (403, True)
    with guarded.http(reader(guarded, roles=["writer"])) as client:
        answer = client.post("/push", json=PUSHED)
        assert "no role that may write" not in answer.text
        assert answer.status_code not in {401, 403}


def test_feasts_own_app_answers_who_was_let_in(guarded: Guarded) -> None:
    with guarded.http() as client:
        assert client.get("/v1/vector_stores").status_code == 401
    with guarded.http(reader(guarded)) as client:
        answer = client.get("/v1/vector_stores")
    assert (answer.status_code, answer.json()["object"]) == (200, "list")


def test_feasts_sdk_shows_its_token(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import FeatureStore, RepoConfig

    store = guarded.world.sdk()
    online = {"type": "remote", "path": guarded.url, "cert": str(guarded.certificates / "tls.crt")}
    config = RepoConfig(
        project=store.project, provider="local", registry=store.config.registry, online_store=online,
        entity_key_serialization_version=3, auth={"type": "oidc"},
    )  # fmt: skip
    monkeypatch.setenv("FEAST_OIDC_TOKEN", reader(guarded))
    rows = [{"commodity": "gold"}]
    assert FeatureStore(config=config).get_online_features(FEATURES, rows).to_dict()["price"] != [None]
    monkeypatch.setenv("FEAST_OIDC_TOKEN", reader(guarded, roles=[]))
    with pytest.raises(Exception, match="no role that may read"):
        FeatureStore(config=config).get_online_features(FEATURES, rows)


def test_feasts_permissions_are_enforced_by_feast(guarded: Guarded) -> None:
    """The fast path knows nothing of them, so it leaves every read to Feast while there are some."""
    from feast.permissions.action import AuthzedAction
    from feast.permissions.permission import Permission
    from feast.permissions.policy import RoleBasedPolicy

    from feast import FeatureView

    actions = [AuthzedAction.DESCRIBE, AuthzedAction.READ_ONLINE]
    permission = Permission("analysts", types=[FeatureView], policy=RoleBasedPolicy(["analyst"]), actions=actions)
    plain, analyst = reader(guarded), reader(guarded, roles=["reader", "analyst"])
    store = guarded.world.sdk()
    store.registry.apply_permission(permission, store.project)
    try:
        _wait_for(guarded, plain, 403)
        answer = guarded.ask(analyst)
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][1]["statuses"] == ["PRESENT"]
        assert list(guarded.call(analyst).results[1].statuses) == [1]  # PRESENT
        with pytest.raises(grpc.RpcError) as raised:
            guarded.call(plain)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "analyst" not in raised.value.details()
        assert guarded.ask(guarded.issuer.token(roles=["analyst"])).status_code == 403
    finally:
        store.registry.delete_permission("analysts", store.project)
    _wait_for(guarded, plain, 200)


def _wait_for(guarded: Guarded, token: str, status: int) -> None:
    """Many times in a row: two workers look at the registry in their own time, a second apart at the most, in which 8
    of a hundred requests in a row are one worker's often.
    """
    deadline, times = time.monotonic() + PATIENCE, 0
    while times < 20:
        found = guarded.ask(token).status_code
        times = times + 1 if found == status else 0
        assert time.monotonic() < deadline, found


def test_a_renewed_certificate_is_served_without_a_restart(guarded: Guarded) -> None:
    """Last, for the others trust what is written there now."""
    write_certificate(guarded.certificates, "renewed")

    def is_served() -> bool:
        for _ in range(4):  # of both workers
            assert guarded.ask(reader(guarded)).status_code == 200
            assert guarded.call(reader(guarded)).results
        return True

    until(is_served, passing=(httpx.ConnectError, grpc.RpcError))
