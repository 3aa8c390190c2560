"""What a view's checks find in a batch."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featureplane.materialization.checks import Checks, Rejected
from featureplane.materialization.encoding.conforming import Conforming, conform
from featureplane.model.types import parse_type


def passing(spec: dict[str, Any], values: list[Any], kind: str = "Float64") -> tuple[list[bool], Rejected]:
    rejected = Rejected()
    found = {"f": conform(pa.array(values), parse_type(kind))}
    keep = Checks({"f": spec}).passing(found, rejected)
    return [True] * len(values) if keep is None else keep.tolist(), rejected


@pytest.mark.parametrize(
    ("spec", "values", "kind", "passes", "says"),
    [
        ({"notNull": True}, [1.0, None], "Float64", [True, False], "f has no value in 1"),
        ({"notNull": True}, [1.0, float("nan")], "Float64", [True, False], "f has no value in 1"),
        ({"minimum": 0}, [0.0, -0.5, None], "Float64", [True, False, True],
         "f is below the minimum 0 in 1, such as -0.5"),
        ({"maximum": 10}, [10, 11, None], "Int64", [True, False, True], "f is above the maximum 10 in 1, such as 11"),
        ({"in": ["a", "b"]}, ["a", "c", None], "String", [True, False, True],
         'f is none of "a", "b" in 1, such as "c"'),
        ({"in": [1, 2]}, [1, 3, None], "Int32", [True, False, True], "f is none of 1, 2 in 1, such as 3"),
        ({"in": [True]}, [True, False, None], "Bool", [True, False, True], "f is none of true in 1, such as false"),
        ({"pattern": "^[a-z]+$"}, ["ab", "a1", None, ""], "String", [True, False, True, False],
         'f does not match ^[a-z]+$ in 2, such as "a1"'),
        ({"length": 2}, [[1.0, 2.0], [1.0], None, [], [1.0] * 40], "Array(Float32)", [True, False, True, False, False],
         "f has another length than 2 in 3, such as [1.0]"),
        ({"length": 2}, [[1.0] * 40], "Array(Float64)", [False],
         "f has another length than 2 in 1, such as [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.... (40 elements)"),
        ({"length": 2}, [[[1], [2, 3, 4]], [[1]]], "Array(Array(Int64))", [True, False],
         "f has another length than 2 in 1, such as [[1]]"),
        ({"length": 2}, [None, None], "Array(Float32)", [True, True], ""),
    ],
)  # fmt: skip
def test_each_check(spec: dict[str, Any], values: list[Any], kind: str, passes: list[bool], says: str) -> None:
    keep, rejected = passing(spec, values, kind)
    assert keep == passes
    assert str(rejected) == (f"{passes.count(False)} rows were rejected: {says}" if says else "")


def test_a_bound_is_the_columns_own_number() -> None:
    """0.3 in single precision is a little more than 0.3 in double."""
    assert passing({"maximum": 0.3, "minimum": 0.1}, [0.3, 0.1, 0.31], "Float32")[0] == [True, True, False]


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        ({"minimum": 0}, [True, True, False]), ({"maximum": 1e300}, [True, True, True]),
        ({"minimum": 1e300}, [False, False, False]), ({"maximum": -1e300}, [False, False, False]),
        ({"maximum": 2.5}, [False, True, True]), ({"minimum": 2.5}, [True, False, False]),
        ({"minimum": float(2**53)}, [True, False, False]),
    ],
)  # fmt: skip
def test_whole_numbers_beyond_what_a_double_holds_are_compared_all_the_same(
    spec: dict[str, float], passes: list[bool]
) -> None:
    assert passing(spec, [2**53 + 1, 2, -(2**63)], "Int64")[0] == passes


def test_whole_numbers_that_a_float_cannot_hold_may_be_listed() -> None:
    assert passing({"in": [2**24 + 1, 1]}, [2.0**24, 1.0, 2.0], "Float32")[0] == [True, True, False]
    assert passing({"in": [2**53 + 1]}, [2.0**53, 1.0], "Float64")[0] == [True, False]


def test_a_row_that_fails_twice_is_rejected_once() -> None:
    keep, rejected = passing({"minimum": 0, "in": [1.0]}, [1.0, -1.0])
    assert (keep, rejected.rows, len(rejected.reasons)) == ([True, False], 1, 2)


def test_a_value_of_another_type_is_rejected_and_asked_nothing_more() -> None:
    keep, rejected = passing({"notNull": True}, [1, 2**40], "Int32")
    assert keep == [True, False]
    assert str(rejected) == "1 rows were rejected: f is not from -2147483648 to 2147483647 in 1"


def test_an_example_is_short_and_stays_on_one_line() -> None:
    _, rejected = passing({"in": ["x"]}, ["a\n" * 500], "String")
    assert len(str(rejected)) < 150
    assert "\n" not in str(rejected)


def test_of_many_reasons_some_are_shown_and_all_counted() -> None:
    rejected = Rejected(rows=9)
    for number in range(9):
        rejected.note(f"f{number}", "has no value", 1, "")
    assert str(rejected).endswith("; and 4 more reasons")


def test_a_limit_of_nulls_is_about_the_whole_view() -> None:
    checks = Checks({"f": {"maxNullFraction": 0.1}, "g": {"maxNullFraction": 0.0}, "h": {"minimum": 0}})
    assert set(checks.limits) == {"f", "g"}
    assert checks.over_limit(100, {"f": 10, "g": 0}) == ""
    assert checks.over_limit(0, {"f": 0, "g": 0}) == ""
    assert checks.over_limit(100, {"f": 11, "g": 0}) == (
        "f has no value in 11 of 100 rows (11.0%), and maxNullFraction allows 10.0%"
    )


@given(st.lists(st.none() | st.floats(-10, 10), min_size=1, max_size=50))
def test_what_passes_is_what_one_would_pick_by_hand(values: list[float | None]) -> None:
    checks = Checks({"f": {"minimum": -2.5, "maximum": 3, "notNull": True}})
    rejected = Rejected()
    keep = checks.passing({"f": Conforming(pa.array(values, pa.float64()))}, rejected)
    wanted = [value is not None and -2.5 <= value <= 3 for value in values]
    assert ([True] * len(values) if keep is None else keep.tolist()) == wanted
    assert rejected.rows == wanted.count(False)
