"""A Cassandra for all tests of this folder, and a project for each file."""

import os
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.commands import Place
from data.cassandra.cassandra_server import CassandraServer, cassandra_server
from data.cassandra.project import ACCOUNT, AMOUNTS, NOON, Fraud, cassandra, objects
from data.maven import java_problem
from featureplane.local.stores import embedded_stores


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CassandraServer]:
    if problem := java_problem("Cassandra"):
        pytest.fail(problem, pytrace=False)
    with cassandra_server(tmp_path_factory.mktemp("cassandra")) as found:
        yield found


@pytest.fixture(scope="module")
def fraud(server: CassandraServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fraud]:
    folder = tmp_path_factory.mktemp("fraud")
    rows = {"transaction": list(AMOUNTS), "amount": list(AMOUNTS.values()), "score": [0.5, 0.25]}
    pq.write_table(pa.table({**rows, "event_timestamp": [NOON] * 2}), folder / "transactions.parquet")
    with (
        pytest.MonkeyPatch.context() as patch,
        embedded_stores(folder / "stores", search_path=os.environ["PATH"]) as stores,
    ):
        for name, value in ACCOUNT.items():
            patch.setenv(name, value)
        made = Fraud(server, stores, folder, cassandra(server.port))
        made.register(*objects(made.online))
        yield made
        made.drop_tables()


@pytest.fixture
def place(fraud: Fraud) -> Place:
    return Place(fraud.root, {"FEATUREPLANE_STORES": "environment", **fraud.stores.environment(), **ACCOUNT})
