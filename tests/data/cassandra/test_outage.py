"""Cassandra goes away and comes back under a server: clients are asked to come again, and are answered then."""

import httpx

from data.cassandra.project import AMOUNTS, VIEW, Fraud, cassandra, objects
from featureplane.materialization.history import SUCCEEDED
from featureplane.serving.app import serving
from patience import PATIENCE, until
from tcp_proxy import TcpProxy

ASKED = {"features": [f"{VIEW}:amount"], "entities": {"transaction": list(AMOUNTS)}}


def test_clients_hear_503_until_it_is_back_and_never_500(fraud: Fraud) -> None:
    assert fraud.copy(fraud.online).result == SUCCEEDED
    with TcpProxy(fraud.server.port) as proxy:
        project = fraud.project(*objects(cassandra(proxy.port)))
        with (
            serving(project, fraud.stores, fraud.root) as server,
            httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client,
        ):
            server.wait_until_ready()
            heard: list[httpx.Response] = []

            def hears(status: int) -> bool:
                heard.append(client.post("/get-online-features", json=ASKED))
                return heard[-1].status_code == status

            def says(*, up: int) -> bool:
                return f"featureplane_server_online_store_up {up}" in client.get("/metrics").text

            until(lambda: hears(200))
            proxy.cut()
            until(lambda: hears(503) and says(up=0))
            proxy.mend()
            until(lambda: hears(200) and says(up=1))
            assert heard[-1].json()["results"][1]["values"] == list(AMOUNTS.values())
    refused = [answer for answer in heard if answer.status_code != 200]
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert not any(str(proxy.port) in answer.text for answer in refused)
