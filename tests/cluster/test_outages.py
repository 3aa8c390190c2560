"""What may happen around the operator: PostgreSQL or the API server goes and comes back, or has no time for it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from psycopg import sql as compose

from cluster.api import Api, condition, message
from cluster.faults import Database, is_waiting, sql, staying_alive, writers_wait
from cluster.operator_process import OperatorProcess
from cluster.place import Place, a_place
from cluster.recovery import a_view, a_wrong_view, beside_others, running, settled
from factories import a_feature, a_project
from featureplane import names
from featureplane.settings import Stores
from kube.control_plane import CONTEXT, ControlPlane
from kube.credentials import kubeconfig
from kube.guard import Cluster
from patience import PATIENCE, until

CRDS = Path(__file__).resolve().parents[2] / "crds"
MANY = [f"view-{number}" for number in range(60)]


# --- PostgreSQL goes and comes back


@pytest.fixture
def shaky(kube: Cluster, api: Api, database: Database, tmp_path: Path) -> Iterator[Place]:
    """A namespace whose PostgreSQL may be stopped; the test starts it again, and so does its end."""
    database.start()
    with a_place(kube, api, database.stores, tmp_path) as made, beside_others(made):
        try:
            yield made
        finally:
            database.start()


def test_postgres_restarts_in_the_middle_of_a_big_apply(shaky: Place, database: Database):
    operator = running(shaky, "first")
    with staying_alive(operator.url):
        with writers_wait(shaky.stores.postgres):
            shaky.apply(*map(a_view, MANY))
            until(lambda: is_waiting(shaky.stores.postgres))
            database.stop()
        database.start()
        settled(shaky, "first", *MANY)


def test_postgres_is_away_for_a_while(shaky: Place, database: Database):
    operator = running(shaky, "first")
    with staying_alive(operator.url):
        database.stop()
        shaky.apply(a_view("second"), a_view("first", description="while it was away"))
        waiting = shaky.wait_for(a_view("second"), "Registered", "False", "RegistryUnavailable")
        assert "does not answer" in message(waiting, "Registered")
        shaky.wait_for(a_view("first"), "Registered", "False", "RegistryUnavailable")
        until(lambda: shaky.get(a_project())["status"]["registry"]["state"] != "Ready")
        database.start()
        settled(shaky, "first", "second")
        until(lambda: shaky.get(a_project())["status"]["registry"]["state"] == "Ready")


def test_postgres_is_read_only_for_a_while(shaky: Place):
    operator = running(shaky, "first")
    with staying_alive(operator.url):
        read_only(shaky, "on")
        with sql(shaky.stores.postgres.with_database("postgres")) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                [shaky.stores.postgres.dbname],
            )
        shaky.apply(a_view("second"))
        refused = shaky.wait_for(a_view("second"), "Registered", "False")
        assert "read-only transaction" in message(refused, "Registered")
        assert shaky.views() == {"first"}
        # Connections made meanwhile are read-only for as long as they live: nobody cuts them here.
        read_only(shaky, "off")
        settled(shaky, "first", "second")


def read_only(place: Place, state: str) -> None:
    address = place.stores.postgres
    with sql(address.with_database("postgres")) as connection:
        statement = f"ALTER DATABASE {{}} SET default_transaction_read_only = {state}"
        connection.execute(compose.SQL(statement).format(compose.Identifier(address.dbname)))


def test_a_namespace_goes_while_postgres_is_away(shaky: Place, database: Database):
    operator = running(shaky, "first", "second")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shaky.namespace}}
    with staying_alive(operator.url):
        database.stop()
        shaky.api.delete(namespace)
        until(lambda: shaky.api.get(namespace) is None)
        database.start()
    assert shaky.views() == {"first", "second"}


def test_a_deleted_view_does_not_wait_for_postgres_for_ever(shaky: Place, database: Database):
    running(shaky, "first", "second", settings={"FEATUREPLANE_ORPHAN_AFTER_SECONDS": "5"})
    database.stop()
    shaky.api.delete(a_view("first"), shaky.namespace)
    until(lambda: shaky.get(a_view("first")) is None)
    until(lambda: ("Warning", "Orphaned") in shaky.events("first"))
    database.start()
    settled(shaky, "second", beside=("first",))


# --- the API server goes and comes back


@contextmanager
def own_cluster(*flags: str) -> Iterator[Cluster]:
    with ControlPlane(api_server_flags=flags) as control_plane:
        api = Api(control_plane.kubeconfig)
        for path in sorted(CRDS.glob("*.yaml")):
            api.apply(yaml.safe_load(path.read_text()))
        until(
            lambda: all(
                condition(crd, "Established")[0] == "True"
                for crd in api.list("apiextensions.k8s.io/v1", "CustomResourceDefinition", None)
            ),
        )
        yield Cluster(control_plane.kubeconfig, CONTEXT, control_plane)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with own_cluster() as made:
        yield made


@pytest.fixture
def elsewhere(own: Cluster, stores: Stores, tmp_path: Path) -> Iterator[Place]:
    """A namespace on a control plane that may be stopped."""
    with a_place(own, Api(own.kubeconfig), stores, tmp_path) as made, beside_others(made):
        yield made


def serves_again(place: Place, operator: OperatorProcess) -> None:
    """As a kubelet does: an operator that ended is started again."""
    if not operator.is_running:
        operator.start()


def test_the_api_server_is_killed_in_the_middle_of_a_look(own: Cluster, elsewhere: Place):
    operator = running(elsewhere, "first")
    with staying_alive(operator.url):
        elsewhere.apply(*map(a_view, MANY))
        until(lambda: len(elsewhere.views()) > 1)
        own.control_plane.kill_api_server()
        failures = operator.metric("featureplane_reconciles_total", result="failed")
        until(lambda: operator.metric("featureplane_reconciles_total", result="failed") > failures)
        own.control_plane.start_api_server()
        elsewhere.apply(a_view("second"))
        elsewhere.api.delete(a_view(MANY[0]), elsewhere.namespace)
        settled(elsewhere, "first", "second", *MANY[1:])
    until(lambda: elsewhere.get(a_view(MANY[0])) is None)


def test_what_changed_before_the_watches_are_back_is_noticed(own: Cluster, elsewhere: Place):
    elsewhere.apply(a_project(), a_view("changes"), a_view("goes"), a_wrong_view("wrong"), a_wrong_view("mended"))
    operator = elsewhere.operator()
    settled(elsewhere, "changes", "goes")
    elsewhere.wait_for(a_wrong_view("wrong"), "Valid", "False")
    until(lambda: views_counted(elsewhere) == 4)
    version = elsewhere.get(a_view("changes"))["metadata"]["resourceVersion"]
    mended = a_view("mended", features=[a_feature(type="String")])

    operator.freeze()
    own.control_plane.kill_api_server()
    own.control_plane.start_api_server()
    elsewhere.apply(a_view("changes", description="while nobody looked"), a_view("comes"), mended)
    elsewhere.api.delete(a_view("goes"), elsewhere.namespace)
    elsewhere.api.delete(a_wrong_view("wrong"), elsewhere.namespace)
    assert elsewhere.get(a_wrong_view("wrong")) is None  # nobody held it
    until(lambda: is_gone(elsewhere, version))
    operator.thaw()

    serves_again(elsewhere, operator)
    settled(elsewhere, "changes", "comes", "mended")
    until(lambda: elsewhere.get(a_view("goes")) is None)
    until(lambda: views_counted(elsewhere) == 3)
    assert operator.probe("/healthz") == 200


def views_counted(place: Place) -> int:
    return int(place.get(a_project()).get("status", {}).get("views", {}).get("total", 0))


def is_gone(place: Place, version: str) -> bool:
    """Whether the API server answers 410 to a watch that goes on from this resource version."""
    answer = place.api.http.get(
        f"/apis/{names.API_VERSION}/namespaces/{place.namespace}/featureviews",
        params={"watch": "1", "resourceVersion": version, "timeoutSeconds": "1"},
    )
    return answer.status_code == 410 or '"code":410' in answer.text.replace(" ", "")


def test_an_api_server_that_is_too_busy_is_asked_again(stores: Stores, tmp_path: Path):
    # Without priority and fairness, which would let requests wait, it refuses whatever is too much.
    flags = (
        "--enable-priority-and-fairness=false", "--max-requests-inflight=4", "--max-mutating-requests-inflight=2",
    )  # fmt: skip
    with own_cluster(*flags) as cluster:
        api = Api(cluster.kubeconfig)
        with a_place(cluster, api, stores, tmp_path) as place, beside_others(place):
            place.kubeconfig = limited(place, tmp_path / "limited")
            place.apply(a_project(), *map(a_view, MANY))
            with load(place):
                operator = place.operator(wait=False)
                settled(place, *MANY, seconds=2 * PATIENCE)
            assert operator.is_running
            place.apply(a_view("last"))
            settled(place, *MANY, "last")
            assert operator.metric("featureplane_api_requests_total", code="429") > 0


def limited(place: Place, path: Path) -> Path:
    """A kubeconfig of a user who may do everything and is refused like anybody else; administrators are not."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "limited"}}
    place.api.create(account, place.namespace)
    place.api.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "limited"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "limited", "namespace": place.namespace}],
        }
    )
    answer = place.api.http.post(
        f"/api/v1/namespaces/{place.namespace}/serviceaccounts/limited/token",
        json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
    )
    content = yaml.safe_load(place.kubeconfig.read_text())
    url = content["clusters"][0]["cluster"]["server"]
    folder = place.kubeconfig.parent / "credentials"
    (certificate,) = folder.glob("*.crt")
    path.write_text(kubeconfig(url, certificate.read_bytes(), "limited", answer.json()["status"]["token"]))
    return path


@contextmanager
def load(place: Place) -> Iterator[None]:
    """Others who ask without a pause: they leave room for one request to read and one to write."""
    done = threading.Event()
    other = Api(place.kubeconfig)
    big = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load"}, "data": {"big": "x" * 200_000}}

    def keep(work: Callable[[], Any]) -> None:
        while not done.is_set():
            with suppress(httpx.HTTPError, AssertionError):  # they are refused, too
                work()

    reads = [lambda: other.http.get("/openapi/v2")] * 3
    with ThreadPoolExecutor(4) as threads:
        for work in [*reads, lambda: other.apply(big, place.namespace)]:
            threads.submit(keep, work)
        try:
            yield
        finally:
            done.set()
