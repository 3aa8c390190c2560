"""The server of a project on Cassandra says which store that is, whether one of its servers takes connections, and to
clients that they may ask again where none does.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import httpx
import pytest
from world import World

from factories import a_feature_view, a_project
from featureplane.local.redis_server import HOST
from featureplane.registry.protos import ServingService
from featureplane.serving.app import Server, Where, serving
from featureplane.serving.grpc_api.server import SERVICE
from patience import PATIENCE, until
from ports import free_port

# Its state is looked at every ten seconds.
pytestmark = pytest.mark.timeout(600)

VIEW = a_feature_view(push={"enabled": True})
ASKED = {"features": ["commodity_prices:price"], "entities": {"commodity": ["gold"]}}
ROWS = {"commodity": ["gold"], "price": [7.0], "event_timestamp": ["2026-01-10T12:00:00Z"]}
PUSH = {"push_source_name": "commodity_prices_push", "df": ROWS}
KNOWN = "Cassandra does not answer: nothing listens at its address"
BY_FEAST = "the online store does not answer; the server's log says why"


def test_it_says_whether_cassandra_is_there(world: World) -> None:
    port = free_port()
    online = {"cassandra": {"hosts": [HOST], "port": port, "keyspace": "feast"}}
    objects = (a_project(onlineStore=online), a_feature_view())
    world.apply(*objects)
    why = f"Cassandra at {HOST}:{port} does not answer: nothing listens at its address"
    with serving(world.declarations(*objects).project, world.stores, world.folder) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:

            def problems() -> Any:
                return client.get("/ready").json()["problems"]

            until(lambda: problems() == {"online store": why}, what=lambda: str(problems()))
            assert client.get("/status").json()["online_store"] == {"type": "Cassandra", "problem": why}

            def told(*, up: int) -> bool:
                # That of Redis is another matter, and so is its alert.
                found = client.get("/metrics").text
                return (
                    f"featureplane_server_online_store_up {up}" in found and "featureplane_server_redis_up 1" in found
                )

            until(lambda: told(up=0))
            with socket.create_server((HOST, port)):
                until(lambda: problems() == {}, what=lambda: str(problems()))
                until(lambda: told(up=1))


@contextmanager
def served(world: World, port: int) -> Iterator[tuple[Server, httpx.Client]]:
    online = {"cassandra": {"hosts": [HOST], "port": port, "keyspace": "feast"}}
    objects = (a_project(onlineStore=online, server={"writes": {"enabled": True}}), VIEW)
    world.apply(*objects)
    project = world.declarations(*objects).project
    with serving(project, world.stores, world.folder, Where(grpc_port=0)) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
            yield server, client


@contextmanager
def hanging_up() -> Iterator[int]:
    """The port of a server that takes connections, and ends them at once."""
    with socket.create_server((HOST, 0)) as listening:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listening.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def refusal(answer: httpx.Response) -> Any:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
    said = answer.json()
    assert said["request_id"] == answer.headers["x-request-id"]
    return said["message"]


def refused_call(server: Server) -> Any:
    wanted = ServingService.GetOnlineFeaturesRequest(features={"val": ASKED["features"]})
    wanted.entities["commodity"].val.add(string_val="gold")
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(f"/{SERVICE}/GetOnlineFeatures")
        with pytest.raises(grpc.RpcError) as failed:
            call(wanted.SerializeToString(), timeout=PATIENCE)
    return failed.value.code(), failed.value.details()


def test_while_it_is_away_clients_are_told_so_at_once(world: World) -> None:
    with served(world, free_port()) as (server, client):
        until(lambda: client.get("/ready").json()["problems"])
        assert refusal(client.post("/get-online-features", json=ASKED)) == KNOWN
        assert refusal(client.post("/push", json=PUSH)) == KNOWN
        assert refusal(client.post("/write-to-online-store", json={"feature_view_name": "commodity_prices"})) == KNOWN
        assert refused_call(server) == (grpc.StatusCode.UNAVAILABLE, KNOWN)
        # Not Feast's app, which was never started for all that; it is for what needs no row.
        assert client.get("/openapi.json").status_code == 200
        offline = client.post("/push", json={**PUSH, "to": "offline"})
        assert offline.status_code != 503, offline.text


def test_what_only_feasts_driver_finds_out_is_told_likewise(world: World) -> None:
    with hanging_up() as port, served(world, port) as (server, client):
        assert client.get("/ready").json()["problems"] == {}
        assert refusal(client.post("/get-online-features", json=ASKED)) == BY_FEAST
        assert refusal(client.post("/push", json=PUSH)) == f"{BY_FEAST}; some of the request's rows may be written"
        assert refused_call(server) == (grpc.StatusCode.UNAVAILABLE, BY_FEAST)
