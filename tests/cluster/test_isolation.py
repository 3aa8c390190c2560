"""Two projects in one namespace, in one database or two: what happens to one of them never touches the other."""

import socket
from typing import Any

import pytest

from cluster.api import condition, message
from cluster.faults import rows_of, sql
from cluster.place import Place, postgres_secret, secret
from cluster.recovery import a_view, a_wrong_view
from factories import a_project, a_service
from featureplane import names
from featureplane.materialization import history
from featureplane.registry import catalogue
from featureplane.registry.database import begin_once
from featureplane.settings import PostgresAddress
from patience import until

ALPHA, BETA = "model_a_features", "model_b_features"
BETA_SECRET = "beta-registry"
SERVICE = a_service("rank", views=[{"name": "shared"}])


def alpha() -> dict[str, Any]:
    return a_project("alpha", project=ALPHA)


def beta(*, own: bool = False, **changes: Any) -> dict[str, Any]:
    registry = {"registry": {"postgresql": {"secretRef": {"name": BETA_SECRET}}}} if own else {}
    return a_project("beta", project=BETA, **registry, **changes)


def of(project: str, item: dict[str, Any]) -> dict[str, Any]:
    """The object in a project, under one name in Feast and another one in the cluster."""
    spec = {**item["spec"], "projectRef": {"name": project}, "name": item["metadata"]["name"]}
    return {**item, "metadata": {"name": f"{project}-{item['metadata']['name']}"}, "spec": spec}


def features(address: PostgresAddress, project: str) -> set[str]:
    with begin_once(address) as connection:
        return set(catalogue.read(connection, project).features)


def states(place: Place, project: str) -> dict[str, Any]:
    """What the project's views, services and the project say of themselves, but for when the next run is due."""
    kinds = (names.FEATURE_VIEW, names.FEATURE_SERVICE, names.FEAST_PROJECT)
    items = [item for kind in kinds for item in place.api.list(names.API_VERSION, kind, place.namespace)]
    return {
        f"{item['kind']} {item['metadata']['name']}": {**item.get("status", {}), "nextScheduleTime": ""}
        for item in items
        if item["metadata"]["name"].startswith(project)
    }


def goes_on(place: Place, name: str) -> None:
    """A new view of alpha is registered, and a change of its first."""
    place.apply(of("alpha", a_view(name)), of("alpha", a_view("shared", description=name)))
    place.wait_for(of("alpha", a_view(name)), "Registered")
    place.wait_for(of("alpha", a_view("shared")), "Registered")
    assert name in features(place.stores.postgres, ALPHA)


@pytest.fixture(params=[False, True], ids=["one database", "two databases"])
def both(place: Place, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Two projects with a view and a service of the same names, registered; what beta looks like, and where it is."""
    own = request.param
    address = place.stores.postgres.with_database(f"{place.stores.postgres.dbname}_beta") if own else None
    if address:
        place.api.create(secret(BETA_SECRET, postgres_secret(address)), place.namespace)
    view = a_view("shared")
    place.apply(alpha(), beta(own=own), of("alpha", view), of("beta", view), of("alpha", SERVICE), of("beta", SERVICE))
    # Two registries are made at once: that takes long, and each view says when it is there.
    place.operator(wait=False)
    for project in ("alpha", "beta"):
        place.wait_for(of(project, view), "Registered")
        place.wait_for(of(project, SERVICE), "Ready")
    return {"own": own, "address": address or place.stores.postgres}


@pytest.mark.timeout(600)
def test_changes_deletions_and_purges_of_one_leave_the_other_as_it_was(place: Place, both: dict[str, Any]):
    until(lambda: "endpoint" in states(place, "alpha")["FeastProject alpha"])
    rows, said = rows_of(place.stores.postgres, ALPHA), states(place, "alpha")
    assert rows["public.feature_views"]
    place.apply(beta(own=both["own"], purgeAfter="1s"))
    place.apply(of("beta", a_view("shared", description="changed")), of("beta", a_view("more")))
    place.apply(of("beta", a_wrong_view("wrong")))
    place.wait_for(of("beta", a_view("more")), "Registered")
    place.wait_for(of("beta", a_wrong_view("wrong")), "Valid", "False")
    for item in (of("beta", SERVICE), of("beta", a_view("shared"))):
        place.api.delete(item, place.namespace)
    until(lambda: place.get(of("beta", a_view("shared"))) is None)
    assert features(both["address"], BETA) == {"more"}
    purge = f"{names.LABEL_JOB}=purge"
    jobs = until(lambda: place.api.list("batch/v1", "Job", place.namespace, purge))
    assert {job["metadata"]["labels"][names.LABEL_PROJECT] for job in jobs} == {"beta"}
    assert rows_of(place.stores.postgres, ALPHA) == rows
    assert states(place, "alpha") == said
    goes_on(place, "later")


@pytest.mark.timeout(600)
def test_a_row_of_one_that_cannot_be_read_is_only_its_own_trouble(place: Place, both: dict[str, Any]):
    with sql(both["address"]) as connection:
        connection.execute("UPDATE feature_views SET feature_view_proto = %s WHERE project_id = %s", [b"\xff", BETA])
    place.apply(of("beta", a_view("shared", description="changed")))
    found = place.wait_for(of("beta", a_view("shared")), "Registered", "False", "UnreadableRow")
    assert "'shared' of project 'model_b_features' cannot be read" in message(found, "Registered")
    goes_on(place, "later")
    with sql(both["address"]) as connection:
        connection.execute("DELETE FROM feature_views WHERE project_id = %s", [BETA])
    place.wait_for(of("beta", a_view("shared")), "Registered")


@pytest.fixture
def silent():
    """A port that takes connections and never says a word, as a PostgreSQL that hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        yield listening.getsockname()[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("trouble", ["hangs", "refuses"])
def test_a_registry_that_hangs_or_refuses_keeps_nobody_else_waiting(place: Place, silent: int, trouble: str):
    address = postgres_secret(place.stores.postgres.with_database("beta"))
    wrong = {"hangs": {"host": "127.0.0.1", "port": str(silent)}, "refuses": {"user": "nobody_there"}}[trouble]
    place.api.create(secret(BETA_SECRET, {**address, **wrong, "password": "hunter2"}), place.namespace)
    place.apply(beta(own=True), *(of("beta", a_view(f"v{number}")) for number in range(50)))
    operator = place.operator()
    place.apply(alpha(), of("alpha", a_view("shared")))
    place.wait_for(of("alpha", a_view("shared")), "Registered")
    goes_on(place, "later")
    found = place.wait_for(of("beta", a_view("v0")), "Registered", "False", "RegistryUnavailable")
    assert "does not answer" in message(found, "Registered")
    assert condition(place.get(alpha()), "Valid") == ("True", "Valid")
    assert "hunter2" not in operator.words + str(found)
    assert history.FAILED not in str(states(place, "alpha"))
