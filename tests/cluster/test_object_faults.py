"""What may happen to objects: deleted while nobody looks, wrong by the hundred, never there, gone and back again.

The first test is one of the tests: that nothing of anybody else's changes is asked after every fault.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.api import Api, condition
from cluster.faults import rows_of, sql
from cluster.operator_process import OperatorProcess
from cluster.place import Place, a_place
from cluster.recovery import FOREIGN, a_view, a_wrong_view, beside_others, look_count, running, settled
from factories import a_project, defined
from featureplane import names
from featureplane.model.feast_project import FeastProject
from featureplane.registry.plan import compare
from featureplane.registry.writer import Writer
from featureplane.settings import Stores
from kube.guard import Cluster
from patience import PATIENCE, until


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


def test_a_view_that_is_deleted_while_no_operator_runs_goes(place: Place):
    first = running(place, "first", "second")
    first.kill()
    place.api.delete(a_view("first"), place.namespace)
    assert place.get(a_view("first")) is not None
    place.operator()
    until(lambda: place.get(a_view("first")) is None)
    settled(place, "second")


def test_objects_that_are_wrong_cost_nothing(place: Place):
    right = [f"right-{number}" for number in range(500)]
    wrong = [f"wrong-{number}" for number in range(500)]
    quiet = {"FEATUREPLANE_RESYNC_SECONDS": "3600", "FEATUREPLANE_SECRETS_POLL_SECONDS": "3600"}
    place.apply(a_project(), *(item for pair in zip(right, wrong, strict=True) for item in a_pair(*pair)))
    operator = place.operator(quiet, wait=False)
    settled(place, *right, seconds=2 * PATIENCE)
    until(lambda: all(item == ("False", "Invalid") for item in validity(place, wrong)))
    until(lambda: asks_nobody(operator))


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


def test_what_is_registered_without_an_object_stays(place: Place):
    there = [a_view("first"), a_view("second"), a_view("third")]
    mine = [{**item, "metadata": {**item["metadata"], "namespace": place.namespace}} for item in (a_project(), *there)]
    with Writer(FeastProject.model_validate(mine[0]), place.stores) as writer:
        writer.apply(compare("feast", defined(*mine), place.registered()))
    registered, before = place.registered().definitions, rows_of(place.stores.postgres, "feast")
    assert len(before["featureplane.definitions"]) == 8  # the project, an entity, three sources and their views

    empty = place.operator({"FEATUREPLANE_RESYNC_SECONDS": "2"})
    until(lambda: look_count(empty) == 0 and empty.probe("/readyz") == 200)
    assert rows_of(place.stores.postgres, "feast") == before
    place.apply(a_project())
    place.wait_for(a_project(), "Ready", "False")
    until(lambda: look_count(empty) >= 3)
    assert place.views() == {"first", "second", "third"}
    place.apply(a_view("second"))
    settled(place, "second", beside=("first", "third"))
    looks = look_count(empty)
    until(lambda: look_count(empty) >= looks + 2)
    settled(place, "second", beside=("first", "third"))
    assert place.registered().definitions == registered


def test_rows_of_a_view_that_comes_back_are_kept(place: Place):
    running(place, "first", "second")
    place.api.delete(a_view("first"), place.namespace)
    until(lambda: place.get(a_view("first")) is None)
    settled(place, "second")
    assert [cancelled for _, cancelled in purges(place)] == [None, None]  # the feature, and the view
    place.apply(a_view("first"))
    settled(place, "first", "second")
    assert all(cancelled for _, cancelled in purges(place))
    assert not purge_jobs(place)

    place.apply(a_project(purgeAfter="1s"))
    place.api.delete(a_view("second"), place.namespace)
    until(lambda: purge_jobs(place))
    settled(place, "first")
    assert {view for view, cancelled in purges(place) if not cancelled} == {"second"}


def purges(place: Place) -> list[tuple[str, Any]]:
    with sql(place.stores.postgres) as connection:
        return connection.execute(
            "SELECT view, cancelled_at FROM featureplane.purges WHERE project = 'feast' ORDER BY id"
        ).fetchall()


def purge_jobs(place: Place) -> list[Any]:
    return place.api.list("batch/v1", "Job", place.namespace, f"{names.LABEL_JOB}=purge")
