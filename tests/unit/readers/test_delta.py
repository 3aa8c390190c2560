"""Delta tables at the version of the moment; real tables."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from sources_of_tests import a_view, prices

from featureplane.errors import SourceError

VIEW = a_view(path="table", format="delta")


def write(folder, *rows, **options):
    write_deltalake(str(folder.path / "table"), prices(*rows), mode="append", **options)


def test_a_table_is_read(folder):
    write(folder, ("gold", 1, 1.0), ("tin", 1, 1.0))
    write(folder, ("gold", 2, 2.0))
    assert folder.prices(VIEW) == {"gold": 2.0, "tin": 1.0}


def test_files_that_are_no_longer_of_the_table_are_not_read(folder):
    write(folder, ("gold", 1, 1.0), ("tin", 1, 1.0))
    DeltaTable(str(folder.path / "table")).delete("commodity = 'tin'")
    assert folder.prices(VIEW) == {"gold": 1.0}


def test_a_table_stays_at_the_version_it_was_opened_at(folder):
    write(folder, ("gold", 1, 1.0))
    with folder.open(VIEW) as reader:
        write(folder, ("gold", 2, 2.0))
        assert [row["price"] for batch in reader.batches() for row in batch.to_pylist()] == [1.0]
    assert folder.prices(VIEW) == {"gold": 2.0}


def test_partitions_have_the_tables_types_and_any_value(folder):
    table = prices(*((name, 1, 1.0) for name in ("007", "a b", "ü/=%20", "2026-01-01")))
    table = table.append_column("market", pa.array([1, 2, None, 3]))
    write_deltalake(str(folder.path / "table"), table, partition_by=["commodity", "market"])
    view = a_view(path="table", format="delta", features=(("price", "Float64"), ("market", "Int64")))
    rows = {row["commodity"]: row["market"] for row in folder.rows(view)}
    assert rows == {"007": 1, "a b": 2, "ü/=%20": None, "2026-01-01": 3}


def test_a_table_without_files_gives_no_batch(folder):
    DeltaTable.create(str(folder.path / "table"), schema=prices().schema)
    assert folder.batches(VIEW) == []
    with pytest.raises(SourceError, match="no column 'volume'"):
        folder.rows(a_view(path="table", format="delta", features=(("volume", "Int64"),)))


def test_a_log_and_a_folder_that_disagree_are_for_somebody_to_repair(folder):
    write(folder, ("gold", 1, 1.0))
    next((folder.path / "table").glob("*.parquet")).unlink()
    with pytest.raises(SourceError, match=r"names a file that is not in its folder .*restore the file") as caught:
        folder.rows(VIEW)
    assert not caught.value.retriable


def test_what_is_no_table_is_said_so(folder):
    with pytest.raises(SourceError, match="there is no Delta table at table"):
        folder.rows(VIEW)
    folder.write(prices(("gold", 1, 1.0)), "table/0.parquet")
    with pytest.raises(SourceError, match="there is no Delta table at table"):
        folder.rows(VIEW)
