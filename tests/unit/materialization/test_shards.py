"""Views spread over the pods of a Job."""

from hypothesis import given
from hypothesis import strategies as st

from featureplane.materialization.shards import balanced

NAMES = st.text("abcdef", min_size=1, max_size=4)


@given(st.dictionaries(NAMES, st.floats(0.01, 1000), max_size=30), st.integers(1, 8))
def test_no_share_is_longer_than_it_need_be(seconds: dict[str, float], of: int) -> None:
    found = balanced(seconds, seconds, of)
    load = [sum(seconds[view] for view, number in found.items() if number == share) for share in range(of)]
    assert found.keys() == seconds.keys()
    # Whoever gets the last view had no more than the mean before (Graham, 1966).
    assert max(load) <= sum(seconds.values()) / of + max(seconds.values(), default=0) + 1e-6


def test_views_that_never_ran_are_taken_for_the_median() -> None:
    found = balanced(["long", "short", "new", "newer"], {"long": 100, "short": 1, "middle": 10}, 2)
    assert found["long"] != found["new"] == found["newer"] == found["short"]


def test_what_is_taken_counts() -> None:
    assert balanced(["b"], {"a": 5, "b": 1}, 2, {"a": 0}) == {"b": 1}


def test_the_order_of_the_views_does_not_matter() -> None:
    views = [f"view_{number}" for number in range(20)]
    assert balanced(views, {}, 3) == balanced(list(reversed(views)), {}, 3)
