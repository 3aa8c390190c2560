"""What a plan says for each difference between declared and registered definitions."""

from dataclasses import replace

from factories import a_feature, a_feature_view, a_service, a_source, an_entity, defined
from featureplane.registry.plan import FieldChange, Plan, closure, compare
from featureplane.registry.state import Foreign, Registered
from featureplane.rendering.definitions import Definition

VIEW = ("feature_view", "commodity_prices")


def registered(definitions: list[Definition], *, owned: bool = True, **more) -> Registered:
    by_key = {item.key: item for item in definitions}
    return Registered(by_key, frozenset(by_key) if owned else frozenset(), **more)


def plan(before: list[Definition], after: list[Definition], *, prune: bool = False, **more) -> Plan:
    return compare("feast", after, registered(before, **more), prune=prune)


def change_of(found: Plan, key=VIEW):
    return next(change for change in found.changes if change.key == key)


def test_the_same_is_no_difference():
    same = defined(a_feature_view(), a_service())
    found = plan(same, same)
    assert found.is_empty
    assert found.adopted == ()


def test_everything_is_added_to_an_empty_registry_in_the_order_of_registration():
    found = plan([], defined(a_feature_view(push={"enabled": True}), a_service()))
    assert [change.key[0] for change in found.changes] == [
        "project", "entity", "data_source", "data_source", "feature_view", "feature_service",
    ]  # fmt: skip
    assert [change.key[1] for change in found.changes][2:4] == ["commodity_prices_source", "commodity_prices_push"]
    assert {change.action for change in found.changes} == {"add"}


def test_a_new_view_tells_of_its_first_run():
    (effect,) = change_of(plan([], defined(a_feature_view()))).effects
    assert "first run" in effect
    (effect,) = change_of(plan([], defined(a_feature_view(materialization={"initial": False})))).effects
    assert effect == "nothing is online until the schedule 'hourly' runs"
    assert change_of(plan([], defined(a_feature_view(online=False)))).effects == ()


def test_a_changed_field_is_named_with_before_and_after():
    found = plan(defined(a_feature_view(ttl="2d")), defined(a_feature_view(ttl="1d")))
    change = change_of(found)
    assert change.action == "change"
    assert change.fields == (FieldChange("ttl_seconds", 172800, 86400),)
    assert change.effects == ("rows already online keep the time they have; those written from now on live shorter",)


def test_a_ttl_that_is_raised_copies_the_rows_once_more():
    effect = ("rows within the new ttl are copied once more, so that those online live as long",)
    for longer in ({"ttl": "2d"}, {}):
        found = plan(defined(a_feature_view(ttl="1d")), defined(a_feature_view(**longer)))
        assert change_of(found).effects == effect


def test_an_added_and_a_removed_feature_say_what_happens_to_rows():
    before = defined(a_feature_view(features=[a_feature("price"), a_feature("volume")]))
    after = defined(a_feature_view(features=[a_feature("price"), a_feature("open")]))
    change = change_of(plan(before, after))
    assert {field.path for field in change.fields} == {"features.open", "features.volume"}
    assert "rows already online have no open" in change.effects[0]
    assert "clients that ask for volume get an error" in change.effects[1]


def test_another_order_of_features_is_a_change_for_feast_and_is_shown():
    one, other = a_feature("price"), a_feature("volume")
    found = plan(defined(a_feature_view(features=[one, other])), defined(a_feature_view(features=[other, one])))
    assert change_of(found).fields == (FieldChange("features (order)", ["price", "volume"], ["volume", "price"]),)


def test_a_changed_source_takes_its_views_along():
    found = plan(defined(a_feature_view()), defined(a_feature_view(source=a_source(file={"path": "other.parquet"}))))
    assert {change.key for change in found.changes} == {("data_source", "commodity_prices_source"), VIEW}
    assert "old source's values" in change_of(found).effects[0]


def test_settings_of_ours_alone_change_the_view_and_hold_from_the_next_run():
    found = plan(defined(a_feature_view()), defined(a_feature_view(suspend=True)))
    assert change_of(found).fields == (FieldChange("suspend", False, True),)
    assert change_of(found).effects == ("holds from the next run on",)


def test_changed_checks_leave_rows_alone():
    after = defined(a_feature_view(features=[a_feature(checks={"minimum": 0})]))
    assert change_of(plan(defined(a_feature_view()), after)).effects == ("rows already online are not checked again",)


def test_a_view_that_goes_offline_says_so():
    change = change_of(plan(defined(a_feature_view()), defined(a_feature_view(online=False))))
    assert change.effects == (
        "no run writes rows any more; what is online stays as it is; a view that is deleted is purged",
    )


def test_what_feast_alone_registered_and_is_the_same_is_adopted():
    same = defined(a_feature_view(materialization={"schedule": "daily"}))
    found = plan(defined(a_feature_view()), same, owned=False)
    assert found.is_empty
    assert VIEW in {item.key for item in found.adopted}


def test_what_feast_alone_registered_and_differs_becomes_ours_with_a_word():
    found = plan(defined(a_feature_view()), defined(a_feature_view(ttl="1d")), owned=False)
    assert change_of(found).effects[0] == "registered by Feast alone until now; it becomes Featureplane's"


def test_a_changed_type_is_refused():
    found = plan(defined(a_feature_view()), defined(a_feature_view(features=[a_feature(type="Int64")])))
    (refusal,) = found.refused
    assert "the type of 'price' is immutable (Float64 is registered, Int64 declared); add a feature" in refusal


def test_changed_entities_are_refused():
    found = plan(defined(a_feature_view()), defined(a_feature_view(entities=[an_entity(joinKey="code")])))
    assert len(found.refused) == 2
    assert "entity 'commodity': join_key is immutable" in found.refused[0]
    assert "entities are immutable" in found.refused[1]


def test_a_removed_feature_cannot_come_back_as_another_type_before_it_is_purged():
    grave = {("commodity_prices", "volume"): "Int64"}
    before = defined(a_feature_view())
    other = defined(a_feature_view(features=[a_feature(), a_feature("volume", "Float64")]))
    same = defined(a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]))
    assert "was removed as Int64" in plan(before, other, tombstones=grave).refused[0]
    assert not plan(before, same, tombstones=grave).refused


def test_a_name_that_feast_uses_for_something_else_is_refused():
    foreign = (Foreign("on_demand_feature_view", "commodity_prices", "is an on-demand feature view"),)
    (refusal,) = plan([], defined(a_feature_view()), foreign=foreign).refused
    assert "is an on-demand feature view" in refusal


def test_without_prune_nothing_is_removed():
    found = plan(defined(a_feature_view(), a_service()), defined(a_feature_view()))
    assert found.is_empty
    assert found.kept == ((("feature_service", "price_model"), "not declared; --prune removes it"),)


def test_prune_removes_services_then_views_then_sources_then_entities():
    before = defined(
        a_feature_view(push={"enabled": True}), a_service(), a_feature_view("other", entities=[an_entity("x")])
    )
    after = defined(a_feature_view("other", entities=[an_entity("x")]))
    found = plan(before, after, prune=True)
    assert [change.key for change in found.changes] == [
        ("feature_service", "price_model"),
        VIEW,
        ("data_source", "commodity_prices_push"),
        ("data_source", "commodity_prices_source"),
        ("entity", "commodity"),
    ]
    assert {change.action for change in found.changes} == {"remove"}
    assert "purged later" in found.changes[1].effects[0]


def test_prune_keeps_what_is_in_use_retained_or_not_ours():
    view, service = a_feature_view(), a_service()
    before = defined(view, service)
    after = [item for item in defined(a_feature_view("other", entities=[an_entity("x")])) if item.kind != "project"]
    ours = frozenset(item.key for item in before if item.kind != "feature_service")
    found = compare("feast", after, replace(registered(before), owned=ours), prune=True)
    kept = dict(found.kept)
    assert kept[VIEW] == "in use by price_model"
    assert kept["data_source", "commodity_prices_source"] == "in use by commodity_prices"
    assert kept["entity", "commodity"] == "in use by commodity_prices"
    retained = plan(defined(a_feature_view(deletionPolicy="Retain")), after, prune=True)
    assert dict(retained.kept)[VIEW] == "its deletionPolicy is Retain"


def test_the_project_itself_is_never_removed():
    assert plan(defined(a_feature_view()), [], prune=True).changes[-1].key[0] == "entity"


def test_closure_holds_everything_that_an_object_refers_to_before_it():
    everything = defined(a_feature_view(push={"enabled": True}), a_service())
    context = {item.key: item for item in everything}
    (service,) = [item for item in everything if item.kind == "feature_service"]
    kinds = [item.kind for item in closure(context, [service])]
    assert kinds == ["entity", "data_source", "data_source", "feature_view", "feature_service"]


def test_prune_may_be_limited_to_some_objects():
    before = defined(a_feature_view(), a_feature_view("other", entities=[an_entity("x")]))
    found = compare("feast", [], registered(before), prune={VIEW})
    assert [change.key for change in found.changes] == [VIEW]
    assert (("feature_view", "other"), "not declared; --prune removes it") in found.kept


def test_a_feature_that_an_undeclared_service_uses_does_not_go():
    both = [a_feature("price"), a_feature("volume")]
    before = defined(
        a_feature_view(features=both), a_service(views=[{"name": "commodity_prices", "features": ["volume"]}])
    )
    (refusal,) = plan(before, defined(a_feature_view(features=both[:1]))).refused
    assert "the feature service 'price_model' uses volume" in refusal
    service = a_service(views=[{"name": "commodity_prices", "features": ["price"]}])
    assert not plan(before, defined(a_feature_view(features=both[:1]), service)).refused
