"""A namespace with the Secrets of a registry of its own, and what a test asks of it."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.api import Api, condition
from cluster.operator_process import OperatorProcess
from featureplane.registry import catalogue
from featureplane.registry.database import begin, database_exists, engine_for
from featureplane.registry.state import Registered
from featureplane.settings import PostgresAddress, Stores
from kube.guard import Cluster
from patience import PATIENCE, until

_numbers = itertools.count(1)


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
        self,
        item: dict[str, Any],
        kind: str,
        status: str = "True",
        reason: str | None = None,
        seconds: float = PATIENCE,
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
