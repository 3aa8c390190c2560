"""What may happen to the operator's process: it is killed at any step, frozen, or there are two at once."""

import itertools
import signal
from collections.abc import Iterator

import pytest

from cluster.api import Api
from cluster.faults import changes, is_waiting, run_until_killed, sql, writers, writers_wait
from cluster.place import Place, a_place
from cluster.recovery import a_view, beside_others, feast_name, look_count, running, settled
from factories import a_project
from featureplane import names
from featureplane.settings import Stores
from kube.guard import Cluster
from patience import PATIENCE, until

_numbers = itertools.count(1)


@pytest.fixture
def place(place: Place) -> Iterator[Place]:
    with beside_others(place):
        yield place


# --- it is killed


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


@pytest.mark.parametrize("point", POINTS.values(), ids=[name.replace(" ", "-") for name in POINTS])
def test_an_operator_that_is_killed_at_any_step_is_made_good(worn: Place, point: tuple[str, str, int]):
    number = next(_numbers)
    comes, goes = f"comes-{number}", f"goes-{number}"
    worn.apply(a_view(goes))
    if not worn.operators or not worn.operators[-1].is_running:
        worn.operator()
    settled(worn, "changes", goes)
    worn.operators[-1].kill()
    until(lambda: not writers(worn.stores.postgres))

    worn.api.delete(a_view(goes), worn.namespace)
    worn.apply(a_view(comes), a_view("changes", description=f"for the {number}. time"))
    log = worn.folder / f"killed-{number}.log"
    assert run_until_killed(worn.operators[-1].environment, log, point) == -signal.SIGKILL, log.read_text()[-3000:]
    until(lambda: not writers(worn.stores.postgres))

    worn.operator()
    settled(worn, "changes", comes)
    until(lambda: worn.get(a_view(goes)) is None)
    # No first run is forgotten, and none is made twice.
    assert first_runs(worn).count(feast_name(comes)) == 1
    worn.api.delete(a_view(comes), worn.namespace)
    settled(worn, "changes")


def first_runs(place: Place) -> list[str]:
    """The views of all Jobs for first runs."""
    jobs = place.api.list("batch/v1", "Job", place.namespace, f"{names.LABEL_JOB}=initial")
    return [view for job in jobs for view in job["metadata"]["annotations"][names.ANNOTATION_VIEWS].split(",")]


# --- there is more than one


def test_two_operators_at_once_write_one_after_the_other(place: Place):
    place.apply(a_project())
    for operator in [place.operator(wait=False), place.operator(wait=False)]:
        until(operator.is_ready)
    rounds = [[f"view-{number}-{each}" for each in range(8)] for number in range(4)]
    for views in rounds:
        place.apply(*map(a_view, views))
        until(lambda views=views: {feast_name(name) for name in views} <= place.views())
    everything = [name for views in rounds for name in views]
    settled(place, *everything, seconds=2 * PATIENCE)
    epochs = [epoch for _, epoch in changes(place.stores.postgres)]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) <= 16
    # Neither takes over from the other without something to write.
    taken = epoch_of(place)
    looks = [operator.metric("featureplane_reconciles_total") for operator in place.operators]
    for operator, before in zip(place.operators, looks, strict=True):
        until(lambda operator=operator, before=before: look_count(operator) >= before + 2)
    assert epoch_of(place) == taken
    settled(place, *everything)


def epoch_of(place: Place) -> int:
    with sql(place.stores.postgres) as connection:
        ((epoch,),) = connection.execute("SELECT epoch FROM featureplane.writers WHERE project = 'feast'")
    return int(epoch)


def test_an_operator_that_was_frozen_in_the_middle_of_an_apply_writes_nothing_more(place: Place):
    many = [f"view-{number}" for number in range(150)]
    frozen = running(place, "first")
    with writers_wait(place.stores.postgres):
        place.apply(*map(a_view, many))
        until(lambda: is_waiting(place.stores.postgres))
        frozen.freeze()
    old = epoch_of(place)
    assert place.views() == {"first"}

    place.operator(wait=False)
    settled(place, "first", *many)
    new = epoch_of(place)
    assert new > old
    frozen.thaw()
    looks = look_count(frozen)
    until(lambda: look_count(frozen) >= looks + 2)
    place.apply(a_view("last"))
    settled(place, "first", *many, "last", seconds=2 * PATIENCE)
    epochs = [epoch for _, epoch in changes(place.stores.postgres)]
    assert epochs == sorted(epochs)
