"""What a test of a fault starts from, and what it asks for in the end.

After each fault the registry is what the objects say, and nothing of anybody else's changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cluster.api import condition
from cluster.faults import rows_of, sql
from cluster.operator_process import OperatorProcess
from cluster.place import Place
from factories import a_feature, a_feature_view, a_project, a_source, defined
from featureplane import names
from featureplane.model.feast_project import FeastProject
from featureplane.registry.database import database_exists
from featureplane.registry.plan import compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.settings import Stores
from patience import PATIENCE, until

FOREIGN = "foreign"


def a_view(name: str, **options: Any) -> dict[str, Any]:
    return a_feature_view(name, **{"source": a_source(file={"path": f"{name}.parquet"}), **options})


def a_wrong_view(name: str) -> dict[str, Any]:
    """The API server lets it through; the model does not: text has no minimum."""
    return a_view(name, features=[a_feature(type="String", checks={"minimum": 0})])


def feast_name(name: str) -> str:
    return name.replace("-", "_")


def running(place: Place, *views: str, settings: Mapping[str, str] | None = None) -> OperatorProcess:
    """A new operator, after it has registered these views."""
    place.apply(a_project(), *map(a_view, views))
    operator = place.operator(settings)
    settled(place, *views)
    return operator


def settled(place: Place, *views: str, beside: tuple[str, ...] = (), seconds: float = PATIENCE) -> Registered:
    """Wait until these views, by their objects' names, are registered just so and say so, and no others are there.

    `beside` are views that are registered without an object.
    """
    expected = {feast_name(name) for name in (*views, *beside)}

    def is_so() -> Registered:
        found = place.registered()
        there = set(found.features)
        assert there == expected, f"too many: {sorted(there - expected)[:5]}, missing: {sorted(expected - there)[:5]}"
        assert not found.lost
        assert not found.drifted
        objects = {
            item["metadata"]["name"]: item
            for item in place.api.list(names.API_VERSION, names.FEATURE_VIEW, place.namespace)
        }
        for name in views:
            item, definition = objects[name], found.definitions["feature_view", feast_name(name)]
            status = item.get("status", {})
            assert definition.owner == f"{place.namespace}/{name}"
            assert status.get("digest") == definition.digest, f"{name} is registered as another"
            assert status["observedGeneration"] == item["metadata"]["generation"], f"{name} was not seen"
            assert condition(item, "Registered")[0] == "True", (name, status["conditions"])
        return found

    return until(is_so, seconds)


@contextmanager
def beside_others(place: Place) -> Iterator[Place]:
    """A registry in which somebody else has a project with views of the same names, which stays as it is."""
    address = place.stores.postgres
    template = address.with_database("foreign_only")
    if not database_exists(template):
        objects = [a_project(project=FOREIGN), a_feature_view(), a_view("first", description="theirs")]
        with Writer(FeastProject.model_validate(objects[0]), Stores(template, place.stores.redis)) as writer:
            writer.apply(compare(FOREIGN, defined(*objects), Registered()))
    with sql(address.with_database("postgres")) as connection:
        connection.execute(f'CREATE DATABASE "{address.dbname}" TEMPLATE "{template.dbname}"')
    before = rows_of(address, FOREIGN)
    assert before["public.feature_views"]
    yield place
    assert rows_of(address, FOREIGN) == before


def look_count(operator: OperatorProcess) -> float:
    return operator.metric("featureplane_reconciles_total")
