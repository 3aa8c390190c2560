"""What becomes of objects that are being deleted."""

from datetime import UTC, datetime, timedelta

import pytest

from factories import a_feature_view, a_project, a_service
from featureplane.controller import deletion
from featureplane.controller.deletion import Held, Release, Remove
from featureplane.controller.inventory import Inventory
from unit.controller.test_inventory import in_cluster

SINCE = "2026-01-01T00:00:00Z"
VIEW = ("feature_view", "commodity_prices")


def item(body, **metadata):
    inventory = Inventory()
    inventory.observe("ADDED", in_cluster(body, **metadata))
    return next(iter(inventory.items.values()))


def fate(view=None, services=(), owners=None, *, terminating=False):
    return deletion.fate_of_view(
        item(view or a_feature_view(), deletionTimestamp=SINCE),
        [item(each) for each in services],
        owners or {},
        terminating=terminating,
    )


def test_a_view_leaves_the_registry():
    assert fate() == Remove(VIEW)
    assert fate(owners={VIEW: "data/commodity-prices"}) == Remove(VIEW)


def test_a_view_that_never_had_its_name_takes_nothing():
    assert fate(owners={VIEW: "data/older"}) == Release()


@pytest.mark.parametrize(("view", "terminating"), [(a_feature_view(deletionPolicy="Retain"), False), (None, True)])
def test_what_is_retained_is_let_go_with_a_word(view, terminating):
    found = fate(view, terminating=terminating)
    assert isinstance(found, Release)
    assert found.reason == "Retained"


def test_a_view_in_use_is_held_and_names_its_users():
    found = fate(services=[a_service(), a_service("other", views=[{"name": "elsewhere"}])])
    assert isinstance(found, Held)
    assert "price-model" in found.message
    assert "other" not in found.message.split(";")[0]


def test_a_view_that_is_wrong_can_be_deleted():
    assert fate(a_feature_view(features=[])) == Remove(VIEW, is_certain=False)


def test_a_service_leaves_the_registry_unless_it_never_was_there():
    service = item(a_service(), deletionTimestamp=SINCE)
    key = ("feature_service", "price_model")
    assert deletion.fate_of_service(service, {}, terminating=False) == Remove(key)
    assert deletion.fate_of_service(service, {key: "data/older"}, terminating=False) == Release()


def test_a_project_is_held_while_anything_belongs_to_it():
    members = [item(a_feature_view(f"view-{number}")) for number in range(7)]
    found = deletion.fate_of_project(members, terminating=False)
    assert isinstance(found, Held)
    assert "and 2 more" in found.message
    assert deletion.fate_of_project([], terminating=False) == Release()
    assert deletion.fate_of_project(members, terminating=True) == Release()


def test_patience_ends():
    gone = item(a_project(), deletionTimestamp=SINCE)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    patience = timedelta(minutes=10)
    assert not deletion.is_overdue(gone, start + timedelta(minutes=9), patience, start)
    assert deletion.is_overdue(gone, start + timedelta(minutes=11), patience, start)


def test_the_patience_begins_with_the_trouble():
    """It was in use for a day, or the operator was down: then the registry is silent for a moment."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    gone = item(a_feature_view(), deletionTimestamp=SINCE)
    trouble, patience = start + timedelta(days=1), timedelta(minutes=10)
    assert not deletion.is_overdue(gone, trouble + timedelta(minutes=9), patience, trouble)
    assert deletion.is_overdue(gone, trouble + timedelta(minutes=10), patience, trouble)
