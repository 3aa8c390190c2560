"""Who changed what, what is deprecated and who answers for it, as an operator tells it of custom resources."""

from cluster.api import condition, message, path
from cluster.place import Place
from factories import a_feature, a_feature_view, a_project, a_service
from featureplane import names
from featureplane.registry import audit
from featureplane.registry.audit import Entry, Wanted
from featureplane.registry.database import begin_once
from featureplane.registry.plan import FieldChange
from patience import until

GOING = {"since": "2026-03-31", "message": "é nobody fills it", "replacedBy": "commodity_prices:price"}


def history(place: Place) -> list[Entry]:
    with begin_once(place.stores.postgres) as connection:
        return audit.read(connection, Wanted(project="feast", kinds=["feature_view"]))


def test_each_change_is_of_the_field_manager_that_made_it(place: Place):
    place.api.apply(a_project(), place.namespace, manager="platform-team")
    place.api.apply(a_feature_view(), place.namespace, manager="argocd-controller")
    place.operator()
    place.wait_for(a_feature_view(), "Registered")
    place.api.apply(a_feature_view(description="Prices"), place.namespace, manager="ann")
    place.wait_for(a_feature_view(), "Registered")
    changed, added = until(lambda: found if len(found := history(place)) == 2 else None)
    assert (added.by.manager, changed.by.manager) == ("argocd-controller", "ann")
    assert changed.fields == (FieldChange("description", "", "Prices"),)
    metadata = place.get(a_feature_view())["metadata"]
    assert (changed.by.uid, changed.by.generation) == (metadata["uid"], metadata["generation"])
    assert (changed.by.object, changed.by.via) == (f"{place.namespace}/commodity-prices", "featureplane operator")
    place.api.delete(a_feature_view(), place.namespace)
    until(lambda: place.get(a_feature_view()) is None)
    removed = history(place)[0]
    assert (removed.action, removed.by.manager, removed.by.uid) == ("remove", "", metadata["uid"])


def test_views_and_services_are_found_by_their_owner(place: Place):
    place.apply(a_feature_view(owner="ann@example.com"), a_feature_view("other"), a_service(owner="ann@example.com"))
    for kind in ("FeatureView", "FeatureService"):
        found = place.api.http.get(
            path({"apiVersion": names.API_VERSION, "kind": kind, "metadata": {}}, place.namespace, named=False),
            params={"fieldSelector": "spec.owner=ann@example.com"},
        ).json()
        assert [item["spec"]["owner"] for item in found["items"]] == ["ann@example.com"]


def test_what_is_deprecated_and_who_uses_it_says_so(place: Place):
    view = a_feature_view(features=[a_feature(), a_feature("volume", deprecated=GOING)], owner="ann@example.com")
    place.apply(a_project(), view, a_service())
    place.operator()
    found = place.wait_for(view, "Deprecated", reason="FeaturesDeprecated")
    assert "commodity_prices:volume (used by the feature service price_model)" in message(found, "Deprecated")
    assert "use commodity_prices:price: é nobody fills it" in message(found, "Deprecated")
    service = place.wait_for(a_service(), "Deprecated", reason="UsesDeprecated")
    assert condition(service, "Ready") == ("True", "Ready")
    until(lambda: ("Normal", "FeaturesDeprecated") in place.events("commodity-prices"))
    spec = place.registered().definitions["feature_view", "commodity_prices"].spec
    assert spec["owner"] == "ann@example.com"
    place.apply(a_feature_view(features=[a_feature(), a_feature("volume")]))
    until(lambda: condition(place.get(view), "Deprecated") == ("", ""))
    until(lambda: condition(place.get(a_service()), "Deprecated") == ("", ""))
