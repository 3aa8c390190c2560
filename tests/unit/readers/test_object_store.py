"""Files in an object store: a folder of this machine, behind the same interface and under the store's scheme."""

import pytest
from pyarrow import fs
from sources_of_tests import a_view, prices

from featureplane.errors import SourceChanged, SourceError
from featureplane.materialization.readers import files


@pytest.fixture(params=["s3", "gs", "abfs"])
def store(request, folder, monkeypatch):
    """The address of a bucket, which is the test's folder `bucket`."""
    whole = fs.SubTreeFileSystem(str(folder.path), fs.LocalFileSystem())
    monkeypatch.setattr(files, "open_bucket", lambda _, bucket: (whole, bucket))
    return f"{request.param}://bucket"


@pytest.mark.parametrize("path", ["a/prices.parquet", "a", "a/", "a/*.parquet", "*"])
def test_files_folders_and_stars(folder, store, path):
    folder.write(prices(("gold", 1, 1.0), ("gold", 2, 2.0)), "bucket/a/prices.parquet")
    assert folder.prices(a_view(path=f"{store}/{path}")) == {"gold": 2.0}


def test_folders_named_by_values(folder, store):
    folder.write(prices(("gold", 1, 1.0)), "bucket/a/market=7/0.parquet")
    folder.write(prices(("tin", 1, 1.0)), "bucket/a/market=8/0.parquet")
    view = a_view(path=f"{store}/a", features=(("market", "Int64"),))
    assert {row["commodity"]: row["market"] for row in folder.rows(view)} == {"gold": 7, "tin": 8}


def test_an_object_that_is_not_there_is_said_with_its_address(folder, store):
    (folder.path / "bucket").mkdir()
    with pytest.raises(SourceError, match=f"nothing at {store}/nowhere"):
        folder.rows(a_view(path=f"{store}/nowhere"))


def test_an_object_that_is_replaced_is_noticed(folder, store):
    folder.write(prices(*((f"c{index}", 1, 1.0) for index in range(30_000))), "bucket/a.parquet")
    with folder.open(a_view(path=f"{store}/a.parquet")) as reader:
        batches = reader.batches()
        next(batches)
        folder.write(prices(("gold", 1, 1.0)), "b.parquet").replace(folder.path / "bucket" / "a.parquet")
        with pytest.raises(SourceChanged):
            list(batches)
