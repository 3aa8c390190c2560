"""A Kubernetes API, PostgreSQL and an operator for the tests of this folder; `make test-cluster` runs them.

Each test has a namespace of its own, with the Secrets of a registry of its own, and an operator that serves no other.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api import Api, condition
from cluster.faults import Database
from cluster.place import Place, a_place
from featureplane.local.stores import embedded_stores
from featureplane.settings import Stores
from kube.guard import Cluster, test_kubeconfig
from patience import until

# Its assertions are read like a test's own.
pytest.register_assert_rewrite("cluster.recovery")

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.fixture
def place(kube: Cluster, api: Api, stores: Stores, tmp_path: Path) -> Iterator[Place]:
    with a_place(kube, api, stores, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A PostgreSQL of the module's own, which may be stopped and spoiled."""
    made = Database()
    yield made
    made.close()
