"""What lies in the store: a view's Parquet files and another's Delta table, and the project that names them."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake

from cli.commands import Place
from data.objects.moto_server import BUCKET, REGION, S3Server
from factories import a_feature_view, a_project, a_source, to_yaml

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)


def fill(server: S3Server) -> None:
    bucket = server.opened()
    for name, rows in {"a": ("gold", 1.5), "b": ("tin", 2.5)}.items():
        pq.write_table(_prices(rows), f"{BUCKET}/features/prices/{name}.parquet", filesystem=bucket)
    options = {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": REGION, "AWS_ALLOW_HTTP": "true", **server.credentials}
    for price in (3.5, 4.5):
        table = _prices(("silver", price))
        write_deltalake(f"s3://{BUCKET}/features/table", table, mode="overwrite", storage_options=options)


def _prices(*rows: tuple[str, float]) -> pa.Table:
    names, values = zip(*rows, strict=True)
    return pa.table({"commodity": names, "price": values, "event_timestamp": [NOON] * len(rows)})


def files(place: Place, endpoint: str, root: str = f"s3://{BUCKET}/features") -> Path:
    """A project on the store, with a view of Parquet files and one of a Delta table."""
    offline = {"dataRoot": {"uri": root, "s3": {"endpoint": endpoint, "region": REGION}}, "secretRef": {"name": "lake"}}
    project = a_project(offlineStore=offline)
    view = a_feature_view(source=a_source(file={"path": "prices/*.parquet"}))
    table = a_feature_view("table-prices", source=a_source(file={"path": "table", "format": "delta"}))
    path = place.folder / "features.yaml"
    path.write_text(to_yaml(project, view, table))
    return path
