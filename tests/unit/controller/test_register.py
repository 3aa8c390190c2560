"""What may leave the registry with an object that is deleted or changed."""

from factories import a_feature_view, a_project, a_service, a_source, defined
from featureplane.controller.register import _left_over, _with_what_they_need
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition

VIEW, SERVICE = ("feature_view", "commodity_prices"), ("feature_service", "price_model")


def registered(*objects) -> Registered:
    definitions = {item.key: item for item in defined(a_project(), *objects)}
    return Registered(definitions, frozenset(definitions))


def owner(key, there: Registered) -> str:
    return there.definitions[key].owner


def test_a_service_takes_no_view_with_it():
    """Also where the view's object is wrong by now, and so not among what is declared: its last definition stays."""
    there = registered(a_feature_view(), a_service())
    found = _with_what_they_need({SERVICE: (owner(SERVICE, there), True)}, there)
    assert found == {SERVICE}
    plan = compare("feast", defined(a_project()), there, prune=found, retain=False)
    assert [change.key for change in plan.changes] == [SERVICE]


def test_a_view_takes_its_source_and_entity_unless_another_one_needs_them():
    other = a_feature_view("other", source=a_source(file={"path": "other.parquet"}))
    there = registered(a_feature_view(), other)
    found = _with_what_they_need({VIEW: (owner(VIEW, there), True)}, there)
    assert found == {VIEW, ("data_source", "commodity_prices_source"), ("entity", "commodity")}
    plan = compare("feast", defined(a_project(), other), there, prune=found, retain=False)
    assert {change.key for change in plan.changes} == {VIEW, ("data_source", "commodity_prices_source")}


def test_a_definition_that_another_object_has_stays():
    there = registered(a_feature_view())
    assert _with_what_they_need({VIEW: ("elsewhere/commodity-prices", True)}, there) == frozenset()


def test_an_object_that_is_wrong_does_not_overrule_the_retain_that_was_registered():
    there = registered(a_feature_view(deletionPolicy="Retain"))
    assert _with_what_they_need({VIEW: (owner(VIEW, there), False)}, there) == frozenset()
    certain = _with_what_they_need({VIEW: (owner(VIEW, there), True)}, there)
    assert VIEW in certain
    plan = compare("feast", defined(a_project()), there, prune=certain, retain=False)
    assert VIEW in {change.key for change in plan.changes}
    assert not compare("feast", defined(a_project()), there, prune=certain).changes


def test_a_source_that_a_view_no_longer_refers_to_is_left_over():
    there = registered(a_feature_view(push={"enabled": True}))
    declared: list[Definition] = defined(a_project(), a_feature_view())
    assert _left_over(declared, there) == {("data_source", "commodity_prices_push")}
    assert _left_over(defined(a_project(), a_feature_view(push={"enabled": True})), there) == frozenset()
