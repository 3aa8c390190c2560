"""Which files a source's path means, and that they stay the same while they are read; real files."""

import os
import shutil
import threading
import time
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from sources_of_tests import DAY, a_view, at, prices

from featureplane.errors import FeatureplaneError, SourceChanged, SourceError
from featureplane.materialization.readers.files import find_files
from featureplane.materialization.readers.marks import Marks
from featureplane.materialization.rows import Window
from patience import SLACK

GOLD, TIN, LEAD = (prices((name, 1, 1.0)) for name in ("gold", "tin", "lead"))

PLACES = [
    ("prices", {"gold", "tin", "lead"}),
    ("prices/", {"gold", "tin", "lead"}),
    ("prices/a.parquet", {"gold"}),
    ("prices/*.parquet", {"gold", "tin"}),
    ("prices/a*", {"gold"}),
    ("prices/*", {"gold", "tin", "lead"}),
    ("*/*/*", {"lead"}),
    ("prices/d*p", {"lead"}),
    ("pr*s/deep", {"lead"}),
    ("prices/_hidden/old.parquet", {"copper"}),
    ("prices/_h*", {"copper"}),
]


@pytest.mark.parametrize(("path", "found"), PLACES)
def test_a_path_means_a_file_a_folder_or_what_its_stars_match(folder, path, found):
    folder.write(GOLD, "prices/a.parquet")
    folder.write(TIN, "prices/b [1].parquet")
    folder.write(LEAD, "prices/deep/c.parquet")
    folder.write(prices(("copper", 1, 1.0)), "prices/_hidden/old.parquet")
    (folder.path / "prices" / "_SUCCESS").touch()
    (folder.path / "prices" / ".a.parquet.crc").write_text("x")
    assert folder.prices(a_view(path=path)).keys() == found


def test_an_absolute_path_and_a_file_uri_are_taken_as_they_are(folder):
    place = folder.write(GOLD)
    for path in (str(place), f"file://{place}"):
        assert folder.prices(a_view(path=path)) == {"gold": 1.0}


def test_folders_named_by_values_give_the_columns_that_files_lack(folder):
    for day, market, name in (("2026-01-01", "a b", "gold"), ("2026-01-02", "7", "tin"), ("2026-01-03", "x", "lead")):
        table = prices((name, 1, 1.0)).drop_columns(["event_timestamp"])
        folder.write(table, f"prices/day={day}/market={market}/0.parquet")
    view = a_view(path="prices", timestamp_field="day", features=(("market", "String"), ("price", "Float64")))
    rows = {row["commodity"]: row for row in folder.rows(view)}
    assert {name: row["market"] for name, row in rows.items()} == {"gold": "a b", "tin": "7"}
    assert rows["tin"]["__event_timestamp"] == DAY.end


def test_rows_keep_their_files_where_folders_names_rule_files_out(folder):
    for day, rows in ((1, 2), (2, 5), (3, 4)):
        table = prices(*((f"c{row}", 1, float(day)) for row in range(rows))).drop_columns(["event_timestamp"])
        folder.write(table, f"prices/day=2026-01-0{day}/0.parquet")
    view = a_view(path="prices", timestamp_field="day")
    later = Window(at(24), at(48))
    assert folder.prices(view, later) == {"c4": 2.0, **dict.fromkeys(("c0", "c1", "c2", "c3"), 3.0)}
    assert folder.counts(view, later).latest == 5


@pytest.mark.parametrize("number", [2, 4 + 1, 8])
def test_a_row_beyond_its_file_is_no_row(number):
    marks = Marks([2, 1])
    with pytest.raises(SourceChanged, match="more rows"):
        marks.add(np.array([number]))
    with pytest.raises(SourceChanged, match="more rows"):
        marks.has(np.array([number]))


@pytest.mark.parametrize("name", ["y?.parquet", "x[1].parquet", "x[].parquet", "a{b,c}.parquet", "]", "\\", "day=[1]?"])
def test_a_name_is_no_pattern(folder, name):
    folder.write(GOLD, name)
    for other in ("yz.parquet", "x1.parquet", "ab.parquet", "d"):
        folder.write(TIN, other)
    assert folder.prices(a_view(path=name)) == {"gold": 1.0}
    assert find_files(folder.path, a_view(path=name).source) == [str(folder.path / name)]


def test_a_star_in_a_name_is_that_of_the_one_file(folder):
    folder.write(GOLD, "prices/a*.parquet")
    folder.write(TIN, "prices/ab.parquet")
    assert folder.prices(a_view(path="prices")) == {"gold": 1.0, "tin": 1.0}


@pytest.mark.parametrize(("path", "found"), PLACES)
def test_others_find_the_same_files(folder, path, found):
    places = {
        str(folder.write(prices((name, 1, 1.0)), place)): name
        for name, place in (
            ("gold", "prices/a.parquet"),
            ("tin", "prices/b [1].parquet"),
            ("lead", "prices/deep/c.parquet"),
            ("copper", "prices/_hidden/old.parquet"),
        )
    }
    assert {places[place] for place in find_files(folder.path, a_view(path=path).source)} == found


@pytest.mark.parametrize("path", ["nowhere", "empty", "*.nothing", "empty/*", "nowhere/*/x"])
def test_others_find_nothing_where_there_is_none(folder, path):
    (folder.path / "empty").mkdir()
    assert find_files(folder.path, a_view(path=path).source) == []


@pytest.mark.parametrize("path", ["link", "link/a.parquet", "*", "file.parquet"])
def test_a_link_does_not_lead_out_of_the_data_root(folder, path):
    secret = folder.write(GOLD, "secret/a.parquet")
    root = folder.path / "root"
    root.mkdir()
    (root / "link").symlink_to(secret.parent)
    (root / "file.parquet").symlink_to(secret)
    inner = replace(folder, path=root)
    for each in (path, str(root / path)):
        with pytest.raises(SourceError, match="outside of the data root"):
            inner.prices(a_view(path=each))
        with pytest.raises(SourceError, match="outside of the data root"):
            find_files(root, a_view(path=each).source)


def test_links_within_the_data_root_and_to_it_are_followed(folder):
    folder.write(GOLD, "root/a.parquet")
    (folder.path / "root" / "b.parquet").symlink_to("a.parquet")
    (folder.path / "home").symlink_to("root")
    inner = replace(folder, path=folder.path / "home")
    for path in ("b.parquet", str(folder.path / "root" / "b.parquet"), str(folder.path / "home" / "*")):
        assert inner.prices(a_view(path=path)) == {"gold": 1.0}


def test_a_query_opens_no_other_file_and_no_setting_changes_that(folder):
    folder.write(GOLD)
    other = folder.write(TIN, "other.parquet")
    with folder.open() as reader:
        for statement in (
            f"FROM read_parquet('{other}')",
            "SET enable_external_access = true",
            f"COPY (FROM 1) TO '{other}'",
        ):
            with pytest.raises(duckdb.Error):
                reader._duck.connection.execute(statement)  # noqa: SLF001
        assert [row["price"] for batch in reader.batches() for row in batch.to_pylist()] == [1.0]


def test_a_column_in_the_files_goes_before_a_folders_name(folder):
    folder.write(prices(("gold", 1, 1.0)), "prices/price=9/0.parquet")
    assert folder.prices(a_view(path="prices")) == {"gold": 1.0}


def test_a_column_of_nothing_but_nulls_fits_every_type(folder):
    rows = prices(("gold", 1, 1.0)).append_column("note", pa.nulls(1))
    folder.write(rows)
    view = a_view(features=(("price", "Float64"), ("note", "String")))
    assert [row["note"] for row in folder.rows(view)] == [None]


def test_whole_numbers_may_come_as_doubles(folder):
    folder.write(prices(("gold", 1, 1.0)))
    assert [row["price"] for row in folder.rows(a_view(features=(("price", "Int64"),)))] == [1.0]


def test_a_later_file_wins_a_tie(folder):
    folder.write(prices(("gold", 1, 2.0), ("gold", 1, 3.0)), "prices/2.parquet")
    folder.write(prices(("gold", 1, 1.0)), "prices/1.parquet")
    assert folder.prices(a_view(path="prices")) == {"gold": 3.0}


def test_files_may_differ_in_their_columns(folder):
    folder.write(prices(("gold", 1, 1.0)), "prices/1.parquet")
    newer = prices(("tin", 1, 2.0)).append_column("volume", pa.array([5]))
    folder.write(newer.select(["volume", "price", "commodity", "event_timestamp"]), "prices/2.parquet")
    view = a_view(path="prices", features=(("price", "Float64"), ("volume", "Int64")))
    rows = {row["commodity"]: (row["price"], row["volume"]) for row in folder.rows(view)}
    assert rows == {"gold": (1.0, None), "tin": (2.0, 5)}


def test_a_thousand_row_groups_in_many_files_are_each_read_once(folder):
    for number in range(20):
        rows = [(f"c{index % 70}", (index + number) % 24, number * 100.0 + index) for index in range(100)]
        folder.write(prices(*rows), f"prices/{number:02}.parquet", row_group_size=2)
    assert folder.counts(a_view(path="prices")).read == 2_000
    assert len(folder.prices(a_view(path="prices"))) == 70


REFUSED = [
    ({"path": "nowhere.parquet"}, "there is nothing at"),
    ({"path": "*.nothing"}, "there is nothing at"),
    ({"path": "s3://bucket:x/y", "format": "delta"}, "cannot be"),
    ({"path": "prices.parquet", "format": "delta"}, "Delta"),
    ({"path": "broken.parquet"}, "check the files, and spec.source.file.format"),
    ({"timestamp_field": "price"}, "'price' is double, not a timestamp; name a column of times"),
    ({"timestamp_field": "at"}, "no column 'at'; its columns are commodity, event_timestamp, price;"),
    ({"created_timestamp_column": "written"}, "no column 'written'"),
    ({"keys": (("commodity", "Int64"),)}, "'commodity' is string, which is no Int64"),
    ({"keys": (("market", "Int64"),)}, "no column 'market'"),
    ({"features": (("price", "Bool"),)}, "'price' is double, which is no Bool; correct the type or the source"),
    ({"features": (("Price", "Float64"),)}, "no column 'Price'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_cannot_be_read_is_said_with_its_remedy(folder, changes, message):
    folder.write(prices(("gold", 1, 1.0)))
    (folder.path / "broken.parquet").write_text("price\n1\n")
    with pytest.raises(SourceError) as caught:
        folder.rows(a_view(**changes))
    assert message in str(caught.value)
    assert not caught.value.retriable


def test_a_truncated_file_is_unreadable(folder):
    place = folder.write(prices(*((f"c{index}", 1, index * 1.7) for index in range(5_000))))
    whole = place.read_bytes()
    place.write_bytes(whole[:500] + whole[2_000:])
    with pytest.raises(SourceError, match=r"prices\.parquet"):
        folder.rows()


def test_names_that_reading_needs_are_refused(folder):
    folder.write(prices(("gold", 1, 1.0)).append_column("FILE_INDEX", pa.array([1])))
    with pytest.raises(SourceError, match=r"FILE_INDEX.*rename it"):
        folder.rows()


MANY = prices(*((f"c{index}", 1, float(index)) for index in range(30_000)))
OTHER = prices(*((f"c{index}", 2, -1.0) for index in range(29_000)))


def test_a_file_that_is_replaced_between_the_passes_is_an_error_before_any_row(folder):
    folder.write(MANY)
    with folder.open() as reader:
        reader.null_counts(["price"])
        folder.write(OTHER, "other.parquet").replace(folder.path / "prices.parquet")
        with pytest.raises(SourceChanged) as caught:
            list(reader.batches())
    assert caught.value.retriable


@pytest.mark.parametrize("how", ["replaced", "overwritten", "deleted"])
def test_a_file_that_changes_while_its_rows_stream_is_an_error_at_the_latest_at_their_end(folder, how):
    place = folder.write(MANY)
    other = folder.write(OTHER, "other.parquet")
    with folder.open() as reader:
        batches = reader.batches()
        next(batches)
        if how == "replaced":
            other.replace(place)
        elif how == "overwritten":
            shutil.copyfile(other, place)
        else:
            place.unlink()
        with pytest.raises(SourceError):
            list(batches)


def test_a_touched_file_is_taken_for_another(folder):
    place = folder.write(MANY)
    with folder.open() as reader:
        batches = reader.batches()
        next(batches)
        os.utime(place, (at(1).timestamp(), at(1).timestamp()))
        with pytest.raises(SourceChanged):
            list(batches)


def test_too_little_memory_and_no_scratch_space_is_said_so(folder):
    rows = 600_000
    folder.write(
        pa.table(
            {
                "commodity": pa.array([f"a commodity with a long name {number}" for number in range(rows)]),
                "event_timestamp": pa.array([at(1)] * rows, pa.timestamp("us", tz="UTC")),
                "price": pa.array([1.0] * rows),
            }
        )
    )
    folder.options = {"memory_mb": 24}
    folder.batch_rows = 5_000
    assert folder.counts().latest == rows
    folder.options = {"memory_mb": 8}
    with pytest.raises(FeatureplaneError, match="memory and scratch space"):
        folder.counts()


def test_a_cancelled_reader_ends_at_once_and_stays_so(folder):
    rows = 1_500_000
    folder.write(
        pa.table(
            {
                "commodity": pa.array([f"a commodity with a long name {number}" for number in range(rows)]),
                "event_timestamp": pa.array([at(1)] * rows, pa.timestamp("us", tz="UTC")),
                "price": pa.array([1.0] * rows),
            }
        )
    )
    with folder.open() as reader:
        cancelling = threading.Timer(0.2, reader.cancel)
        cancelling.start()
        with pytest.raises(FeatureplaneError, match="cancelled") as caught:
            list(reader.batches())
        ended = time.monotonic()
        cancelling.join()
        assert time.monotonic() - ended < 1 + SLACK
        assert not isinstance(caught.value, SourceError)
        with pytest.raises(FeatureplaneError, match="cancelled"):
            reader.null_counts(["price"])


def test_a_reader_that_is_cancelled_while_its_rows_stream_gives_no_more(folder):
    folder.write(MANY)
    with folder.open() as reader:
        batches = reader.batches()
        next(batches)
        reader.cancel()
        with pytest.raises(FeatureplaneError, match="cancelled"):
            list(batches)


def test_nothing_is_left_on_the_scratch_disk(folder):
    folder.write(MANY)
    scratch = folder.path / "scratch"
    scratch.mkdir()
    folder.scratch = scratch
    folder.counts()
    assert list(scratch.iterdir()) == []
