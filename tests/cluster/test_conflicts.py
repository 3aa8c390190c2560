"""Objects that disagree: the older one wins, each says why, and each is healed when the cause ends."""

import pytest

from cluster.api import condition, message
from cluster.place import Place, a_place
from cluster.test_lifecycle import a_wrong_view, other_view
from factories import a_feature, a_feature_view, a_project, a_service, an_entity
from patience import until


def older_first(place: Place, *objects):
    """Create one after the other, a second apart: creationTimestamp has no fractions."""
    for item in objects:
        place.apply(item)
        created = place.get(item)["metadata"]["creationTimestamp"]
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "clock"}}

        def later(created=created, probe=probe):
            made = place.api.create(probe, place.namespace)
            place.api.delete(probe, place.namespace)
            return made["metadata"]["creationTimestamp"] > created

        until(later)


def test_one_name_two_views(place: Place):
    second = other_view("other", feast_name="Commodity_Prices")
    older_first(place, a_project(), a_feature_view())
    place.apply(second)
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    loser = place.wait_for(second, "Valid", "False", "NameConflict")
    assert condition(loser, "Ready") == ("False", "NameConflict")
    assert f"{place.namespace}/commodity-prices" in message(loser, "Valid")
    assert condition(loser, "Stalled")[0] == "True"
    # Its deletion takes nothing from the winner, and the winner's makes room for another one.
    place.api.delete(second, place.namespace)
    until(lambda: place.get(second) is None)
    assert place.views() == {"commodity_prices"}


def test_a_name_becomes_free(place: Place):
    second = other_view("other", feast_name="Commodity_Prices")
    older_first(place, a_project(), a_feature_view())
    place.apply(second)
    place.operator()
    place.wait_for(second, "Valid", "False", "NameConflict")
    place.api.delete(a_feature_view(), place.namespace)
    place.wait_for(second, "Registered")
    until(lambda: place.views() == {"Commodity_Prices"})


def test_an_entity_that_differs(place: Place):
    second = other_view("other", entities=[an_entity(type="Int64")])
    older_first(place, a_project(), a_feature_view())
    place.apply(second)
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.wait_for(second, "Valid", "False", "EntityConflict")
    place.api.delete(a_feature_view(), place.namespace)
    place.wait_for(second, "Registered")
    until(lambda: place.registered().definitions["entity", "commodity"].spec["type"] == "Int64")


def test_two_projects_in_one_registry(place: Place):
    second = a_project("second")
    view = other_view(projectRef={"name": "second"})
    older_first(place, a_project())
    place.apply(second, view)
    place.operator()
    loser = place.wait_for(second, "Ready", "False", "ProjectConflict")
    assert f"{place.namespace}/feast" in message(loser, "Ready")
    place.wait_for(view, "Registered", "False", "ProjectConflict")
    assert place.views() == set()
    place.api.delete(a_project(), place.namespace)
    place.wait_for(view, "Registered")


def test_a_schedule_that_is_not_there(place: Place):
    view = a_feature_view(materialization={"schedule": "weekly"})
    place.apply(a_project(), view)
    place.operator()
    found = place.wait_for(view, "Valid", "False", "ScheduleNotFound")
    assert "hourly, daily, never" in message(found, "Valid")
    schedules = {"weekly": {"cron": "0 3 * * 0", "window": "8d"}}
    place.apply(a_project(schedules=schedules))
    place.wait_for(view, "Registered")


def test_a_project_that_is_not_there(place: Place):
    place.apply(a_feature_view())
    place.operator()
    found = place.wait_for(a_feature_view(), "Ready", "False", "ProjectNotFound")
    assert "create it" in message(found, "Ready")
    place.apply(a_project())
    place.wait_for(a_feature_view(), "Registered")


def test_a_namespace_that_the_project_does_not_list(place: Place, kube, api, stores, tmp_path):
    with a_place(kube, api, stores, tmp_path) as other:
        view = a_feature_view(projectRef={"name": "feast", "namespace": place.namespace})
        place.apply(a_project())
        other.apply(view)
        place.operator({"FEATUREPLANE_WATCH": "all"})
        found = other.wait_for(view, "Valid", "False", "NotAllowed")
        assert "allowedNamespaces" in message(found, "Valid")
        place.apply(a_project(allowedNamespaces=[other.namespace]))
        other.wait_for(view, "Registered")
        assert place.views() == {"commodity_prices"}
        other.api.delete(view, other.namespace)
        until(lambda: other.get(view) is None)


def test_a_view_that_cannot_be_keeps_its_last_definition(place: Place):
    place.apply(a_project(), a_feature_view())
    operator = place.operator()
    good = place.wait_for(a_feature_view(), "Registered")
    wrong = a_feature_view(features=[a_feature(checks={"pattern": "x"})])
    place.apply(wrong)
    bad = place.wait_for(wrong, "Valid", "False")
    assert "spec.features[0].checks" in message(bad, "Valid")
    assert bad["status"]["digest"] == good["status"]["digest"]
    assert place.registered().definitions["feature_view", "commodity_prices"].digest == good["status"]["digest"]
    errors = operator.metric("featureplane_errors_total")
    place.apply(a_feature_view())
    place.wait_for(a_feature_view(), "Registered")
    assert errors == 0


def test_a_service_waits_for_a_view_that_is_wrong(place: Place):
    wrong = a_wrong_view("commodity-prices")
    place.apply(a_project(), wrong, a_service())
    place.operator()
    place.wait_for(a_service(), "Ready", "False", "ViewNotReady")
    place.apply(other_view("commodity-prices", features=[a_feature(type="String")]))
    place.wait_for(a_service(), "Ready")


@pytest.mark.parametrize("change", ["type", "entity"])
def test_what_the_registry_holds_as_another_type_is_refused(place: Place, change):
    """CEL refuses a change in place; a view that is deleted with Retain and made anew passes it by."""
    place.apply(a_project(), a_feature_view(deletionPolicy="Retain"), other_view())
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.api.delete(a_feature_view(), place.namespace)
    until(lambda: place.get(a_feature_view()) is None)
    anew = {"type": {"features": [a_feature(type="Int64")]}, "entity": {"entities": [an_entity("market")]}}[change]
    place.apply(a_feature_view(**anew))
    found = place.wait_for(a_feature_view(), "Ready", "False", "Immutable")
    assert "immutable" in message(found, "Valid")
    place.wait_for(other_view(), "Registered")
