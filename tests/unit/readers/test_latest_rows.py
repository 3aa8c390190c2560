"""The latest row of each entity, against a search through all rows in Python; real files."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources_of_tests import DAY, Folder, a_view, at, prices

from featureplane.materialization.rows import EVENT_TIME, Window

KEYS = (("commodity", "String"), ("market", "Int64"))
KEEP = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Few values, so that entities, times and both together come again.
A_ROW = st.fixed_dictionaries(
    {
        "commodity": st.sampled_from(["gold", "", "silber ü", None]),
        "market": st.sampled_from([1, -(2**63), None]),
        "event_timestamp": st.one_of(st.none(), st.integers(-2, 26)),
        "created": st.one_of(st.none(), st.integers(-2, 4)),
        "price": st.one_of(st.none(), st.floats(allow_nan=False)),
    }
)
TIMES = [pa.timestamp("us"), pa.timestamp("us", tz="Asia/Kathmandu"), pa.timestamp("ns", tz="UTC"), pa.timestamp("ms")]


def moments(hours, kind):
    """Hours of the day in the unit of an Arrow type."""
    found = [None if hour is None else at(hour) for hour in hours]
    return pa.array(found, pa.timestamp(kind.unit, tz="UTC")).cast(kind)


def table(rows, kind):
    return pa.table(
        {
            "commodity": pa.array([row["commodity"] for row in rows], pa.string()),
            "market": pa.array([row["market"] for row in rows], pa.int64()),
            "event_timestamp": moments([row["event_timestamp"] for row in rows], kind),
            "created": moments([row["created"] for row in rows], kind),
            "price": pa.array([row["price"] for row in rows], pa.float64()),
        }
    )


def latest(rows, *, created):
    """What a reader must give: the last of the rows with the greatest times, by entity."""

    def weight(row):
        written = row["created"] if created and row["created"] is not None else -100
        return row["event_timestamp"], written

    found = {}
    for row in rows:
        entity = row["commodity"], row["market"]
        if None in entity or row["event_timestamp"] is None or not 0 <= row["event_timestamp"] <= 24:
            continue
        if entity not in found or weight(row) >= weight(found[entity]):
            found[entity] = row
    return {entity: {"price": row["price"], EVENT_TIME: at(row["event_timestamp"])} for entity, row in found.items()}


def by_entity(rows):
    found = {(row.pop("commodity"), row.pop("market")): row for row in rows}
    assert len(found) == len(rows)
    return found


@KEEP
@given(rows=st.lists(A_ROW, max_size=40), kind=st.sampled_from(TIMES), created=st.booleans(), cut=st.integers(0, 40))
def test_each_entity_has_its_newest_row(tmp_path, rows, kind, created, cut):
    folder = Folder(tmp_path)
    folder.write(table(rows[:cut], kind), "prices/1.parquet", row_group_size=7)
    folder.write(table(rows[cut:], kind), "prices/2.parquet")
    view = a_view(keys=KEYS, path="prices", created_timestamp_column="created" if created else "")
    assert by_entity(folder.rows(view)) == latest(rows, created=created)


@KEEP
@given(rows=st.lists(A_ROW, max_size=40), since=st.integers(-2, 4))
def test_the_counts_are_those_of_the_rows(tmp_path, rows, since):
    folder = Folder(tmp_path)
    folder.write(table(rows, pa.timestamp("us")))
    view = a_view(keys=KEYS, created_timestamp_column="created")
    counts = folder.counts(view, Window(DAY.start, DAY.end, at(since)))
    timed = [row for row in rows if row["event_timestamp"] is not None]
    within = [row for row in timed if 0 <= row["event_timestamp"] <= 24]
    assert counts.read == len(within)
    assert counts.keyless == sum(None in (row["commodity"], row["market"]) for row in within)
    assert counts.latest == len(latest(rows, created=True))
    assert counts.future == sum(row["event_timestamp"] > 24 for row in timed)
    assert counts.late == sum(
        row["event_timestamp"] < 0 and row["created"] is not None and row["created"] > since for row in timed
    )


def test_both_ends_of_the_window_are_in_it(folder):
    folder.write(prices(("before", -1e-6 / 3.6, 0.0), ("first", 0, 1.0), ("last", 24, 2.0), ("after", 24.001, 3.0)))
    assert folder.prices() == {"first": 1.0, "last": 2.0}
    assert folder.counts().future == 1


def test_nanoseconds_belong_to_their_microsecond(folder):
    last = int(DAY.end.timestamp()) * 10**9
    times = pa.array([last - 1, last, last + 999, last + 1000], pa.timestamp("ns"))
    folder.write(pa.table({"commodity": list("abcd"), "event_timestamp": times, "price": [1.0, 2.0, 3.0, 4.0]}))
    rows = folder.rows()
    assert [row["commodity"] for row in rows] == ["a", "b", "c"]
    assert [row[EVENT_TIME] for row in rows] == [DAY.end - timedelta(microseconds=1), DAY.end, DAY.end]


def test_of_two_nanoseconds_in_one_microsecond_the_later_wins(folder):
    first = int(DAY.start.timestamp()) * 10**9
    times = pa.array([first + 2, first + 1], pa.timestamp("ns"))
    folder.write(pa.table({"commodity": ["a", "a"], "event_timestamp": times, "price": [2.0, 1.0]}))
    assert folder.prices() == {"a": 2.0}


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns")])
@pytest.mark.parametrize("zone", [None, "UTC", "America/St_Johns"])
def test_times_of_every_unit_and_zone_leave_as_microseconds_in_utc(folder, kind, zone):
    times = pa.array([at(1)], pa.timestamp(kind.unit, tz="UTC")).cast(pa.timestamp(kind.unit, tz=zone))
    folder.write(pa.table({"commodity": ["gold"], "event_timestamp": times, "price": [1.0]}))
    (batch,) = folder.batches()
    assert batch.schema.field(EVENT_TIME).type == pa.timestamp("us", tz="UTC")
    assert batch[EVENT_TIME].to_pylist() == [at(1)]


def test_a_date_is_its_midnight(folder):
    days = pa.array([DAY.start.date() - timedelta(days=1), DAY.start.date(), DAY.end.date()], pa.date32())
    folder.write(pa.table({"commodity": list("abc"), "event_timestamp": days, "price": [1.0, 2.0, 3.0]}))
    assert [row[EVENT_TIME] for row in folder.rows()] == [DAY.start, DAY.end]
    later = Window(DAY.start + timedelta(hours=1), DAY.end - timedelta(microseconds=1))
    assert folder.rows(window=later) == []
    assert folder.counts(window=later).future == 1


def test_a_window_may_have_any_zone(folder):
    folder.write(prices(("a", 0, 1.0), ("b", 24, 2.0)))
    zone = timezone(timedelta(hours=-7))
    assert folder.prices(window=Window(DAY.start.astimezone(zone), DAY.end.astimezone(zone))) == {"a": 1.0, "b": 2.0}


def test_times_before_1970_are_times(folder):
    folder.write(
        pa.table(
            {
                "commodity": ["a", "a"],
                "event_timestamp": [datetime(1969, 1, 1, tzinfo=UTC), datetime(1968, 1, 1, tzinfo=UTC)],
                "price": [1.0, 2.0],
            }
        )
    )
    assert folder.prices(window=Window(datetime(1960, 1, 1, tzinfo=UTC), DAY.end)) == {"a": 1.0}


def test_times_too_far_apart_to_be_packed_are_in_order_as_well(folder):
    ends = [datetime(1, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)]
    rows = [(ends[0], ends[1], 1.0), (ends[1], ends[0], 2.0), (ends[1], None, 3.0), (ends[1], ends[0], 4.0)]
    columns = dict(zip(("event_timestamp", "created", "price"), zip(*rows, strict=True), strict=True))
    folder.write(pa.table({"commodity": ["a"] * 4, **columns}))
    view = a_view(created_timestamp_column="created")
    assert folder.prices(view, Window(*ends)) == {"a": 4.0}


def test_a_window_without_rows_gives_no_batch(folder):
    folder.write(prices(("gold", 30, 1.0)))
    assert folder.batches() == []
    assert (folder.counts().read, folder.counts().latest, folder.counts().future) == (0, 0, 1)


def test_a_file_without_rows_gives_no_batch(folder):
    folder.write(prices())
    assert folder.batches() == []


def test_a_column_of_nulls_alone_is_one(folder):
    folder.write(prices(("gold", 1, None), ("tin", 1, None)))
    assert folder.prices() == {"gold": None, "tin": None}


def test_batches_have_the_size_asked_for_and_the_schema_told(folder):
    folder.write(prices(*((f"c{index}", 1, float(index)) for index in range(10_001))))
    folder.batch_rows = 5_000
    assert [batch.num_rows for batch in folder.batches()] == [5_000, 5_000, 1]
    with folder.open() as reader:
        assert {batch.schema for batch in reader.batches()} == {reader.schema}


def test_values_keep_the_types_of_the_source(folder):
    columns = {
        "i8": pa.array([1], pa.int8()),
        "u": pa.array([2**64 - 1], pa.uint64()),
        "f": pa.array([1.5], pa.float32()),
        "text": pa.array(["a"]).dictionary_encode(),
        "raw": pa.array([b"\0\xff"]),
        "flag": pa.array([True]),
        "list": pa.array([[1.5, None]], pa.list_(pa.float32())),
        "decimal": pa.array(["1.10"]).cast(pa.decimal128(10, 2)),
    }
    folder.write(pa.table({**columns, "commodity": ["gold"], "event_timestamp": [at(1)]}))
    kinds = dict.fromkeys(columns, "Float64") | {"text": "String", "raw": "Bytes", "flag": "Bool"}
    kinds |= {"list": "Array(Float32)", "decimal": "Decimal", "i8": "Int32", "u": "Int64"}
    (batch,) = folder.batches(a_view(features=tuple(kinds.items())))
    assert batch.schema.field("i8").type == pa.int8()
    assert batch.schema.field("u").type == pa.uint64()
    assert batch.schema.field("f").type == pa.float32()
    assert batch.schema.field("text").type == pa.string()
    assert batch.schema.field("list").type.value_type == pa.float32()
    for name, column in columns.items():
        assert batch[name].to_pylist() == column.to_pylist()


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_nan_is_no_key(folder, kind):
    ids = pa.array([7.0, float("nan"), None, float("nan")], kind)
    folder.write(pa.table({"id": ids, "event_timestamp": [at(1)] * 4, "price": [1.0, 2.0, 3.0, 4.0]}))
    view = a_view(keys=(("id", "Int64"),))
    assert [(row["id"], row["price"]) for row in folder.rows(view)] == [(7.0, 1.0)]
    counts = folder.counts(view)
    assert (counts.read, counts.latest, counts.keyless) == (4, 1, 3)


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_one_second_are_one_key(folder, unit, zone):
    ids = [at(-1e6), at(-1e6) + timedelta(milliseconds=999), at(-1e6) - timedelta(milliseconds=1)]
    folder.write(
        pa.table(
            {
                "id": pa.array(ids, pa.timestamp(unit, tz="UTC")).cast(pa.timestamp(unit, tz=zone)),
                "event_timestamp": [at(2), at(1), at(1)],
                "price": [1.0, 2.0, 3.0],
            }
        )
    )
    assert [row["price"] for row in folder.rows(a_view(keys=(("id", "UnixTimestamp"),)))] in ([1.0, 3.0], [3.0, 1.0])


def test_a_nanosecond_before_a_second_is_not_in_it(folder):
    ids = pa.array([10**9 - 1, 10**9, -1, 0], pa.timestamp("ns"))
    folder.write(pa.table({"id": ids, "event_timestamp": [at(1)] * 4, "price": [1.0, 2.0, 3.0, 4.0]}))
    rows = folder.rows(a_view(keys=(("id", "UnixTimestamp"),)))
    assert sorted(row["price"] for row in rows) == [2.0, 3.0, 4.0]


@KEEP
@given(named=st.permutations(["commodity", "market", "event_timestamp", "created", "price"]), rows=st.lists(A_ROW))
def test_a_feature_may_be_named_like_any_column_of_the_source(tmp_path, named, rows):
    folder = Folder(tmp_path)
    folder.write(table(rows, pa.timestamp("us")))
    straight = ["commodity", "market", "event_timestamp", "created", "price"]
    names = dict(zip(straight, named, strict=True))
    view = a_view(
        keys=tuple(sorted((names[name], kind) for name, kind in KEYS)),
        features=((names["price"], "Float64"),),
        created_timestamp_column="created",
        field_mapping={column: name for column, name in names.items() if column not in {"event_timestamp", "created"}},
    )
    found = [
        {
            "commodity": row[names["commodity"]],
            "market": row[names["market"]],
            "price": row[names["price"]],
            EVENT_TIME: row[EVENT_TIME],
        }
        for row in folder.rows(view)
    ]
    assert by_entity(found) == latest(rows, created=True)


@pytest.mark.parametrize("name", ['a "b"', "select", "ü ñ", "x'; --", "%s {} $1", "a.b", "\\"])
def test_columns_may_have_any_name(folder, name):
    table = prices(("gold", 1, 1.0), ("gold", 2, 2.0)).rename_columns([f"k{name}", f"t{name}", f"p{name}"])
    folder.write(table.append_column(f"c{name}", table[f"t{name}"]))
    view = a_view(
        keys=((f"k{name}", "String"),),
        features=((f"p{name}", "Float64"),),
        timestamp_field=f"t{name}",
        created_timestamp_column=f"c{name}",
    )
    assert folder.rows(view) == [{f"k{name}": "gold", f"p{name}": 2.0, EVENT_TIME: at(2)}]


def test_columns_come_under_their_names_in_feast(folder):
    folder.write(prices(("gold", 1, 1.0)).rename_columns(["sym", "event_timestamp", "px"]))
    view = a_view(field_mapping={"sym": "commodity", "px": "price"})
    assert folder.prices(view) == {"gold": 1.0}


def test_nulls_are_counted_over_the_latest_rows_and_nan_is_none(folder):
    folder.write(
        prices(("gold", 1, None), ("gold", 2, 1.0), ("tin", 1, float("nan")), ("lead", 1, None), (None, 1, 1.0))
    )
    with folder.open() as reader:
        found = reader.null_counts(["price"])
        assert (found.rows, found.nulls) == (3, {"price": 2})
        assert sum(batch.num_rows for batch in reader.batches()) == 3
        assert reader.counts.read == 5
