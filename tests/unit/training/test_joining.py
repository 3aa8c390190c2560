"""The join in time of files, at the edges of microseconds and types; whole histories are compared in tests/feast."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from featureplane.errors import SourceError
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.rows import View
from featureplane.settings import PostgresAddress
from featureplane.training.history import Span
from featureplane.training.joining import Moments
from featureplane.training.opening import Wanted, open_histories

KEYS = (("day", "UnixTimestamp"), ("name", "String"))
SECOND = 10**9


def features_at(folder, rows, kind, moments, keys=KEYS, **of_keys):
    """The feature `f` of type `kind` at these moments, in microseconds since 1970."""
    parquet.write_table(pa.table(rows), folder / "rows.parquet")
    source = {
        "type": "file", "format": "parquet", "path": "rows.parquet", "timestamp_field": "at",
        "created_timestamp_column": "", "field_mapping": {},
    }  # fmt: skip
    view = View("feast", "view", keys, (("f", kind),), source)
    asked = Moments(pa.array(moments, pa.int64()).cast(pa.timestamp("us", "UTC")), of_keys)
    with open_histories([Wanted(view, ("f",))], asked.span, Places(Path(folder), PostgresAddress({}))) as histories:
        return histories.features_at(asked)["view:f"].to_pylist()


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("year", [1965, 2026])
def test_nanoseconds_count_as_the_microsecond_they_lie_in_and_the_later_of_them_wins(tmp_path, zone, year):
    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND
    times = pa.timestamp("ns", zone)
    rows = {
        "name": ["a"] * 4,
        "day": pa.array([start + SECOND // 2 + 7] * 4, pa.int64()).cast(times),
        "at": pa.array([start + 1999, start + 1500, start - 1, start + 2000], pa.int64()).cast(times),
        "f": [1, 2, 3, 4],
    }
    moments = [start // 1000 + more for more in (-2, -1, 0, 1, 2)]
    keys = {"name": pa.array(["a"] * 5), "day": pa.array([start // SECOND] * 5)}
    assert features_at(tmp_path, rows, "Int64", moments, **keys) == [None, 3, 3, 1, 4]


def test_a_feature_has_its_declared_type(tmp_path):
    rows = {"name": ["a", "b"], "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 2, "f": [1.0, float("nan")]}
    now, names = 2 * 10**15, pa.array(["a", "b"])
    assert features_at(tmp_path, rows, "Int32", [now] * 2, KEYS[1:], name=names) == [1, None]
    rows["f"] = [0.5, 1.0]
    with pytest.raises(SourceError, match=r"f: the value 0\.5 is no whole number"):
        features_at(tmp_path, rows, "Int64", [now] * 2, KEYS[1:], name=names)


def test_a_table_of_sparks_wants_a_project_that_reads_by_spark(tmp_path):
    source = {"type": "spark", "table": "lake.prices", "timestamp_field": "at", "created_timestamp_column": "",
              "field_mapping": {}}  # fmt: skip
    wanted = [Wanted(View("feast", "prices", (), (("f", "Int64"),), source), ("f",))]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with (
        pytest.raises(SourceError, match=r"table lake\.prices \(of prices\) is Spark's, .*offlineStore\.type to spark"),
        open_histories(wanted, Span(now, now), Places(tmp_path, PostgresAddress({}))),
    ):
        pass
