"""Training data of an S3 store: by the command, from the store into the store, and by Feast's SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import BufferReader

from cli.commands import Place, Ran, clean_environment
from cli.examples import named_stores
from data.objects.lake import files
from data.objects.moto_server import BUCKET, REGION, S3Server
from featureplane.settings import ObjectStore
from patience import PATIENCE

# Setting up takes commands of its own, on a machine that may have much else to do.
pytestmark = pytest.mark.timeout(600)

ENTITIES, OUT = f"s3://{BUCKET}/labels.csv", f"s3://{BUCKET}/made/training.parquet"
LABELS = """commodity,event_timestamp,label
silver,2026-01-10T12:00:00Z,1
gold,2026-01-10T11:59:59Z,0
tin,2026-01-11T12:00:00Z,1
"""
PRICE, TABLE_PRICE = "commodity_prices:price", "table_prices:price"
NAMES = ["commodity_prices__price", "table_prices__price"]
EXPECTED = [(None, 4.5), (None, None), (2.5, None)]
OTHER_SECRET = "wJalrXUtnFEMI/K7MDENG"  # nobody's
BY_SDK = f"""
import json, sys
import pandas as pd
from feast import FeatureStore

frame = pd.read_csv("labels.csv", parse_dates=["event_timestamp"])
store = FeatureStore("repo")
found = store.get_historical_features(frame, {[PRICE, TABLE_PRICE]}, full_feature_names=True).to_df()
print(found[{NAMES}].to_json(orient="values"))
"""


@pytest.fixture(scope="module")
def lake(place: Place, server: S3Server) -> Iterator[Path]:
    """The project's file, registered."""
    put(server, ENTITIES, LABELS)
    path = files(place, server.url)
    with named_stores(place):
        ran = place("apply", path)
        assert ran.status == 0, ran
        yield path


def put(server: S3Server, address: str, text: str) -> None:
    with server.opened().open_output_stream(address.removeprefix("s3://")) as stream:
        stream.write(text.encode())


def asked(place: Place, path: Path, entities: str | Path, out: str | Path, **variables: str) -> Ran:
    features = ("--feature", PRICE, "--feature", TABLE_PRICE, "--full-feature-names")
    return place("training-set", *features, path, "--entities", entities, "--out", out, env=variables)


def values(table: pa.Table) -> list[Any]:
    return list(zip(*(table.column(name).to_pylist() for name in NAMES), strict=True))


def test_a_file_of_the_store_becomes_a_training_set_there(place: Place, server: S3Server, lake: Path) -> None:
    ran = asked(place, lake, ENTITIES, OUT)
    assert ran.status == 0, ran
    assert f"3 rows in {OUT}; what was asked stands in {OUT}.json" in " ".join(ran.out.split())
    written = server.content(OUT)
    assert written is not None
    table = pq.read_table(BufferReader(written))
    assert table.column("label").to_pylist() == [1, 0, 1]
    assert values(table) == EXPECTED
    record = json.loads(server.content(f"{OUT}.json") or b"")
    assert (record["entities"]["file"], record["rows"]) == ("labels.csv", 3)
    assert record["features"] == dict(zip(NAMES, (PRICE, TABLE_PRICE), strict=True))


def test_the_sdk_joins_files_of_the_store_to_the_same(place: Place, server: S3Server, lake: Path) -> None:
    (place.folder / "labels.csv").write_text(LABELS)
    assert place("render", lake, "--out", place.folder / "repo").status == 0
    where = ObjectStore(server.url, REGION).environment()
    ran = subprocess.run(
        [sys.executable, "-c", BY_SDK], cwd=place.folder, env={**clean_environment(), **place.variables, **where},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert [tuple(row) for row in json.loads(ran.stdout.splitlines()[-1])] == EXPECTED


def test_a_wrong_row_of_a_file_of_the_store_is_named(place: Place, server: S3Server, lake: Path) -> None:
    wrong, out = f"s3://{BUCKET}/wrong.csv", f"s3://{BUCKET}/made/wrong.parquet"
    put(server, wrong, LABELS.replace("gold", ""))
    ran = asked(place, lake, wrong, out)
    assert ran.status != 0
    assert f"{wrong}: commodity: row 2" in " ".join(ran.err.split())
    assert server.content(out) is server.content(f"{out}.json") is None


@pytest.mark.parametrize(
    ("entities", "out", "why"),
    [
        (ENTITIES, "s3://ocean/set.parquet", "s3://ocean/set.parquet cannot be written: there is no bucket 'ocean'"),
        ("s3://ocean/labels.csv", OUT, "s3://ocean/labels.csv cannot be read: there is no bucket 'ocean'"),
        (f"s3://{BUCKET}/no.csv", OUT, f"s3://{BUCKET}/no.csv cannot be read: there is no file"),
        (ENTITIES, f"s3://{BUCKET}/set", "has no extension"),
        (ENTITIES, "s3:///set.csv", "names no bucket"),
    ],
)
def test_what_is_not_there_is_said(place: Place, lake: Path, entities: str, out: str, why: str) -> None:
    ran = asked(place, lake, entities, out)
    assert ran.status != 0
    assert why in " ".join(ran.err.split())


def test_refused_credentials_are_said_by_the_secret_that_holds_them(place: Place, server: S3Server, lake: Path) -> None:
    out = f"s3://{BUCKET}/made/refused.csv"
    ran = asked(place, lake, place.write("labels.csv", LABELS), out, AWS_SECRET_ACCESS_KEY=OTHER_SECRET)
    words = " ".join(ran.err.split())
    assert ran.status != 0
    assert f"{out} cannot be written: {server.url} refuses the Secret 'lake'" in words
    assert f"allow them to write to the bucket '{BUCKET}'" in words
    for secret in (OTHER_SECRET, server.secret, server.key):
        assert secret not in words
    assert server.content(out) is None
