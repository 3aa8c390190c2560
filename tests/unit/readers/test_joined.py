"""Many views of one entity as one stream; real files."""

from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources_of_tests import DAY, a_view, at, prices

from featureplane.errors import FeatureplaneError
from featureplane.materialization.readers.batching import BATCH_BYTES
from featureplane.materialization.readers.joined_reader import ViewUnreadable, side_by_side
from featureplane.materialization.readers.opening import Places, open_joined
from featureplane.materialization.rows import EVENT_TIME, Window
from featureplane.settings import PostgresAddress


@pytest.fixture(autouse=True, params=[10**8, 200], ids=["in memory", "on disk"])
def held_bytes(request, folder):
    """Where the rows are kept makes no difference to any test."""
    folder.held_bytes = request.param


def joined(folder, views, windows=None, **options):
    windows = windows or [DAY] * len(views)
    places = Places(folder.path, PostgresAddress({}))
    options = {"batch_rows": 3, "memory_mb": 256, "held_bytes": folder.held_bytes, **options}
    return open_joined(views, windows, places, **options)


def rows(folder, views, windows=None):
    """Commodity -> price and hour in each view."""
    found = {}
    with joined(folder, views, windows) as reader:
        for batches in reader.batches():
            assert [batch.schema for batch in batches] == reader.schemas
            for entity in zip(*(batch.to_pylist() for batch in batches), strict=True):
                assert len({row["commodity"] for row in entity}) == 1
                assert entity[0]["commodity"] not in found
                found[entity[0]["commodity"]] = [(row["price"], row[EVENT_TIME]) for row in entity]
    return found


NONE = (None, None)


def test_an_entity_comes_once_with_every_view_that_has_it(folder):
    folder.write(prices(("gold", 1, 1.0), ("gold", 2, 2.0), ("tin", 1, None)), "a.parquet")
    folder.write(prices(("gold", 3, 3.0), ("lead", 4, 4.0), (None, 1, 1.0)), "b.parquet")
    views = [a_view(path="a.parquet"), a_view(path="b.parquet")]
    assert rows(folder, views) == {
        "gold": [(2.0, at(2)), (3.0, at(3))],
        "tin": [(None, at(1)), NONE],
        "lead": [NONE, (4.0, at(4))],
    }
    with joined(folder, views) as reader:
        list(reader.batches())
        assert [counts.read for counts in reader.counts] == [3, 3]
        assert [counts.keyless for counts in reader.counts] == [0, 1]


def test_each_view_has_its_own_window(folder):
    folder.write(prices(("gold", 1, 1.0), ("gold", 5, 2.0)))
    windows = [Window(at(0), at(1)), Window(at(2), at(9)), Window(at(10), at(11))]
    assert rows(folder, [a_view()] * 3, windows) == {"gold": [(1.0, at(1)), (2.0, at(5)), NONE]}


def test_a_view_alone_is_joined_with_none(folder):
    folder.write(prices(("gold", 1, 1.0)))
    assert rows(folder, [a_view()]) == {"gold": [(1.0, at(1))]}


def test_no_rows_anywhere_are_no_batches(folder):
    folder.write(prices())
    assert rows(folder, [a_view(), a_view()]) == {}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=12), min_size=1, max_size=4),
)
def test_as_a_join_of_each_views_own_rows(folder, tables):
    views = [a_view(path=f"{index}.parquet") for index in range(len(tables))]
    for view, table in zip(views, tables, strict=True):
        numbered = ((key, hour, float(index)) for index, (key, hour) in enumerate(table))
        folder.write(prices(*numbered), view.source["path"])
    own = [{row["commodity"]: (row["price"], row[EVENT_TIME]) for row in folder.rows(view)} for view in views]
    entities = {entity for found in own for entity in found}
    expected = {entity: [found.get(entity, NONE) for found in own] for entity in entities}
    with joined(folder, views) as reader:
        assert {
            entity[0]["commodity"]: [(row["price"], row[EVENT_TIME]) for row in entity]
            for batches in reader.batches()
            for entity in zip(*(batch.to_pylist() for batch in batches), strict=True)
        } == expected


def test_keys_may_be_several_and_of_any_name(folder):
    keys = (('a "b"', "String"), ("select", "Int64"))
    table = pa.table({'a "b"': ["x", "x"], "select": [1, 2], "t": [at(1), at(2)], "0": [1.0, 2.0]})
    folder.write(table)
    folder.write(table.slice(1), "b.parquet")
    views = [
        a_view(path=path, keys=keys, features=(("0", "Float64"),), timestamp_field="t")
        for path in ("prices.parquet", "b.parquet")
    ]
    with joined(folder, views) as reader:
        (batches,) = reader.batches()
    found = sorted(zip(*(batch.to_pylist() for batch in batches), strict=True), key=repr)
    assert [[row["0"] for row in entity] for entity in found] == [[1.0, None], [2.0, 2.0]]


def test_a_view_that_cannot_be_read_is_named(folder):
    folder.write(prices(("gold", 1, 1.0)))
    (folder.path / "broken.parquet").write_bytes(b"PAR1 and nothing more PAR1")
    for path in ("nowhere", "broken.parquet"):
        view = replace(a_view(path=path), name="it")
        with (
            pytest.raises(ViewUnreadable, match=path) as caught,
            joined(folder, [a_view(), view]) as reader,
        ):
            list(reader.batches())
        assert caught.value.view == "it"


def test_a_query_opens_the_files_of_all_views_and_no_other(folder):
    for name in "abc":
        folder.write(prices(("gold", 1, 1.0)), f"{name}.parquet")
    with joined(folder, [a_view(path=f"{name}.parquet") for name in "ab"]) as reader:
        opens = reader._duck.connection.execute  # noqa: SLF001
        for name in "ab":
            opens(f"FROM read_parquet('{folder.path / name}.parquet')")
        with pytest.raises(duckdb.Error):
            opens(f"FROM read_parquet('{folder.path / 'c'}.parquet')")


def test_many_sparse_views_make_small_batches(folder):
    """A row of all of them takes space for what is not there as well."""
    tables = [prices(*((f"{index}-{row}", 1, 1.0) for row in range(2_000))) for index in range(40)]
    names = ["commodity"]
    sizes = [len(batches[0]) * len(batches) for batches in side_by_side(tables, names, 10**6)]
    assert max(sizes) * 3 * 8 <= BATCH_BYTES + 40 * 3 * 8


def test_keys_have_one_form_whatever_they_are_in_each_source(folder):
    for name, ids in (
        ("a.parquet", pa.array([1, 2, 2**53 + 1], pa.int64())),
        ("b.parquet", pa.array([1.0, 2.5, float("nan")])),
        ("c.parquet", pa.array([1, 2**64 - 1, None], pa.uint64())),
    ):
        folder.write(pa.table({"id": ids, "event_timestamp": [at(1)] * 3, "price": [1.0, 2.0, 3.0]}), name)
    views = [a_view(path=f"{name}.parquet", keys=(("id", "Int64"),)) for name in "abc"]
    with joined(folder, views) as reader:
        found = {}
        for batches in reader.batches():
            assert [batch.schema for batch in batches] == reader.schemas
            for entity in zip(*(batch.to_pylist() for batch in batches), strict=True):
                found[entity[0]["id"]] = [row["price"] for row in entity]
        assert found == {1: [1.0, 1.0, 1.0], 2: [2.0, None, None], 2**53 + 1: [3.0, None, None]}
        assert [(counts.latest, counts.keyless) for counts in reader.counts] == [(3, 0), (2, 1), (2, 1)]
        assert [counts.rejected.rows for counts in reader.counts] == [0, 1, 1]
        assert "id" in str(reader.counts[1].rejected)


def test_a_cancelled_reader_reads_no_further(folder):
    folder.write(prices(*((f"c{index}", 1, 1.0) for index in range(100))))
    with joined(folder, [a_view(), a_view()]) as reader:
        batches = reader.batches()
        next(batches)
        reader.cancel()
        with pytest.raises(FeatureplaneError, match="cancelled"):
            list(batches)
        with pytest.raises(FeatureplaneError, match="cancelled"):
            list(reader.batches())


def test_a_reader_that_is_cancelled_before_its_first_batch_gives_none(folder):
    folder.write(prices(("gold", 1, 1.0)))
    with joined(folder, [a_view(), a_view()]) as reader:
        reader.cancel()
        with pytest.raises(FeatureplaneError, match="cancelled"):
            next(reader.batches())
