"""One value of a join key is given for all views that have it."""

import pytest

from factories import a_feature_view, an_entity, defined
from featureplane.errors import FeatureplaneError
from featureplane.registry.state import Registered
from featureplane.training.asking import asked_for, wanted_of
from featureplane.training.opening import key_types


def wanted(kind):
    first = a_feature_view("prices", entities=[an_entity("good", joinKey="code", type="String")])
    second = a_feature_view("stocks", entities=[an_entity("item", joinKey="code", type=kind), an_entity("shop")])
    known = Registered({item.key: item for item in defined(first, second)})
    return wanted_of("feast", known, asked_for(known, "", ["prices", "stocks"]))


def test_views_that_agree_on_their_join_keys_are_given_one_value():
    assert key_types(wanted("String")) == {"code": "String", "shop": "String"}


def test_views_that_disagree_on_a_join_key_are_refused():
    with pytest.raises(FeatureplaneError, match="the join key 'code' is String in prices and Int64 in stocks"):
        key_types(wanted("Int64"))
