"""What the page shows in its tests: rows of which one is old, texts that would be HTML, and thousands of views."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg

from factories import Object, a_feature, a_feature_view, a_project, a_service, a_source, an_entity, declared
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.registry import catalogue
from featureplane.registry.database import begin, engine_for
from featureplane.registry.plan import compare
from featureplane.registry.protos import FeatureView
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.settings import Stores

NOW = datetime.now(UTC).replace(microsecond=0)
# More than JavaScript's numbers tell apart.
BIG = 9_007_199_254_740_993
HOSTILE = """<img src=x onerror="document.title='taken'">"""
MANY = 5_000
FEATURES = {"price": "Float64", "volume": "Int64", "name": "String", "listed": "Bool", "history": "Array(Float32)"}


def objects(folder: Path, ttl: str = "1d") -> list[Object]:
    """A project whose rows are in files of the folder, with two views and a service."""
    return [
        a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(folder)}}),
        a_feature_view(features=[a_feature(*each) for each in FEATURES.items()], ttl=ttl),
        a_feature_view(
            "shipments",
            entities=[an_entity("shipment", joinKey="shipment_id", type="Int64")],
            features=[a_feature("tonnes", "Float64", deprecated={"since": "2026-03-31", "message": HOSTILE})],
            owner="logistics@example.com",
            tags={"domain": "freight"},
            source=a_source(file={"path": "shipments.parquet"}),
        ),
        a_service(),
    ]


def fill(folder: Path) -> None:
    """The files with the rows."""
    pd.DataFrame(
        {
            "event_timestamp": [NOW - timedelta(minutes=5), NOW - timedelta(days=3)],
            "commodity": ["gold", "silver"],
            "price": [71.5, 0.25],
            "volume": [BIG, 7],
            "name": [HOSTILE, "silver"],
            "listed": [True, None],
            "history": [[0.5, 1.0], [0.5] * 400],
        }
    ).to_parquet(folder / "prices.parquet")
    pd.DataFrame({"event_timestamp": [NOW - timedelta(hours=5)], "shipment_id": [BIG], "tonnes": [12.0]}).to_parquet(
        folder / "shipments.parquet"
    )


def set_up(stores: Stores, folder: Path) -> None:
    """Register, copy, and have Feast's registry hold more views as others would have written them."""
    fill(folder)
    # A run copies nothing that is past its ttl: silver is, once the ttl is shorter.
    (copied,), (declarations,) = declared(*objects(folder, "10d")), declared(*objects(folder))
    tasks = [Task(view, BEGINNING, NOW, "hourly") for view in ("commodity_prices", "shipments")]
    with Writer(declarations.project, stores) as writer:
        writer.apply(compare("feast", define(copied), Registered()))
        with materializer(copied.project, stores, folder) as engine:
            assert [run.result for run in engine.run(tasks)] == ["Succeeded"] * 2
        writer.apply(compare("feast", define(declarations), read(stores)))
    with psycopg.connect(**stores.postgres.keywords) as connection:
        (stored,) = connection.execute(
            "SELECT feature_view_proto FROM feature_views WHERE feature_view_name = 'commodity_prices'"
        ).fetchone()
        insert = (
            "INSERT INTO feature_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto) "
            "VALUES (%s, 'feast', 0, %s)"
        )
        rows = [(name, _renamed(stored, name)) for name in [HOSTILE, *(f"view_{n:04}" for n in range(MANY))]]
        connection.cursor().executemany(insert, rows)


def read(stores: Stores) -> Registered:
    """What is registered by now."""
    engine = engine_for(stores.postgres)
    with begin(engine, stores.postgres) as connection:
        return catalogue.read(connection, "feast")


def _renamed(stored: bytes, name: str) -> bytes:
    view = FeatureView.FromString(stored)
    view.spec.name = name
    return view.SerializeToString()
