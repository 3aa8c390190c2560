"""The constant loader: `definitions.json` beside this file, as Feast objects in this module's globals.

Feast imports every module of a repo and collects what it finds in their globals, so that `feast apply`, `feast plan`
and `feast ui` work in a rendered folder. The file is the same in every repo; what a user wrote stays data in the JSON.
The registry's writer uses `build` too: this is the only place that makes Feast objects out of definitions.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast.data_format import DeltaFormat, ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Array, FeastType, PrimitiveFeastType, Set, Struct
from feast.value_type import ValueType

from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource

FORMAT = 1
DEFINITIONS = Path(__file__).with_name("definitions.json")

Objects = dict[tuple[str, str], Any]
Spec = dict[str, Any]

_PRIMITIVES = {str(primitive): primitive for primitive in PrimitiveFeastType}


def build(definitions: list[dict[str, Any]], known: Objects | None = None) -> Objects:
    """Feast objects by kind and name. Kinds must come in the order of registration: each refers to earlier ones.

    `known` are objects that are registered already and may be referred to. Raises KeyError for a reference to nothing.
    """
    objects: Objects = dict(known or {})
    built: Objects = {}
    for definition in definitions:
        kind, spec = definition["kind"], definition["spec"]
        key = (kind, spec["name"])
        objects[key] = built[key] = _BUILDERS[kind](spec, objects)
    return built


def feast_type(text: str) -> FeastType:
    """`Array(Float32)` as Feast's object. The spelling was checked when the definition was made."""
    if text in _PRIMITIVES:
        return _PRIMITIVES[text]
    name, _, inner = text.removesuffix(")").partition("(")
    if name == "Struct":
        fields = (field.split(": ", 1) for field in _top_level(inner[1:-1]))
        return Struct({field: feast_type(kind) for field, kind in fields})
    return {"Array": Array, "Set": Set}[name](feast_type(inner))


def _top_level(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "({") - (character in ")}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _free_text(spec: Spec) -> Spec:
    return {"description": spec["description"], "owner": spec["owner"], "tags": dict(spec["tags"])}


def _project(spec: Spec, _: Objects) -> Project:
    return Project(name=spec["name"], **_free_text(spec))


def _value_type(text: str) -> ValueType:
    return feast_type(text).to_value_type()


def _entity(spec: Spec, _: Objects) -> Entity:
    return Entity(
        name=spec["name"], join_keys=[spec["join_key"]], value_type=_value_type(spec["type"]), **_free_text(spec)
    )


def _data_source(spec: Spec, objects: Objects) -> DataSource:
    if spec["type"] == "push":
        batch_source = objects["data_source", spec["batch_source"]]
        return PushSource(name=spec["name"], batch_source=batch_source, **_free_text(spec))
    common = {
        "name": spec["name"],
        "timestamp_field": spec["timestamp_field"],
        "created_timestamp_column": spec["created_timestamp_column"],
        "field_mapping": dict(spec["field_mapping"]),
        **_free_text(spec),
    }
    if spec["type"] == "postgres":
        return PostgreSQLSource(table=spec["table"], **common)
    if spec["type"] == "spark":
        # Without these Feast finds a difference to what it reads back, which has empty texts for what was left out.
        return SparkSource(table=spec["table"], query="", path="", **common)
    return FileSource(path=spec["path"], file_format=_FORMATS[spec["format"]](), **common)


_FORMATS: dict[str, Callable[[], Any]] = {"parquet": ParquetFormat, "delta": DeltaFormat}


def _feature_view(spec: Spec, objects: Objects) -> FeatureView:
    # The join keys stand in the schema with their types: Feast would open the source to infer them otherwise.
    keys = [Field(name=entity["join_key"], dtype=feast_type(entity["type"])) for entity in spec["entities"]]
    features = [
        Field(
            name=feature["name"],
            dtype=feast_type(feature["type"]),
            description=feature["description"],
            tags=dict(feature["tags"]),
        )
        for feature in spec["features"]
    ]
    return FeatureView(
        name=spec["name"],
        entities=[objects["entity", entity["name"]] for entity in spec["entities"]],
        schema=[*keys, *features],
        source=objects["data_source", spec["push_source"] or spec["source"]],
        ttl=timedelta(seconds=spec["ttl_seconds"]),
        online=spec["online"],
        **_free_text(spec),
    )


def _feature_service(spec: Spec, objects: Objects) -> FeatureService:
    features = [objects["feature_view", view["name"]][view["features"]] for view in spec["views"]]
    return FeatureService(name=spec["name"], features=features, **_free_text(spec))


_BUILDERS: dict[str, Callable[[Spec, Objects], Any]] = {
    "project": _project,
    "entity": _entity,
    "data_source": _data_source,
    "feature_view": _feature_view,
    "feature_service": _feature_service,
}


def _load() -> None:
    document = json.loads(DEFINITIONS.read_text(encoding="utf-8"))
    if document["format"] != FORMAT:
        raise ValueError(f"{DEFINITIONS} has format {document['format']}; this loader reads format {FORMAT}")
    for number, item in enumerate(build(document["definitions"]).values()):
        globals()[f"object_{number}"] = item


if DEFINITIONS.exists():
    _load()
