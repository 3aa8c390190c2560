"""What a training set is asked for is found in the registry, or the nearest name is."""

from dataclasses import replace

import pytest

from factories import a_feature, a_feature_view, a_service, defined
from featureplane.errors import FeatureplaneError
from featureplane.registry.state import NO_FORM, Foreign, Registered
from featureplane.training.asking import Asked, asked_for, definitions_of, wanted_of

VIEWS = [
    a_feature_view(features=[a_feature(), a_feature("volume", "Int64")]),
    a_feature_view("stocks", features=[a_feature()]),
]


def registered(*objects):
    return Registered({item.key: item for item in defined(*objects)})


KNOWN = registered(*VIEWS, a_service(views=[{"name": "commodity_prices", "features": ["volume"]}, {"name": "stocks"}]))


def test_a_service_is_its_features_and_a_view_all_of_its():
    assert asked_for(KNOWN, "price_model", []).references == ("commodity_prices:volume", "stocks:price")
    asked = asked_for(KNOWN, "", ["stocks:price", "commodity_prices"])
    assert asked.references == ("stocks:price", "commodity_prices:price", "commodity_prices:volume")
    assert [each.features for each in wanted_of("feast", KNOWN, asked)] == [("price",), ("price", "volume")]


def test_features_of_one_name_are_told_apart_by_their_views():
    asked = Asked(("stocks:price", "commodity_prices:price"))
    with pytest.raises(FeatureplaneError, match="is a feature of stocks, commodity_prices; tell them apart"):
        asked.columns(full_names=False)
    assert list(asked.columns(full_names=True)) == ["stocks__price", "commodity_prices__price"]


@pytest.mark.parametrize(
    ("service", "features", "why"),
    [
        ("price-model", [], "the feature service 'price-model' is not registered; did you mean price_model?"),
        ("", ["stock:price"], "the feature view 'stock' is not registered; did you mean stocks?"),
        ("", ["stocks:zzz"], "the feature 'zzz' of 'stocks' is not registered; registered are price"),
        ("", ["on_demand:x"], "is only Feast's"),
    ],
)
def test_what_is_not_registered_is_refused_with_the_nearest_name(service, features, why):
    known = replace(KNOWN, foreign=(Foreign("on_demand_feature_view", "on_demand", NO_FORM),))
    with pytest.raises(FeatureplaneError) as raised:
        asked_for(known, service, features)
    assert why in str(raised.value)


def test_a_service_that_names_a_removed_feature_is_refused():
    """Somebody wrote into Feast's registry by another way."""
    without = registered(a_feature_view(), VIEWS[1]).definitions
    known = replace(KNOWN, definitions={**KNOWN.definitions, **without})
    with pytest.raises(
        FeatureplaneError, match=r"'price_model' names the feature 'volume' of 'commodity_prices', which"
    ):
        asked_for(known, "price_model", [])


def test_a_view_whose_source_is_gone_is_refused():
    """Somebody removed it by another way."""
    definitions = {key: item for key, item in KNOWN.definitions.items() if key[0] != "data_source"}
    with pytest.raises(FeatureplaneError, match="the source of 'commodity_prices' is not registered any more; run"):
        wanted_of("feast", replace(KNOWN, definitions=definitions), asked_for(KNOWN, "price_model", []))


def test_definitions_are_those_that_it_is_made_from():
    asked = asked_for(KNOWN, "price_model", [])
    assert [item.key for item in definitions_of(KNOWN, asked)] == [
        ("feature_service", "price_model"),
        ("feature_view", "commodity_prices"), ("data_source", "commodity_prices_source"), ("entity", "commodity"),
        ("feature_view", "stocks"), ("data_source", "stocks_source"),
    ]  # fmt: skip
