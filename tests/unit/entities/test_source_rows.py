"""An entity's rows as they come out of real files: whatever holds the join key, in the order in which they count."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featureplane.entities.entity import entity_of
from featureplane.entities.source import newest_rows
from featureplane.errors import FeatureplaneError, SourceError
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.rows import View
from featureplane.parity.judging import micros
from featureplane.parity.values import shown
from featureplane.settings import PostgresAddress

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def a_view(kind: str, **changes: Any) -> View:
    source = {
        "type": "file", "path": "rows.parquet", "format": "parquet", "timestamp_field": "at",
        "created_timestamp_column": "", "field_mapping": {}, **changes,
    }  # fmt: skip
    return View("feast", "prices", (("key", kind),), (("price", "Float64"),), source)


def write(
    folder: Path, keys: pa.Array, times: pa.Array | None = None, name: str = "rows.parquet", **more: pa.Array
) -> None:
    """A row for each key, an hour apart, of which the price is the number."""
    count = len(keys)
    times = (
        times
        if times is not None
        else pa.array([DAY + timedelta(hours=n) for n in range(count)], pa.timestamp("us", "UTC"))
    )
    table = pa.table({"key": keys, "at": times, "price": pa.array(map(float, range(count))), **more})
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, row_group_size=2)


def prices(folder: Path, view: View, value: Any, most: int = 10, **bounds: datetime) -> list[Any]:
    entity = entity_of(view, {"key": [value]})
    rows = newest_rows(entity, Places(folder, PostgresAddress({})), most, **bounds)
    return [shown(row.values[0]) for row in rows]


TIMES = [DAY, DAY + timedelta(seconds=0.9), DAY + timedelta(seconds=1), DAY - timedelta(microseconds=1), DAY]


@pytest.mark.parametrize(
    ("kind", "keys", "value", "found"),
    [
        ("String", pa.array(["x", "y", "x", None, "x"]), "x", [4.0, 2.0, 0.0]),
        ("String", pa.array(["x", "y", "x", None, "x"]).dictionary_encode(), "x", [4.0, 2.0, 0.0]),
        ("String", pa.array([7, 8, 7, None, 7]), "7", [4.0, 2.0, 0.0]),
        ("String", pa.array([7, 8, 7, None, 7]), "007", []),
        ("String", pa.array(["x' OR 1=1", "y", "x", "x", "x"]), "x' OR 1=1", [0.0]),
        ("Int64", pa.array([7, -8, 7, None, 7], pa.int16()), "-8", [1.0]),
        ("Int64", pa.array([7, 8, 7, None, 7], pa.uint64()), -8, []),
        ("Int64", pa.array([7.0, 7.5, 7.0, None, 7.0]), 7, [4.0, 2.0, 0.0]),
        ("Int64", pa.array([2.0**53, 1.0, 1.0, 1.0, 1.0]), 2**53 + 1, []),
        ("Int32", pa.array([7, 2**40, 7, 7, 7]), 7, [4.0, 3.0, 2.0, 0.0]),
        ("UnixTimestamp", pa.array(TIMES, pa.timestamp("us", "UTC")), int(DAY.timestamp()), [4.0, 1.0, 0.0]),
        ("UnixTimestamp", pa.array(TIMES, pa.timestamp("ns")), int(DAY.timestamp()), [4.0, 1.0, 0.0]),
        ("UnixTimestamp", pa.array([each.date() for each in TIMES]), int(DAY.timestamp()), [4.0, 2.0, 1.0, 0.0]),
        ("UnixTimestamp", pa.array([5, 6, 5, 5, 6]), 6, [4.0, 1.0]),
        ("UnixTimestamp", pa.array(TIMES, pa.timestamp("us", "UTC")), 2**60, []),
    ],
)  # fmt: skip
def test_whatever_holds_the_key(tmp_path: Path, kind: str, keys: pa.Array, value: Any, found: list[float]) -> None:
    write(tmp_path, keys)
    assert prices(tmp_path, a_view(kind), value) == found


def test_a_nanosecond_decides(tmp_path: Path) -> None:
    times = pa.array([1_000_000_002, 1_000_000_001, 1_000_000_003, 999], pa.timestamp("ns"))
    write(tmp_path, pa.array(["x"] * 4), times)
    assert prices(tmp_path, a_view("String"), "x") == [2.0, 0.0, 1.0, 3.0]
    assert prices(tmp_path, a_view("String"), "x", 1) == [2.0]


def test_of_equal_times_the_one_created_last_and_one_never_created_comes_last(tmp_path: Path) -> None:
    times = pa.array([DAY] * 4, pa.timestamp("us", "UTC"))
    came = pa.array([DAY, None, DAY + timedelta(hours=1), DAY], pa.timestamp("us", "UTC"))
    write(tmp_path, pa.array(["x"] * 4), times, came=came)
    assert prices(tmp_path, a_view("String", created_timestamp_column="came"), "x") == [2.0, 3.0, 0.0, 1.0]


def test_bounds_are_included(tmp_path: Path) -> None:
    write(tmp_path, pa.array(["x"] * 4))
    second = DAY + timedelta(hours=2)
    assert prices(tmp_path, a_view("String"), "x", until=second) == [2.0, 1.0, 0.0]
    assert prices(tmp_path, a_view("String"), "x", until=second - timedelta(microseconds=1)) == [1.0, 0.0]
    assert prices(tmp_path, a_view("String"), "x", at=second) == [2.0]


def test_a_row_without_an_event_time_is_none(tmp_path: Path) -> None:
    write(tmp_path, pa.array(["x"] * 2), pa.array([None, DAY], pa.timestamp("us", "UTC")))
    assert prices(tmp_path, a_view("String"), "x") == [1.0]


def test_several_files_of_which_folders_name_the_key(tmp_path: Path) -> None:
    for key in ("x", "y"):
        write(tmp_path, pa.array(["-"] * 2), name=f"rows/k={key}/1.parquet")
    view = a_view("String", path="rows", field_mapping={"k": "key"})
    assert prices(tmp_path, view, "y") == [1.0, 0.0]


def test_times_and_what_is_refused_are_said_of_each_row(tmp_path: Path) -> None:
    write(tmp_path, pa.array(["x"] * 2), came=pa.array([DAY] * 2, pa.timestamp("us", "UTC")))
    view = a_view("String", created_timestamp_column="came")
    view = View(view.project, view.name, view.keys, view.features, view.source, checks={"price": {"maximum": 0}})
    newest, oldest = newest_rows(entity_of(view, {"key": ["x"]}), Places(tmp_path, PostgresAddress({})), 10)
    assert (newest.time, newest.created, newest.is_copied) == (micros(DAY + timedelta(hours=1)), micros(DAY), False)
    assert oldest.is_copied


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [("Int32", 2**31, "entities.key: 2147483648 is no Int32"), ("Bytes", "x", "bytes can be sent over gRPC alone")],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any, words: str) -> None:
    with pytest.raises(FeatureplaneError, match=words):
        entity_of(a_view(kind), {"key": [value]})


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is nothing at .*rows\.parquet; correct spec\.source\.file\.path"):
        prices(tmp_path, a_view("String"), "x")
