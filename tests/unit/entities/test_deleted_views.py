"""Which views are deleted, as far as their rows go, when they wait for their purge."""

from typing import Any

import pytest

from factories import a_feature_view, an_entity, defined
from featureplane.entities.deleting import deleted_views
from featureplane.materialization.purge import Due
from featureplane.registry.state import Foreign, Registered


def known(*views: Any, foreign: tuple[Foreign, ...] = ()) -> Registered:
    return Registered({item.key: item for item in (defined(*views) if views else ())}, foreign=foreign)


def view(key: str) -> Any:
    return a_feature_view("stats", entities=[an_entity(key)])


def gone(key: str, feature: str = "") -> Due:
    return Due(1, "stats", feature, known(view(key)).definitions["feature_view", "stats"].spec)


@pytest.mark.parametrize("feature", ["", "price"])
def test_a_view_that_came_back_with_other_join_keys_left_rows_at_those_of_before(feature: str) -> None:
    (found,) = deleted_views(known(view("city")), [gone("town", feature), gone("city", feature)])
    assert [entity["join_key"] for entity in found.spec["entities"]] == ["town"]


def test_what_feast_alone_has_registered_by_that_name_is_not_deleted() -> None:
    taken = known(foreign=(Foreign("stream_feature_view", "stats", ""),))
    assert deleted_views(taken, [gone("town")]) == []
    assert len(deleted_views(known(), [gone("town")])) == 1
