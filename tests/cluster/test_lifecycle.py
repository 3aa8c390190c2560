"""From `kubectl apply` to a registered view and back: what a user of the operator sees when nothing goes wrong."""

from cluster.api import condition, message
from cluster.place import Place
from factories import a_feature, a_feature_view, a_project, a_service, a_source
from patience import until


def other_view(name="weather", **changes):
    source = a_source(file={"path": f"{name}.parquet"})
    return a_feature_view(name, **{"source": source, **changes})


def a_wrong_view(name="wrong", **changes):
    """The API server lets it through; the model does not: text has no minimum."""
    return other_view(name, **{"features": [a_feature(type="String", checks={"minimum": 0})], **changes})


def test_a_view_is_registered_and_says_so(place: Place):
    place.apply(a_project(), a_feature_view(description="Prices"))
    place.operator()
    view = place.wait_for(a_feature_view(), "Registered")
    assert condition(view, "Valid") == ("True", "Valid")
    # Nobody runs its Job here, so it waits for its first run; kstatus calls that in progress.
    assert condition(view, "Ready") == ("False", "WaitingForFirstRun")
    assert condition(view, "Reconciling")[0] == "True"
    assert "kubectl get jobs" in message(view, "Ready")
    assert view["metadata"]["finalizers"] == ["featureplane.dev/registry"]
    registered = place.registered()
    definition = registered.definitions["feature_view", "commodity_prices"]
    assert (definition.digest, definition.owner) == (view["status"]["digest"], f"{place.namespace}/commodity-prices")
    assert definition.spec["description"] == "Prices"
    until(lambda: ("Normal", "Registered") in place.events("commodity-prices"))


def test_a_change_is_registered_and_a_deletion_is_too(place: Place):
    place.apply(a_project(), a_feature_view(), other_view())
    operator = place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.wait_for(other_view(), "Registered")
    place.apply(a_feature_view(description="Prices of today"))
    place.wait_for(a_feature_view(), "Registered")
    assert place.registered().definitions["feature_view", "commodity_prices"].spec["description"] == "Prices of today"
    place.api.delete(a_feature_view(), place.namespace)
    until(lambda: place.get(a_feature_view()) is None)
    registered = place.registered()
    # What only it needed went with it; the entity is the other view's, too.
    assert {key for key in registered.definitions if key[0] != "project"} == {
        ("entity", "commodity"), ("data_source", "weather_source"), ("feature_view", "weather"),
    }  # fmt: skip
    assert operator.metric("featureplane_registry_writes_total", action="remove") == 2


def test_a_service_is_registered_with_its_views_and_holds_them(place: Place):
    place.apply(a_project(), a_feature_view(), a_service())
    place.operator()
    service = place.wait_for(a_service(), "Ready")
    assert (service["status"]["views"], service["status"]["features"]) == (1, 1)
    place.api.delete(a_feature_view(), place.namespace)
    held = until(lambda: _with_reason(place, "Reconciling", "InUse"))
    assert "price-model" in message(held, "Reconciling")
    assert place.views() == {"commodity_prices"}
    place.api.delete(a_service(), place.namespace)
    until(lambda: place.get(a_feature_view()) is None)
    until(lambda: place.views() == set())


def _with_reason(place, kind, reason, item=None):
    found = place.get(item or a_feature_view())
    return found if condition(found, kind)[1] == reason else None


def test_a_project_counts_its_views_and_is_held_while_there_are_any(place: Place):
    place.apply(a_project(), a_feature_view(), other_view(suspend=True), a_wrong_view())
    place.operator()
    project = until(lambda: _counted(place, 3))
    views = project["status"]["views"]
    assert (views["invalid"], views["pending"], views["suspended"], views["ready"]) == (1, 1, 1, 1)
    assert project["status"]["endpoint"] == f"http://feast-server.{place.namespace}.svc:8080"
    assert project["status"]["registry"]["state"] == "Ready"
    assert condition(project, "Ready") == ("False", "NotReady")  # no pod of the server ever runs here
    place.api.delete(a_project(), place.namespace)
    until(lambda: _with_reason(place, "Reconciling", "InUse", a_project()))
    for view in (a_feature_view(), other_view(), a_wrong_view()):
        place.api.delete(view, place.namespace)
    until(lambda: place.get(a_project()) is None)
    # The garbage collector takes the children, by their owner.
    until(lambda: place.child("apps/v1", "Deployment", "feast-server") is None)


def _counted(place, number):
    found = place.get(a_project())
    assert found is not None
    return found if found.get("status", {}).get("views", {}).get("total") == number else None


def test_retain_leaves_the_view_registered(place: Place):
    place.apply(a_project(), a_feature_view(deletionPolicy="Retain"))
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.api.delete(a_feature_view(), place.namespace)
    until(lambda: place.get(a_feature_view()) is None)
    assert place.views() == {"commodity_prices"}
    until(lambda: ("Normal", "Retained") in place.events("commodity-prices"))


def test_new_features_ask_for_another_first_run(place: Place):
    place.apply(a_project(), a_feature_view())
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    (first,) = until(lambda: _first_runs(place))
    assert first["metadata"]["annotations"]["featureplane.dev/views"] == "commodity_prices"
    place.apply(a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]))
    place.wait_for(a_feature_view(), "Registered")
    until(lambda: len(_first_runs(place)) == 2)


def _first_runs(place):
    return place.api.list("batch/v1", "Job", place.namespace, "featureplane.dev/job=initial")


def test_a_wish_to_look_now_is_heard(place: Place):
    place.apply(a_project(), a_feature_view())
    operator = place.operator({"FEATUREPLANE_RESYNC_SECONDS": "3600"})
    place.wait_for(a_feature_view(), "Registered")
    before = operator.metric("featureplane_reconciles_total")
    place.api.patch(
        a_feature_view(), {"metadata": {"annotations": {"featureplane.dev/reconcile-at": "now"}}}, place.namespace
    )
    until(lambda: operator.metric("featureplane_reconciles_total") > before)
