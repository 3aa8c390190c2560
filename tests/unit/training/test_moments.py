"""What is wrong with a file of entities is said by row and column, before anything is made of it."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlglot import exp

from featureplane.errors import InputError
from featureplane.materialization.readers.times import TimeColumn
from featureplane.training.duplicates import refuse_duplicates
from featureplane.training.entity_files import open_entities
from featureplane.training.history import Span
from featureplane.training.joining import moment
from featureplane.training.moments import EntityColumns, entities, look_at

COLUMNS = EntityColumns({"driver_id": "Int64"}, "at")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def csv_of(folder, *lines, header="driver_id,at"):
    path = folder / "entities.csv"
    path.write_text("\n".join([header, *lines, ""]))
    return open_entities(path)


def refused(file, columns=COLUMNS):
    with pytest.raises(InputError) as raised:
        look_at(file, columns)
    return str(raised.value).replace(str(file.path), "FILE")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "FILE: holds no rows"),
        (["1,2026-01-01T00:00:00Z", "2,2026-01-01"], "has times with a zone (row 1 first) and without (row 2 first)"),
        (["1,2026-01-01", "2,soon", "3,"], "FILE: at: row 2 with a time that cannot be read; write ISO 8601"),
        (["1,2026-01-01", "2,"], "FILE: at: row 2 without a time; give every row its time"),
        (["1,2026-01-01", ",2026-01-01"], "FILE: driver_id: row 2 without a value of the join key; give"),
        (["1.5,2026-01-01", "x,2026-01-01"], "driver_id: rows 1 and 2 with no whole number, and the join key is Int64"),
        (["99999999999999999999,2026-01-01"], "driver_id: row 1 with no whole number, and"),
        (["9999999999999999999,2026-01-01"], "driver_id: row 1 with a value that is no whole number from"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path, lines, said):
    assert said in refused(csv_of(tmp_path, *lines))


def test_a_column_that_is_not_there_is_named(tmp_path):
    file = csv_of(tmp_path, "1,2026-01-01", header="driver,when")
    assert "has no column 'driver_id', a join key" in refused(file)
    assert "has no column 'at'; name the column of times with --timestamp-column" in refused(file)


def test_a_column_of_another_type_is_named(tmp_path):
    path = tmp_path / "entities.parquet"
    parquet.write_table(pa.table({"driver_id": ["a"], "at": [NOON]}), path)
    assert "driver_id: is a column of string, and the join key is Int64" in refused(open_entities(path))
    parquet.write_table(pa.table({"driver_id": [1], "at": [7]}), path)
    assert "at: is a column of int64, not of times" in refused(open_entities(path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("entities.xlsx", b"x", "'.xlsx' is no extension that --entities knows"),
        ("entities", b"x", "has no extension"),
        ("entities.csv", b"", "holds no rows"),
        ("entities.parquet", b"no parquet", "cannot be read"),
        ("entities.arrow", b"no arrow", "cannot be read"),
        ("entities.csv", b"a,a\n1,2\n", "a: is the name of several columns"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as raised:
        look_at(open_entities(tmp_path / name), COLUMNS)
    assert said in str(raised.value)


def test_times_are_read_in_every_zone_and_without_one(tmp_path):
    zoned = ["2026-01-01T12:00:00Z", "2026-01-01 13:00:00+01:00", "2026-01-01T06:30:00.000000-05:30"]
    assert (
        look_at(csv_of(tmp_path, *(f"1,{text}" for text in zoned)), COLUMNS)[1:] == (int(NOON.timestamp() * 1e6),) * 2
    )
    file = csv_of(tmp_path, "1,2026-01-01T12:00:00", "2,2026-01-01")
    look_at(file, COLUMNS)
    ((_, times, keys),) = entities(file, COLUMNS, 10)
    assert times.to_pylist() == [NOON, NOON.replace(hour=0)]
    assert keys["driver_id"].to_pylist() == [1, 2]


def test_digits_behind_microseconds_are_cut_in_every_format(tmp_path):
    texts = ["2026-01-01T12:00:00.123456789Z", "2026-01-01 13:00:00.1234567+01:00"]
    path = tmp_path / "entities.parquet"
    cut = NOON.replace(microsecond=123456)
    nanoseconds = pa.array([int(NOON.timestamp()) * 10**9 + 123456789], pa.timestamp("ns", "UTC"))
    parquet.write_table(pa.table({"driver_id": [1], "at": nanoseconds}), path)
    for file in (
        csv_of(tmp_path, *(f"1,{text}" for text in texts)),
        csv_of(tmp_path, "1,2026-01-01T12:00:00.123456789", "2,2026-01-01T12:00:00.1234569"),
        open_entities(path),
    ):
        look_at(file, COLUMNS)
        ((_, times, _),) = entities(file, COLUMNS, 10)
        assert set(times.to_pylist()) == {cut}


def test_mixed_zones_hide_no_other_row_that_is_wrong(tmp_path):
    said = refused(csv_of(tmp_path, "1,2026-01-01T00:00:00Z", "x,2026-01-01", "3,soon", "4,", ",2026-01-01"))
    assert "at: has times with a zone (row 1 first) and without (row 2 first)" in said
    assert "at: row 3 with a time that cannot be read" in said
    assert "at: row 4 without a time" in said
    assert "driver_id: row 2 with no whole number" in said
    assert "driver_id: row 5 without a value" in said


def test_a_text_that_is_no_time_is_none_without_a_zone(tmp_path):
    said = refused(csv_of(tmp_path, "1,2026-01-01T00:00:00Z", "2,soon"))
    assert "with a zone" not in said
    assert "at: row 2 with a time that cannot be read" in said


def test_a_join_key_of_times_may_have_zones_where_the_moments_have_none(tmp_path):
    columns = EntityColumns({"slot": "UnixTimestamp"}, "at")
    file = csv_of(tmp_path, "2026-01-01T00:00:00Z,2026-01-01", header="slot,at")
    assert look_at(file, columns)[0] == 1
    file = csv_of(tmp_path, "2026-01-01T00:00:00Z,2026-01-01", "2026-01-01,2026-01-01", header="slot,at")
    assert "slot: has times with a zone (row 1 first) and without (row 2 first)" in refused(file, columns)


def test_the_last_moment_of_all_is_one(tmp_path):
    file = csv_of(tmp_path, "1,9999-12-31T23:59:59.999999")
    _, first, last = look_at(file, COLUMNS)
    span = Span(moment(first), moment(last))
    assert "9999-12-31" in span.of_rows(TimeColumn(exp.column("at"), pa.timestamp("us")), 0).sql("duckdb")


def test_a_time_that_no_year_has_is_named(tmp_path):
    path = tmp_path / "entities.parquet"
    beyond = pa.array([0, 2**62], pa.timestamp("us"))
    parquet.write_table(pa.table({"driver_id": [1, 2], "at": beyond}), path)
    assert "at: row 2 with a time that is not of the years 1 to 9999" in refused(open_entities(path))


def test_other_columns_of_a_csv_become_what_all_their_texts_are(tmp_path):
    header = "driver_id,at,label,share,code,is_new"
    file = csv_of(tmp_path, "1,2026-01-01,1,0.5,007,true", "2,2026-01-01,,1,8,false", header=header)
    look_at(file, COLUMNS)
    ((batch, _, _),) = entities(file, COLUMNS, 10)
    assert batch.to_pylist()[1] | {"at": None} == {
        "driver_id": 2, "at": None, "label": None, "share": 1.0, "code": "8", "is_new": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9007199254740993", 9007199254740993),
        ("41111111111111111119", "41111111111111111119"),
        ("1234567890123.5", 1234567890123.5),
    ],
)
def test_no_digit_of_a_column_of_a_csv_is_lost(tmp_path, text, found):
    file = csv_of(tmp_path, f"1,2026-01-01,{text}", header="driver_id,at,card")
    look_at(file, COLUMNS)
    ((batch, _, _),) = entities(file, COLUMNS, 10)
    assert batch.column("card").to_pylist() == [found]


def test_rows_that_are_the_same_are_named(tmp_path):
    file = csv_of(tmp_path, "1,2026-01-01", "2,2026-01-01", "1,2026-01-01", "1,2026-01-02")
    with pytest.raises(InputError, match="rows 1 and 3 are the same; leave one of each"):
        refuse_duplicates(file, tmp_path, 128)
