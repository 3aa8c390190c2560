"""A file appears whole or not at all."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from featureplane.errors import InputError
from featureplane.training.output import check_output, table_appearing

ROWS = pa.table({"a": [1, 2]})


def test_a_table_of_pieces_is_one_file_once_it_is_whole(tmp_path):
    out = tmp_path / "out.parquet"
    with table_appearing(str(out), "parquet") as writer:
        writer.write(ROWS)
        writer.write(ROWS)
        assert not out.exists()
    assert parquet.read_table(out).column("a").to_pylist() == [1, 2, 1, 2]
    assert list(tmp_path.iterdir()) == [out]


def test_what_fails_leaves_the_file_before_as_it_was(tmp_path):
    out = tmp_path / "out.parquet"
    out.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), table_appearing(str(out), "parquet") as writer:
        writer.write(ROWS.slice(0, 1 // 0))
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_column_that_csv_has_no_form_for_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match="cannot be written as csv"),
        table_appearing(str(tmp_path / "out.csv"), "csv") as writer,
    ):
        writer.write(pa.table({"a": [[1]]}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "why"),
    [("gone/out.csv", "there is no folder"), ("out", "has no extension"), ("folder.csv", "is a folder")],
)
def test_where_nothing_can_be_written_is_said_before(tmp_path, name, why):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=why):
        check_output(str(tmp_path / name), str(tmp_path / "labels.csv"))


@pytest.mark.parametrize("name", ["labels.csv", "link.csv"])
def test_the_file_of_entities_is_never_replaced(tmp_path, name):
    (tmp_path / "labels.csv").write_text("driver_id\n1\n")
    (tmp_path / "link.csv").symlink_to("labels.csv")
    with pytest.raises(InputError, match="is the file of --entities, which would be lost"):
        check_output(str(tmp_path / name), str(tmp_path / "labels.csv"))
