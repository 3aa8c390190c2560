"""A Kubernetes API, PostgreSQL and an operator for the tests of this folder; `make test-cluster` runs them.

Each test has a namespace of its own, with the Secrets of a registry of its own, and an operator that serves no other.
"""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api import Api, condition, until
from cluster.operator_process import OperatorProcess
from featureplane.local.stores import embedded_stores
from featureplane.registry import catalogue
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.registry.state import Registered
from featureplane.settings import PostgresAddress, Stores
from kube.guard import Cluster, test_kubeconfig

ROOT = Path(__file__).resolve().parents[2]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kube() -> Iterator[Cluster]:
    with test_kubeconfig() as cluster:
        api = Api(cluster.kubeconfig)
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            api.apply(yaml.safe_load(path.read_text()))
        until(lambda: all(_is_established(crd) for crd in api.list("apiextensions.k8s.io/v1", CRD, None)))
        yield cluster


CRD = "CustomResourceDefinition"


def _is_established(crd: Mapping[str, Any]) -> bool:
    return condition(dict(crd), "Established")[0] == "True"


@pytest.fixture(scope="session")
def api(kube: Cluster) -> Api:
    return Api(kube.kubeconfig)


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    with embedded_stores(None, search_path=os.environ["PATH"]) as found:
        yield found


@dataclass
class Place:
    """One namespace with Secrets, and the registry that they lead to."""

    api: Api
    kubeconfig: Path
    namespace: str
    stores: Stores
    folder: Path
    operators: list[OperatorProcess]

    def operator(self, settings: Mapping[str, str] | None = None, **options: Any) -> OperatorProcess:
        """A new operator for this namespace, ended with the test."""
        log = self.folder / f"operator-{len(self.operators)}.log"
        made = OperatorProcess(self.kubeconfig, self.namespace, log, settings)
        self.operators.append(made)
        return made.start(**options)

    def apply(self, *objects: dict[str, Any]) -> None:
        for item in objects:
            self.api.apply(item, self.namespace)

    def get(self, item: dict[str, Any]) -> dict[str, Any] | None:
        return self.api.get(item, self.namespace)

    def child(self, api_version: str, kind: str, name: str) -> dict[str, Any] | None:
        return self.api.get({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}, self.namespace)

    def wait_for(
        self, item: dict[str, Any], kind: str, status: str = "True", reason: str | None = None, seconds: float = 30
    ) -> dict[str, Any]:
        """Wait until a condition of the object's present generation is so, and return the object."""

        def is_so() -> dict[str, Any] | None:
            found = self.get(item)
            assert found is not None, "the object is not there"
            state = condition(found, kind)
            generation = found.get("status", {}).get("observedGeneration")
            assert state[0] == status, (state, found.get("status"))
            assert reason is None or state[1] == reason, found["status"]["conditions"]
            assert generation == found["metadata"]["generation"], "the status is about an older generation"
            return found

        return dict(until(is_so, seconds))

    def registered(self, project: str = "feast") -> Registered:
        if not database_exists(self.stores.postgres):
            return Registered()
        engine = engine_for(self.stores.postgres)
        try:
            with begin(engine, self.stores.postgres) as connection:
                return catalogue.read(connection, project)
        finally:
            engine.dispose()

    def views(self, project: str = "feast") -> set[str]:
        return set(self.registered(project).features)

    def events(self, name: str) -> list[tuple[str, str]]:
        found = self.api.list("v1", "Event", self.namespace)
        return [(item["type"], item["reason"]) for item in found if item["involvedObject"]["name"] == name]


@pytest.fixture
def place(kube: Cluster, api: Api, stores: Stores, tmp_path: Path) -> Iterator[Place]:
    with a_place(kube, api, stores, tmp_path) as made:
        yield made


@contextmanager
def a_place(kube: Cluster, api: Api, stores: Stores, folder: Path) -> Iterator[Place]:
    """A namespace with the Secrets that the default FeastProject names."""
    number = next(_numbers)
    namespace = f"test-{os.getpid()}-{number}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    own = Stores(stores.postgres.with_database(f"feast_{os.getpid()}_{number}"), stores.redis)
    made = Place(api, kube.kubeconfig, namespace, own, folder, [])
    api.create(secret("feast-registry", postgres_secret(own.postgres)), namespace)
    online = {"host": own.redis.host, "port": str(own.redis.port), "password": own.redis.password}
    api.create(secret("feast-online", online), namespace)
    try:
        yield made
    finally:
        for operator in made.operators:
            if operator.is_running:
                operator.kill()


def secret(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}


def postgres_secret(address: PostgresAddress) -> dict[str, str]:
    keys = ("host", "port", "dbname", "user", "password")
    return {key: address.keywords[key] for key in keys if key in address.keywords}
