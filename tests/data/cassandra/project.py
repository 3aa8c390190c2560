"""A project whose rows are in Cassandra, in its places."""

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from cli.commands import Place
from data.cassandra.cassandra_server import KEYSPACE, PASSWORD, USER, CassandraServer
from factories import Object, a_feature, a_feature_view, a_project, a_source, an_entity, declared, to_yaml
from featureplane.local.redis_server import HOST
from featureplane.materialization.history import Run
from featureplane.materialization.purge import Purged, purge
from featureplane.materialization.purge_cassandra import CassandraRows
from featureplane.materialization.run import materializer
from featureplane.materialization.windows import BEGINNING, Task
from featureplane.registry import catalogue
from featureplane.registry.database import begin_once
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import define
from featureplane.settings import Settings, Stores

NOON = dt.datetime(2026, 1, 10, 12, tzinfo=dt.UTC)
VIEW = "transaction_features"
AMOUNTS = {"t1": 12.5, "t2": 99.0}
ACCOUNT = {"FEATUREPLANE_CASSANDRA_USERNAME": USER, "FEATUREPLANE_CASSANDRA_PASSWORD": PASSWORD}


def cassandra(port: int, **changes: Any) -> Object:
    return {"cassandra": {"hosts": [HOST], "port": port, "keyspace": KEYSPACE, **changes}}


def objects(online: Object, *features: str, writes: bool = False) -> list[Object]:
    columns = [a_feature(name, "Float64") for name in features or ("amount", "score")]
    source = a_source(file={"path": "transactions.parquet"})
    view = a_feature_view(
        "transaction-features",
        entities=[an_entity("transaction")],
        features=columns,
        source=source,
        push={"enabled": True},
    )
    return [a_project(onlineStore=online, purgeAfter="1s", server={"writes": {"enabled": writes}}), view]


@dataclass
class Fraud:
    """The project in its places."""

    server: CassandraServer
    stores: Stores
    root: Path
    online: Object = field(default_factory=dict)

    def project(self, *found: Object) -> Any:
        return declared(*found)[0].project

    def register(self, *found: Object) -> None:
        (declarations,) = declared(*found)
        known = Registered()
        if self.is_registered:
            with begin_once(self.stores.postgres) as connection:
                known = catalogue.read(connection, "feast")
        with Writer(declarations.project, self.stores) as writer:
            writer.apply(compare("feast", define(declarations), known, prune=True))
        self.is_registered = True

    is_registered = False

    def copy(self, online: Object) -> Run:
        with materializer(self.project(*objects(online)), self.stores, self.root) as engine:
            (run,) = engine.run([Task(VIEW, BEGINNING, NOON + dt.timedelta(hours=1), "hourly")])
        return run

    def tables(self) -> list[str]:
        with self.server.session() as session:
            rows = session.execute(f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{KEYSPACE}'")
            return [row.table_name for row in rows]

    def drop_tables(self) -> None:
        """Leave nothing to the next file."""
        with self.server.session() as session:
            for table in self.tables():
                session.execute(f'DROP TABLE {KEYSPACE}."{table}"', timeout=60)

    def purge(self, pause: Callable[[float], None] = time.sleep) -> list[Purged]:
        with psycopg.connect(**self.stores.postgres.keywords) as connection:
            connection.execute("UPDATE featureplane.purges SET due_at = now() - interval '1 second'")
        store = self.project(*objects(self.online)).spec.online_store.cassandra
        account = Settings.from_env().cassandra
        return purge(self.stores, "feast", pause, cassandra=lambda: CassandraRows(store, account, "feast"))


def asked(url: str, *entities: str, features: tuple[str, ...] = (f"{VIEW}:amount",)) -> list[Any]:
    request = {"features": list(features), "entities": {"transaction": list(entities)}}
    answer = httpx.post(f"{url}/get-online-features", json=request, trust_env=False, timeout=200)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"][1]["values"])


def found_by_doctor(place: Place, online: Object) -> dict[str, Any]:
    path = place.write("features.yaml", to_yaml(*objects(online)))
    said = json.loads(place("doctor", path, "--json").out)
    (finding,) = [item for item in said if item["what"] == "online store"]
    return dict(finding)
