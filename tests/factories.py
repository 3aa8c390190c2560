"""Objects as users write them: plain dicts with as little in them as is valid, changed by keyword.

A key of `changes` is a field of `spec`; `name`, `namespace` and `metadata` are those of the object's metadata, so that
Feast's name stands under `feast_name`. A change to `None` takes the field away.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from featureplane.model.declarations import ProjectDeclarations, declare
from featureplane.model.documents import Document, read_documents
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.parsing import KINDS, parse
from featureplane.names import API_VERSION
from featureplane.rendering.definitions import Definition, define

Object = dict[str, Any]


def a_feature_view(name: str = "commodity-prices", **changes: Any) -> Object:
    spec = {
        "entities": [an_entity()],
        "features": [a_feature()],
        "source": a_source(),
    }
    return _object("FeatureView", name, spec, changes)


def a_project(name: str = "feast", **changes: Any) -> Object:
    return _object("FeastProject", name, {"project": "feast"}, changes)


def a_service(name: str = "price-model", **changes: Any) -> Object:
    return _object("FeatureService", name, {"views": [{"name": "commodity_prices"}]}, changes)


def an_entity(name: str = "commodity", **changes: Any) -> Object:
    return _changed({"name": name}, changes)


def a_feature(name: str = "price", type: str = "Float64", **changes: Any) -> Object:  # noqa: A002 - the field's name
    return _changed({"name": name, "type": type}, changes)


def a_source(**changes: Any) -> Object:
    return _changed({"file": {"path": "prices.parquet"}, "timestampField": "event_timestamp"}, changes)


def a_postgres_source(table: str = "public.prices", **changes: Any) -> Object:
    return _changed({"postgres": {"table": table}, "timestampField": "event_timestamp"}, changes)


def a_spark_source(table: str = "lake.markets.prices", **changes: Any) -> Object:
    return _changed({"spark": {"table": table}, "timestampField": "event_timestamp"}, changes)


def a_spark_project(**changes: Any) -> Object:
    return a_project(**{"offlineStore": {"type": "spark"}, "batchEngine": {"type": "spark.engine"}, **changes})


def _object(kind: str, name: str, spec: Object, changes: Mapping[str, Any]) -> Object:
    changes = dict(changes)
    metadata: Object = {"name": name}
    if namespace := changes.pop("namespace", None):
        metadata["namespace"] = namespace
    metadata |= changes.pop("metadata", {})
    if "feast_name" in changes:
        changes["name"] = changes.pop("feast_name")
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": _changed(spec, changes)}


def _changed(item: Object, changes: Mapping[str, Any]) -> Object:
    return {key: value for key, value in {**item, **changes}.items() if value is not None}


def to_yaml(*objects: Any) -> str:
    """A file with these objects as its documents; every text is in quotes, so that no reader takes it for another."""
    return yaml.dump_all(objects, Dumper=_Quoting, sort_keys=False)


class _Quoting(yaml.SafeDumper):
    def ignore_aliases(self, _: Any) -> bool:
        return True


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def documents(*objects: Any, file: str = "features.yaml") -> list[Document]:
    """The documents of a file with these objects; the file itself must be in order."""
    found, problems = read_documents(to_yaml(*objects), file)
    assert not problems, problems
    return found


def problems_of(*objects: Any) -> list[str]:
    """Every problem that is found in these objects, as the user reads it without file and line."""
    _, problems = declare(documents(*objects))
    return [str(problem).split(": ", 1)[1] for problem in problems]


def problems_in(item: Object) -> list[str]:
    """Every problem of one object by itself, as the operator sees it: no file and no line."""
    _, problems = parse(KINDS[item["kind"]], item)
    return [str(problem) for problem in problems]


def declared(*objects: Any) -> list[ProjectDeclarations]:
    """The projects that these objects declare; there must be no problem."""
    projects, problems = declare(documents(*objects))
    assert not problems, "\n".join(str(problem) for problem in problems)
    return projects


def defined(*objects: Any) -> list[Definition]:
    """The definitions of the one project that these objects declare."""
    (project,) = declared(*objects)
    return define(project)


def definition(kind: str, *objects: Any) -> Definition:
    """The one definition of this kind that these objects make."""
    (found,) = [item for item in defined(*objects) if item.kind == kind]
    return found


def view_model(**changes: Any) -> FeatureView:
    return FeatureView.model_validate(a_feature_view(**changes))


def project_model(**changes: Any) -> FeastProject:
    return FeastProject.model_validate(a_project(**changes))


def service_model(**changes: Any) -> FeatureService:
    return FeatureService.model_validate(a_service(**changes))
