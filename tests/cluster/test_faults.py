"""What an operator may meet: it is killed, frozen or doubled; PostgreSQL or the API server goes and comes back.

After each of them the registry is what the objects say, and nothing of anybody else's changed.
"""

import itertools
import signal
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

from cluster.api import Api, condition, message, until
from cluster.faults import Database, changes, is_writing, rows_of, run_until_killed, sql, staying_alive, writers
from cluster.operator_process import OperatorProcess
from cluster.place import Place, a_place
from factories import a_feature, a_feature_view, a_project, a_source, defined
from featureplane import names
from featureplane.model.feast_project import FeastProject
from featureplane.registry.database import database_exists
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.settings import Stores
from kube.control_plane import CONTEXT, ControlPlane
from kube.credentials import kubeconfig
from kube.guard import Cluster

CRDS = Path(__file__).resolve().parents[2] / "crds"
FOREIGN = "foreign"
LONG = 120
_numbers = itertools.count(1)


# --- what every test asks for in the end


def a_view(name: str, **options: Any) -> dict[str, Any]:
    return a_feature_view(name, **{"source": a_source(file={"path": f"{name}.parquet"}), **options})


def a_wrong_view(name: str) -> dict[str, Any]:
    """The API server lets it through; the model does not: text has no minimum."""
    return a_view(name, features=[a_feature(type="String", checks={"minimum": 0})])


def feast_name(name: str) -> str:
    return name.replace("-", "_")


def settled(place: Place, *views: str, beside: tuple[str, ...] = (), seconds: float = LONG) -> Registered:
    """Wait until these views, by their objects' names, are registered just so and say so, and no others are there.

    `beside` are views that are registered without an object.
    """
    expected = {feast_name(name) for name in (*views, *beside)}

    def is_so() -> Registered:
        found = place.registered()
        there = set(found.features)
        assert there == expected, f"too many: {sorted(there - expected)[:5]}, missing: {sorted(expected - there)[:5]}"
        assert not found.lost
        assert not found.drifted
        objects = {
            item["metadata"]["name"]: item
            for item in place.api.list(names.API_VERSION, names.FEATURE_VIEW, place.namespace)
        }
        for name in views:
            item, definition = objects[name], found.definitions["feature_view", feast_name(name)]
            status = item.get("status", {})
            assert definition.owner == f"{place.namespace}/{name}"
            assert status.get("digest") == definition.digest, f"{name} is registered as another"
            assert status["observedGeneration"] == item["metadata"]["generation"], f"{name} was not seen"
            assert condition(item, "Registered")[0] == "True", (name, status["conditions"])
        return found

    return until(is_so, seconds)


@contextmanager
def beside_others(place: Place) -> Iterator[Place]:
    """A registry in which somebody else has a project with views of the same names, which stays as it is."""
    address = place.stores.postgres
    template = address.with_database("foreign_only")
    if not database_exists(template):
        objects = [a_project(project=FOREIGN), a_feature_view(), a_view("first", description="theirs")]
        with Writer(FeastProject.model_validate(objects[0]), Stores(template, place.stores.redis)) as writer:
            writer.apply(compare(FOREIGN, defined(*objects), Registered()))
    with sql(address.with_database("postgres")) as connection:
        connection.execute(f'CREATE DATABASE "{address.dbname}" TEMPLATE "{template.dbname}"')
    before = rows_of(address, FOREIGN)
    assert before["public.feature_views"]
    yield place
    assert rows_of(address, FOREIGN) == before


@pytest.fixture
def place(place: Place) -> Iterator[Place]:
    with beside_others(place):
        yield place


def test_a_change_of_somebody_elses_row_is_seen(kube: Cluster, api: Api, stores: Stores, tmp_path: Path):
    """A test of the tests."""
    with a_place(kube, api, stores, tmp_path) as place, pytest.raises(AssertionError), beside_others(place):
        touch(place)


def touch(place: Place) -> None:
    before = rows_of(place.stores.postgres, FOREIGN)
    with sql(place.stores.postgres) as connection:
        connection.execute("UPDATE feature_views SET last_updated_timestamp = 0 WHERE project_id = %s", [FOREIGN])
    changed = rows_of(place.stores.postgres, FOREIGN)
    assert {name for name in before if before[name] != changed[name]} == {"public.feature_views"}


# --- the operator is killed


@pytest.fixture(scope="module")
def worn(kube: Cluster, api: Api, stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One namespace in which operators are killed one after the other."""
    with a_place(kube, api, stores, tmp_path_factory.mktemp("worn")) as made, beside_others(made):
        made.apply(a_project(), a_view("changes"))
        yield made


POINTS = {
    "before the finalizers": ("featureplane.controller.release:hold", "before", 1),
    "with one finalizer": ("featureplane.controller.cluster:Cluster.hold", "after", 1),
    "with all finalizers": ("featureplane.controller.release:hold", "after", 1),
    "before writing": ("featureplane.registry.writer:Writer.apply", "before", 1),
    "while writing": ("featureplane.registry.channel:Child._send", "after", 2),  # the first one opens
    "after writing": ("featureplane.registry.writer:Writer.apply", "after", 1),
    "after the registry": ("featureplane.controller.reconcile:bring", "after", 1),
    "with one child": ("featureplane.controller.cluster:Cluster.apply", "after", 1),
    "with all children": ("featureplane.controller.reconcile:apply_children", "after", 1),
    "with its Jobs": ("featureplane.controller.reconcile:start_jobs", "after", 1),
    "with one status": ("featureplane.controller.cluster:Cluster.apply_status", "after", 1),
    "with all statuses": ("featureplane.controller.tell:write", "after", 1),
    "in the end": ("featureplane.controller.release:let_go", "after", 1),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", POINTS.values(), ids=[name.replace(" ", "-") for name in POINTS])
def test_an_operator_that_is_killed_at_any_step_is_made_good(worn: Place, point: tuple[str, str, int]):
    number = next(_numbers)
    comes, goes = f"comes-{number}", f"goes-{number}"
    worn.apply(a_view(goes))
    if not worn.operators or not worn.operators[-1].is_running:
        worn.operator()
    settled(worn, "changes", goes)
    worn.operators[-1].kill()
    until(lambda: not writers(worn.stores.postgres), LONG)

    worn.api.delete(a_view(goes), worn.namespace)
    worn.apply(a_view(comes), a_view("changes", description=f"for the {number}. time"))
    log = worn.folder / f"killed-{number}.log"
    assert run_until_killed(worn.operators[-1].environment, log, point) == -signal.SIGKILL, log.read_text()[-3000:]
    until(lambda: not writers(worn.stores.postgres), LONG)

    worn.operator()
    settled(worn, "changes", comes)
    until(lambda: worn.get(a_view(goes)) is None, LONG)
    # No first run is forgotten, and none is made twice.
    assert first_runs(worn).count(feast_name(comes)) == 1
    worn.api.delete(a_view(comes), worn.namespace)
    settled(worn, "changes")


def first_runs(place: Place) -> list[str]:
    """The views of all Jobs for first runs."""
    jobs = place.api.list("batch/v1", "Job", place.namespace, f"{names.LABEL_JOB}=initial")
    return [view for job in jobs for view in job["metadata"]["annotations"][names.ANNOTATION_VIEWS].split(",")]


def test_a_view_that_is_deleted_while_no_operator_runs_goes(place: Place):
    place.apply(a_project(), a_view("first"), a_view("second"))
    first = place.operator()
    settled(place, "first", "second")
    first.kill()
    place.api.delete(a_view("first"), place.namespace)
    assert place.get(a_view("first")) is not None
    place.operator()
    until(lambda: place.get(a_view("first")) is None, LONG)
    settled(place, "second")


# --- PostgreSQL goes and comes back


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    made = Database()
    yield made
    made.close()


@pytest.fixture
def shaky(kube: Cluster, api: Api, database: Database, tmp_path: Path) -> Iterator[Place]:
    """A namespace whose PostgreSQL may be stopped; the test starts it again, and so does its end."""
    database.start()
    with a_place(kube, api, database.stores, tmp_path) as made, beside_others(made):
        try:
            yield made
        finally:
            database.start()


MANY = [f"view-{number}" for number in range(60)]


@pytest.mark.timeout(400)
def test_postgres_restarts_in_the_middle_of_a_big_apply(shaky: Place, database: Database):
    shaky.apply(a_project(), a_view("first"))
    operator = shaky.operator()
    settled(shaky, "first")
    with staying_alive(operator.url):
        shaky.apply(*map(a_view, MANY))
        until(lambda: is_writing(shaky.stores.postgres), LONG)
        database.stop()
        database.start()
        settled(shaky, "first", *MANY)


@pytest.mark.timeout(400)
def test_postgres_is_away_for_a_while(shaky: Place, database: Database):
    shaky.apply(a_project(), a_view("first"))
    operator = shaky.operator()
    settled(shaky, "first")
    with staying_alive(operator.url):
        database.stop()
        shaky.apply(a_view("second"), a_view("first", description="while it was away"))
        waiting = shaky.wait_for(a_view("second"), "Registered", "False", "RegistryUnavailable", LONG)
        assert "does not answer" in message(waiting, "Registered")
        shaky.wait_for(a_view("first"), "Registered", "False", "RegistryUnavailable", LONG)
        until(lambda: shaky.get(a_project())["status"]["registry"]["state"] != "Ready", LONG)
        database.start()
        settled(shaky, "first", "second")
        until(lambda: shaky.get(a_project())["status"]["registry"]["state"] == "Ready", LONG)


@pytest.mark.timeout(400)
def test_postgres_is_read_only_for_a_while(shaky: Place):
    shaky.apply(a_project(), a_view("first"))
    operator = shaky.operator()
    settled(shaky, "first")
    with staying_alive(operator.url):
        read_only(shaky, "on")
        with sql(shaky.stores.postgres.with_database("postgres")) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                [shaky.stores.postgres.dbname],
            )
        shaky.apply(a_view("second"))
        refused = shaky.wait_for(a_view("second"), "Registered", "False", seconds=LONG)
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


@pytest.mark.timeout(400)
def test_a_namespace_goes_while_postgres_is_away(shaky: Place, database: Database):
    shaky.apply(a_project(), a_view("first"), a_view("second"))
    operator = shaky.operator()
    settled(shaky, "first", "second")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shaky.namespace}}
    with staying_alive(operator.url):
        database.stop()
        shaky.api.delete(namespace)
        until(lambda: shaky.api.get(namespace) is None, LONG)
        database.start()
    assert shaky.views() == {"first", "second"}


@pytest.mark.timeout(400)
def test_a_deleted_view_does_not_wait_for_postgres_for_ever(shaky: Place, database: Database):
    shaky.apply(a_project(), a_view("first"), a_view("second"))
    shaky.operator({"FEATUREPLANE_ORPHAN_AFTER_SECONDS": "5"})
    settled(shaky, "first", "second")
    database.stop()
    shaky.api.delete(a_view("first"), shaky.namespace)
    until(lambda: shaky.get(a_view("first")) is None, LONG)
    until(lambda: ("Warning", "Orphaned") in shaky.events("first"), LONG)
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
            LONG,
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


@pytest.mark.timeout(400)
def test_the_api_server_is_killed_in_the_middle_of_a_look(own: Cluster, elsewhere: Place):
    elsewhere.apply(a_project(), a_view("first"))
    operator = elsewhere.operator()
    settled(elsewhere, "first")
    with staying_alive(operator.url):
        elsewhere.apply(*map(a_view, MANY))
        until(lambda: len(elsewhere.views()) > 1, LONG)
        own.control_plane.kill_api_server()
        failures = operator.metric("featureplane_reconciles_total", result="failed")
        until(lambda: operator.metric("featureplane_reconciles_total", result="failed") > failures, LONG)
        own.control_plane.start_api_server()
        elsewhere.apply(a_view("second"))
        elsewhere.api.delete(a_view(MANY[0]), elsewhere.namespace)
        settled(elsewhere, "first", "second", *MANY[1:])
    until(lambda: elsewhere.get(a_view(MANY[0])) is None, LONG)


@pytest.mark.timeout(400)
def test_what_changed_before_the_watches_are_back_is_noticed(own: Cluster, elsewhere: Place):
    elsewhere.apply(a_project(), a_view("changes"), a_view("goes"), a_wrong_view("wrong"), a_wrong_view("mended"))
    operator = elsewhere.operator()
    settled(elsewhere, "changes", "goes")
    elsewhere.wait_for(a_wrong_view("wrong"), "Valid", "False", seconds=LONG)
    until(lambda: views_counted(elsewhere) == 4, LONG)
    version = elsewhere.get(a_view("changes"))["metadata"]["resourceVersion"]
    mended = a_view("mended", features=[a_feature(type="String")])

    operator.freeze()
    own.control_plane.kill_api_server()
    own.control_plane.start_api_server()
    elsewhere.apply(a_view("changes", description="while nobody looked"), a_view("comes"), mended)
    elsewhere.api.delete(a_view("goes"), elsewhere.namespace)
    elsewhere.api.delete(a_wrong_view("wrong"), elsewhere.namespace)
    assert elsewhere.get(a_wrong_view("wrong")) is None  # nobody held it
    until(lambda: is_gone(elsewhere, version), LONG)
    operator.thaw()

    serves_again(elsewhere, operator)
    settled(elsewhere, "changes", "comes", "mended")
    until(lambda: elsewhere.get(a_view("goes")) is None, LONG)
    until(lambda: views_counted(elsewhere) == 3, LONG)
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


@pytest.mark.timeout(400)
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
                settled(place, *MANY, seconds=240)
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


# --- more than one operator


@pytest.mark.timeout(500)
def test_two_operators_at_once_write_one_after_the_other(place: Place):
    place.apply(a_project())
    for operator in [place.operator(wait=False), place.operator(wait=False)]:
        until(operator.is_ready, LONG)
    rounds = [[f"view-{number}-{each}" for each in range(8)] for number in range(4)]
    for views in rounds:
        place.apply(*map(a_view, views))
        until(lambda views=views: {feast_name(name) for name in views} <= place.views(), LONG)
    everything = [name for views in rounds for name in views]
    settled(place, *everything, seconds=240)
    epochs = [epoch for _, epoch in changes(place.stores.postgres)]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) <= 8
    # Neither takes over from the other without something to write.
    taken = epoch_of(place)
    looks = [operator.metric("featureplane_reconciles_total") for operator in place.operators]
    for operator, before in zip(place.operators, looks, strict=True):
        until(lambda operator=operator, before=before: look_count(operator) >= before + 2, LONG)
    assert epoch_of(place) == taken
    settled(place, *everything)


def look_count(operator: OperatorProcess) -> float:
    return operator.metric("featureplane_reconciles_total")


def epoch_of(place: Place) -> int:
    with sql(place.stores.postgres) as connection:
        ((epoch,),) = connection.execute("SELECT epoch FROM featureplane.writers WHERE project = 'feast'")
    return int(epoch)


@pytest.mark.timeout(500)
def test_an_operator_that_was_frozen_in_the_middle_of_an_apply_writes_nothing_more(place: Place):
    many = [f"view-{number}" for number in range(150)]
    place.apply(a_project(), a_view("first"))
    frozen = place.operator()
    settled(place, "first")
    before = len(changes(place.stores.postgres))
    place.apply(*map(a_view, many))
    until(lambda: len(changes(place.stores.postgres)) > before and is_writing(place.stores.postgres), LONG)
    frozen.freeze()
    old = epoch_of(place)
    assert len(place.views()) < 151, "it was done before it was frozen"

    place.operator(wait=False)
    settled(place, "first", *many)
    new = epoch_of(place)
    assert new > old
    frozen.thaw()
    looks = look_count(frozen)
    until(lambda: look_count(frozen) >= looks + 2, LONG)
    place.apply(a_view("last"))
    settled(place, "first", *many, "last", seconds=240)
    epochs = [epoch for _, epoch in changes(place.stores.postgres)]
    assert epochs == sorted(epochs)


# --- too much, too little, and back again


@pytest.mark.timeout(500)
def test_objects_that_are_wrong_cost_nothing(place: Place):
    right = [f"right-{number}" for number in range(500)]
    wrong = [f"wrong-{number}" for number in range(500)]
    quiet = {"FEATUREPLANE_RESYNC_SECONDS": "3600", "FEATUREPLANE_SECRETS_POLL_SECONDS": "3600"}
    place.apply(a_project(), *(item for pair in zip(right, wrong, strict=True) for item in a_pair(*pair)))
    operator = place.operator(quiet, wait=False)
    settled(place, *right, seconds=240)
    until(lambda: all(item == ("False", "Invalid") for item in validity(place, wrong)), LONG)
    until(lambda: asks_nobody(operator), LONG)


def a_pair(right: str, wrong: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return a_view(right), a_wrong_view(wrong)


def validity(place: Place, views: list[str]) -> list[tuple[str, str]]:
    found = place.api.list(names.API_VERSION, names.FEATURE_VIEW, place.namespace)
    return [condition(item, "Valid") for item in found if item["metadata"]["name"] in views]


def asks_nobody(operator: OperatorProcess) -> bool:
    """Whether the operator neither looks nor asks for ten seconds."""
    before = counts(operator)
    return not threading.Event().wait(10) and counts(operator) == before


def counts(operator: OperatorProcess) -> tuple[float, float]:
    return look_count(operator), operator.metric("featureplane_api_requests_total")


@pytest.mark.timeout(300)
def test_what_is_registered_without_an_object_stays(place: Place):
    there = [a_view("first"), a_view("second"), a_view("third")]
    mine = [{**item, "metadata": {**item["metadata"], "namespace": place.namespace}} for item in (a_project(), *there)]
    with Writer(FeastProject.model_validate(mine[0]), place.stores) as writer:
        writer.apply(compare("feast", defined(*mine), place.registered()))
    registered, before = place.registered().definitions, rows_of(place.stores.postgres, "feast")
    assert len(before["featureplane.definitions"]) == 8  # the project, an entity, three sources and their views

    empty = place.operator({"FEATUREPLANE_RESYNC_SECONDS": "2"})
    until(lambda: look_count(empty) == 0 and empty.probe("/readyz") == 200, LONG)
    assert rows_of(place.stores.postgres, "feast") == before
    place.apply(a_project())
    place.wait_for(a_project(), "Ready", "False", seconds=LONG)
    until(lambda: look_count(empty) >= 3, LONG)
    assert place.views() == {"first", "second", "third"}
    place.apply(a_view("second"))
    settled(place, "second", beside=("first", "third"))
    looks = look_count(empty)
    until(lambda: look_count(empty) >= looks + 2, LONG)
    settled(place, "second", beside=("first", "third"))
    assert place.registered().definitions == registered


@pytest.mark.timeout(300)
def test_rows_of_a_view_that_comes_back_are_kept(place: Place):
    place.apply(a_project(), a_view("first"), a_view("second"))
    place.operator()
    settled(place, "first", "second")
    place.api.delete(a_view("first"), place.namespace)
    until(lambda: place.get(a_view("first")) is None, LONG)
    settled(place, "second")
    assert [cancelled for _, cancelled in purges(place)] == [None, None]  # the feature, and the view
    place.apply(a_view("first"))
    settled(place, "first", "second")
    assert all(cancelled for _, cancelled in purges(place))
    assert not purge_jobs(place)

    place.apply(a_project(purgeAfter="1s"))
    place.api.delete(a_view("second"), place.namespace)
    until(lambda: purge_jobs(place), LONG)
    settled(place, "first")
    assert {view for view, cancelled in purges(place) if not cancelled} == {"second"}


def purges(place: Place) -> list[tuple[str, Any]]:
    with sql(place.stores.postgres) as connection:
        return connection.execute(
            "SELECT view, cancelled_at FROM featureplane.purges WHERE project = 'feast' ORDER BY id"
        ).fetchall()


def purge_jobs(place: Place) -> list[Any]:
    return place.api.list("batch/v1", "Job", place.namespace, f"{names.LABEL_JOB}=purge")
