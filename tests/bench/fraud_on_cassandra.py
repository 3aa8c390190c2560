"""The example fraud with its rows in a real Cassandra, read in the three ways that are measured on Redis."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import example
import yaml
from example_source import features_of
from harness import Result
from side_by_side import Read, in_turns, through_feasts_sdk, through_the_server

from data.maven import CACHE, java_problem
from featureplane.local.redis_server import HOST
from featureplane.online.cassandra import connect, table_of
from featureplane.registry.protos import Value
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.settings import Settings, Stores


def why_left_out() -> str:
    """What it takes and is not here, or nothing."""
    if find_spec("cassandra") is None:
        return "the driver is not here: pip install 'featureplane[cassandra]'"
    if problem := java_problem("Cassandra"):
        return problem
    if find_spec("pyspark") is None and not any(CACHE.glob("cassandra-*/")):
        return "its jars are not here, nor PySpark, which fetches them: run make test-data once"
    return ""


def results(part: example.Part, stores: Stores, root: Path, times: int) -> Iterator[Result]:
    """The figures; `root` has what was generated for the example."""
    from data.cassandra.cassandra_server import PASSWORD, USER, cassandra_server

    place = root / "on-cassandra"
    place.mkdir()
    os.environ |= {"FEATUREPLANE_CASSANDRA_USERNAME": USER, "FEATUREPLANE_CASSANDRA_PASSWORD": PASSWORD}
    with cassandra_server(place) as server:
        examples = _declared(part, place / "examples", server.port)
        with example.served(part, stores, root / part.example, 0, examples) as up, _directly(up, part) as direct:
            ways = {
                "cassandra_directly": (direct, ""),
                "on_cassandra_server": (through_the_server(up, part), ""),
                "on_cassandra_feasts_sdk": (through_feasts_sdk(up, part, place / "repo"), ""),
            }
            yield from in_turns(part, up, ways, times)


@contextmanager
def _directly(up: example.Served, part: example.Part) -> Iterator[Read]:
    """Reads the service's features of one entity by a prepared statement and parses them, and nothing else."""
    store = up.workspace.declarations.project.spec.online_store.cassandra
    assert store
    (name,) = part.entities
    references = features_of(up.workspace.declarations, part.service)
    features = [feature for _, feature in references]
    project = up.workspace.feast_project
    maker = KeyMaker([(name, "String")], project)
    session = connect(store, Settings.from_env().cassandra)
    table = table_of(store.keyspace, project, references[0][0])
    query = session.prepare(f"SELECT feature_name, value FROM {table} WHERE entity_key = ? AND feature_name IN ?")

    def read(key: str) -> dict[str, Any]:
        # Feast's key in Redis, in hexadecimal and without the project that ends it there.
        entity = maker.keys([[key]])[0].removesuffix(project.encode()).hex()
        found = {row.feature_name: Value.FromString(row.value) for row in session.execute(query, (entity, features))}
        assert len(found) == len(features), f"{key} is not there"
        return found

    try:
        yield read
    finally:
        session.cluster.shutdown()


def _declared(part: example.Part, folder: Path, port: int) -> Path:
    """The example's definitions below `folder`, with another online store."""
    from data.cassandra.cassandra_server import KEYSPACE

    files = shutil.copytree(
        example.EXAMPLES_FOLDER / part.folder, folder / part.folder, ignore=shutil.ignore_patterns("data")
    )
    path = Path(files) / "project.yaml"
    project = yaml.safe_load(path.read_text(encoding="utf-8"))
    project["spec"]["onlineStore"] = {"cassandra": {"hosts": [HOST], "port": port, "keyspace": KEYSPACE}}
    path.write_text(yaml.safe_dump(project), encoding="utf-8")
    return folder
