"""The server of a project on Cassandra says which store that is, and whether one of its servers takes connections."""

import socket
from typing import Any

import httpx
import pytest
from world import World

from factories import a_feature_view, a_project
from featureplane.local.redis_server import HOST
from featureplane.serving.app import serving
from patience import PATIENCE, until
from ports import free_port

# Its state is looked at every ten seconds.
pytestmark = pytest.mark.timeout(600)


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
