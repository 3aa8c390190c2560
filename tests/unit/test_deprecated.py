"""What is deprecated: how it is declared, what Feast is told, and who is named as its user."""

import pytest

from factories import a_feature, a_feature_view, a_project, a_service, declared, defined, definition, problems_in
from featureplane.controller.deprecations import deprecations
from featureplane.deprecation import read
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import define
from featureplane.rendering.deprecations import deprecated
from featureplane.rendering.objects import service_object, view_object

DAY = "2026-03-31"
OLD = {"since": DAY, "message": "é wrong since spring", "replacedBy": "weather:price"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({}, ".since: is missing; add since: The day from which it is not to be used in anything new: 2026-03-31."),
        ({"since": "2026-02-31"}, ".since: '2026-02-31' is no day; write one as 2026-03-31"),
        ({"since": "spring"}, ".since: 'spring' is not allowed here; write a day as 2026-03-31"),
        (
            {"since": DAY, "replacedBy": "a:b:c"},
            ".replacedBy: 'a:b:c' is not allowed here; write the name of a view, or view:feature",
        ),
        ({"since": DAY, "message": "x" * 513}, ".message: is longer than 512 characters; shorten it"),
        ({"since": DAY, "until": DAY}, None),
    ],
)
def test_what_is_wrong_is_named(said, problem):
    for item, path in (
        (a_feature_view(deprecated=said), "spec.deprecated"),
        (a_feature_view(features=[a_feature(deprecated=said)]), "spec.features[0].deprecated"),
    ):
        found = problems_in(item)
        assert found == [path + problem] if problem else "until: is not a field" in found[0]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (a_feature_view(deprecated={"since": DAY, "replacedBy": "commodity_prices"}), "spec.deprecated"),
        (
            a_feature_view(features=[a_feature(deprecated={"since": DAY, "replacedBy": "commodity_prices:price"})]),
            "spec.features[0].deprecated",
        ),
        (a_service(deprecated={"since": DAY, "replacedBy": "price_model"}), "spec.deprecated"),
    ],
)
def test_nothing_is_replaced_by_itself(item, field):
    (problem,) = problems_in(item)
    assert problem.startswith(f"{field}.replacedBy: ")
    assert problem.endswith("is what is deprecated; name another")


def test_the_tags_that_say_it_are_not_for_users():
    (problem,) = problems_in(a_feature_view(tags={"featureplane.dev/deprecated-since": DAY}))
    assert "has a meaning" not in problem
    assert "with a meaning of its own" in problem


def test_feast_is_told_by_tags_and_nothing_else_changes():
    plain = definition("feature_view", a_feature_view(tags={"a": "b"}))
    said = definition("feature_view", a_feature_view(tags={"a": "b"}, deprecated=OLD))
    assert {key: value for key, value in said.spec.items() if key != "tags"} == {
        key: value for key, value in plain.spec.items() if key != "tags"
    }
    assert said.spec["tags"]["a"] == "b"
    assert str(read(said.spec["tags"])) == f"deprecated as of {DAY}; use weather:price: é wrong since spring"
    assert read(plain.spec["tags"]) is None


def test_import_writes_what_was_declared():
    view = a_feature_view(deprecated=OLD, tags={"a": "b"}, features=[a_feature(deprecated={"since": DAY})])
    service = a_service(deprecated={"since": DAY, "message": "gone soon"})
    (project,) = declared(a_project(), view, service)
    definitions = define(project)
    known = {item.key: item for item in definitions}
    back = [
        view_object(known["feature_view", "commodity_prices"], known, ".", "feast"),
        service_object(known["feature_service", "price_model"], known, "feast"),
    ]
    assert back[0]["spec"]["deprecated"] == OLD
    assert back[0]["spec"]["tags"] == {"a": "b"}
    assert back[0]["spec"]["features"][0]["deprecated"] == {"since": DAY}
    assert [item.digest for item in defined(a_project(), *back)] == [item.digest for item in definitions]


FEATURES = [a_feature(), a_feature("volume", deprecated={"since": DAY, "replacedBy": "commodity_prices:price"})]
USES_ONE = a_service("uses-one", views=[{"name": "commodity_prices", "features": ["price"]}])
USES_BOTH = a_service("uses-both")


def found_in(*objects):
    return [str(each) for each in deprecated({item.key: item for item in defined(*objects)})]


def test_who_uses_it_is_named():
    (said,) = found_in(a_feature_view(features=FEATURES), USES_ONE, USES_BOTH)
    assert said == (
        f"the feature commodity_prices:volume (used by the feature service uses_both) is deprecated as of {DAY}; "
        "use commodity_prices:price"
    )
    (said,) = found_in(a_feature_view(deprecated={"since": DAY}), USES_ONE, USES_BOTH)
    assert said == (
        f"the feature view commodity_prices (used by the feature service uses_both, uses_one) is deprecated as of {DAY}"
    )


@pytest.mark.parametrize(
    ("name", "is_there"),
    [("other", True), ("other:price", True), ("other:gone", False), ("gone", False), ("gone:price", False)],
)
def test_a_replacement_that_is_not_there_is_said(name, is_there):
    other = a_feature_view("other")
    (said,) = found_in(a_feature_view(deprecated={"since": DAY, "replacedBy": name}), other)
    assert said.endswith(f"there is no {name}") is not is_there


def test_a_plan_warns_of_services_that_are_registered_only():
    before = {item.key: item for item in defined(a_feature_view(features=FEATURES), USES_BOTH)}
    after = defined(a_feature_view(features=FEATURES, deprecated={"since": DAY}))
    warnings = compare("feast", after, Registered(before, frozenset(before))).warnings
    assert len(warnings) == 2
    assert all("used by the feature service uses_both" in warning for warning in warnings)
    pruned = compare("feast", after, Registered(before, frozenset(before)), prune=True).warnings
    assert not any("used by" in warning for warning in pruned)


def test_each_object_is_told_what_concerns_it():
    objects = [
        a_feature_view(features=FEATURES),
        a_feature_view("other", deprecated={"since": DAY}),
        a_feature_view("fine"),
        USES_ONE,
        USES_BOTH,
        a_service("old", views=[{"name": "fine"}], deprecated={"since": DAY}),
    ]
    told = deprecations({item.key: item for item in defined(*objects)})
    assert {key[1]: condition.reason for key, condition in told.items()} == {
        "commodity_prices": "FeaturesDeprecated", "other": "ViewDeprecated", "uses_both": "UsesDeprecated",
        "old": "ServiceDeprecated",
    }  # fmt: skip
    assert "commodity_prices:volume" in told["feature_service", "uses_both"].message


def test_a_plan_shows_its_fields_and_not_the_tags_that_keep_it():
    one, other = {"since": DAY, "message": "slow"}, {"since": "2030-01-01", "replacedBy": "better"}
    before = {
        item.key: item for item in defined(a_feature_view(deprecated=one, tags={"a": "b"}), a_service(deprecated=one))
    }
    after = defined(a_feature_view(features=[a_feature(deprecated=one)]), a_service(deprecated=other))
    changes = compare("feast", after, Registered(before, frozenset(before))).changes
    found = {
        field.path: (field.before, field.after)
        for change in changes
        for field in change.fields
        if "projection" not in field.path
    }
    assert found == {
        "deprecated.since": (DAY, "2030-01-01"), "deprecated.message": ("slow", None),
        "deprecated.replacedBy": (None, "better"), "tags.a": ("b", None),
        "features.price.deprecated.since": (None, DAY), "features.price.deprecated.message": (None, "slow"),
    }  # fmt: skip
