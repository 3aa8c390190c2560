"""Which entities a database is asked for by name."""

import pyarrow as pa
import pytest
from sqlglot import exp

from featureplane.materialization.readers.among import among, few_keys


def condition(keys, dialect="postgres", **kinds):
    return among(keys, exp.column, kinds).sql(dialect)


def test_keys_are_few_by_each_of_them():
    batches = [
        {"region": pa.array([1, 2]), "trade": pa.array(range(900))},
        {"region": pa.array([2, None]), "trade": pa.array(range(800, 1001))},
        {"region": pa.array([3]), "trade": pa.array([1])},
    ]
    assert few_keys(batches) == {"region": [1, 2, 3]}


def test_no_more_is_looked_at_once_all_have_many():
    def batches():
        yield {"trade": pa.array(range(1001))}
        raise AssertionError

    assert few_keys(batches()) == {}


def test_each_key_is_looked_at_by_itself():
    found = condition({"name": ["a'b", "ü"], "region": [-1, 2]}, name=pa.string(), region=pa.int32())
    assert found == "name IN ('a''b', 'ü') AND region IN (-1, 2)"


def test_a_backslash_is_none_of_sparks():
    assert condition({"name": ["a\\b'"]}, "spark", name=pa.string()) == r"name IN ('a\\b\'')"


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["1"], pa.int64()), ([1], pa.string()), ([1], pa.float64()), ([1], pa.timestamp("us")), (["a\0"], pa.string()),
     ([b"a"], pa.binary()), ([], pa.string())],
)  # fmt: skip
def test_a_column_that_equals_in_other_ways_is_no_condition(values, kind):
    assert condition({"name": values}, name=kind) == "TRUE"
