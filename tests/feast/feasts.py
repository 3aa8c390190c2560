"""A project that only Feast has written: its repo, applied and materialized by Feast's own command line."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pyarrow import parquet
from world import World

from featureplane.registry.database import ensure_database
from featureplane.settings import Stores

PROJECT = "feasts_own"
REPO = Path(__file__).with_name("feasts_own")
NOW = datetime.now(UTC).replace(microsecond=0)


def registry_url(stores: Stores) -> str:
    keywords = stores.postgres.keywords
    return f"postgresql+psycopg://{keywords['user']}@/{keywords['dbname']}?host={keywords['host']}"


def config(stores: Stores, **registry: Any) -> dict[str, Any]:
    """feature_store.yaml as a user of Feast has it."""
    redis = stores.redis
    where = [f"{redis.host}:{redis.port}", f"db={redis.db}"]
    where += [f"{name}={value}" for name in ("username", "password") if (value := getattr(redis, name))]
    return {
        "project": PROJECT,
        "provider": "local",
        "registry": {"registry_type": "sql", "path": registry_url(stores), "cache_ttl_seconds": 1, **registry},
        "online_store": {"type": "redis", "connection_string": ",".join(where)},
        "offline_store": {"type": "file"},
        "entity_key_serialization_version": 3,
    }


def applied(world: World, **registry: Any) -> Path:
    """The folder of the repo, applied: the registry holds it, the online store nothing yet."""
    ensure_database(world.stores.postgres)
    folder = world.folder / "feasts_own"
    shutil.copytree(REPO, folder)
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config(world.stores, **registry)))
    parquet.write_table(rows(), folder / "rows.parquet")
    feast(world, folder, "apply")
    return folder


def feast(world: World, folder: Path, *arguments: str) -> None:
    ran = world.feast(*arguments, folder=folder)
    assert ran.returncode == 0, ran.stdout


def materialize(world: World, folder: Path) -> None:
    end = (NOW + timedelta(hours=1)).isoformat()
    feast(world, folder, "materialize", (NOW - timedelta(days=30)).isoformat(), end)


def rows() -> pa.Table:
    """A row for each of a few drivers, words, days and floors; the later ones are older than a day."""
    days = [NOW - timedelta(days=number, microseconds=1_000 * number) for number in range(4)]
    return pa.table(
        {
            "driver_id": pa.array([1, 2, 3, -4], pa.int64()),
            "word": ["a", "ü", "", "a b"],
            "day": pa.array(
                [datetime(2024, 1, number, tzinfo=UTC) for number in (1, 2, 3, 4)], pa.timestamp("us", "UTC")
            ),
            "floor": pa.array([0, 1, -1, 7], pa.int32()),
            "trips": pa.array([5, None, 7, 2**40], pa.int64()),
            "rate": [0.5, -1.25, None, 1e300],
            "tags": [["x", "y"], [], None, ["ü"]],
            "count": pa.array([1, 2, None, 4], pa.int32()),
            "share": [0.25, None, 1.0, 0.5],
            "rain": [0.0, 1.5, None, 3.0],
            "doors": pa.array([3, None, 0, 1], pa.int32()),
            "speed": [1.0, 2.0, 3.0, 4.0],
            "all_trips": pa.array([12, 11, 10, 9], pa.int64()),
            "all_rates": [0.1, 0.2, 0.3, 0.4],
            "größe (cm)": pa.array([180, None, 160, 170], pa.int64()),
            "a.b-c d": ["é", "", None, "z"],
            "naps": pa.array([1, 2, 3, 4], pa.int64()),
            "clicked": pa.array([10, None, 30, 40], pa.int64()),
            "event_timestamp": pa.array(days, pa.timestamp("us", "UTC")),
        }
    )
