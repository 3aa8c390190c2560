"""Feast's protobuf messages to definitions, or to the reason why an object has no form as one.

The inverse of the constant loader: for every definition, building the Feast object and reading its message back gives
the definition again (a test holds that for all types).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from featureplane.registry.field_types import NESTED_TAG, STRUCT_TAG, NoDefinition, field_type, refuse_if, scalar
from featureplane.registry.protos import DataSource
from featureplane.registry.state import Foreign
from featureplane.rendering.definitions import DEFAULT_VIEW_EXTRAS, Definition, DefinitionKind, projection_digest

_DUMMY_ENTITY = "__dummy"
_POSTGRES_CLASS = "feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source.PostgreSQLSource"
# What Feast writes for a Spark source without date partitions (feast/.../spark_source.py).
_DATE_PARTITIONS = "%Y-%m-%d"


def convert(kind: DefinitionKind, message: Any) -> Definition | Foreign:
    """One message (an Entity, DataSource, FeatureView, FeatureService or Project of `protos`) to a definition."""
    spec = message if kind == "data_source" else message.spec
    try:
        return Definition(
            kind, spec.name, _CONVERTERS[kind](spec), DEFAULT_VIEW_EXTRAS if kind == "feature_view" else {}
        )
    except NoDefinition as reason:
        return Foreign(kind, spec.name, str(reason))
    except (KeyError, TypeError, ValueError) as error:  # written by something that is not Feast, or is another Feast
        return Foreign(kind, spec.name, f"something that cannot be read ({type(error).__name__})")


def _free_text(spec: Any) -> dict[str, Any]:
    return {"description": spec.description, "owner": spec.owner, "tags": dict(spec.tags)}


def _project(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, **_free_text(spec)}


def _entity(spec: Any) -> dict[str, Any]:
    """Feast lets an entity go without a type; `settle` finds it in the views."""
    kind = str(scalar(spec.value_type)) if spec.value_type else ""
    return {"name": spec.name, "join_key": spec.join_key, "type": kind, **_free_text(spec)}


def _data_source(spec: Any) -> dict[str, Any]:
    if spec.type == DataSource.PUSH_SOURCE:
        refuse_if([(not spec.HasField("batch_source"), "a push source without a batch source")])
        return {"type": "push", "name": spec.name, "batch_source": spec.batch_source.name, **_free_text(spec)}
    location = _location(spec)
    refuse_if(
        [
            (spec.date_partition_column, "a date partition column"),
            (spec.timestamp_field_type, "a timestamp field type"),
            (not spec.timestamp_field, "no timestamp field: Feast infers it at every apply"),
            (any(key.startswith("feast.connection-ref.") for key in spec.tags), "a reference to credentials"),
        ]
    )
    return {**location, **_columns(spec), "name": spec.name, **_free_text(spec)}


def _columns(spec: Any) -> dict[str, Any]:
    return {
        "timestamp_field": spec.timestamp_field,
        "created_timestamp_column": spec.created_timestamp_column,
        "field_mapping": dict(spec.field_mapping),
    }


def _location(spec: Any) -> dict[str, Any]:
    if spec.type == DataSource.BATCH_FILE:
        options = spec.file_options
        refuse_if([(options.s3_endpoint_override, "an S3 endpoint of its own")])
        # A source without a format is Parquet to Feast (feast/infra/offline_stores/file_source.py).
        return {
            "type": "file",
            "path": options.uri,
            "format": "delta" if options.file_format.HasField("delta_format") else "parquet",
        }
    if spec.type == DataSource.CUSTOM_SOURCE and spec.data_source_class_type == _POSTGRES_CLASS:
        options = json.loads(spec.custom_options.configuration)
        refuse_if([(options["query"], "a query; only a table can be declared")])
        return {"type": "postgres", "table": options["table"]}
    if spec.type == DataSource.BATCH_SPARK:
        return {"type": "spark", "table": _spark_table(spec.spark_options)}
    raise NoDefinition(f"a source of type {spec.data_source_class_type or DataSource.SourceType.Name(spec.type)}")


def _spark_table(options: Any) -> str:
    refuse_if(
        [
            (options.query, "a query; only a table can be declared"),
            (options.path, "a path for Spark; only a table can be declared"),
            (options.HasField("table_format"), "a table format"),
            (options.date_partition_column_format not in {"", _DATE_PARTITIONS}, "a format of date partitions"),
        ]
    )
    return str(options.table)


def _feature_view(spec: Any) -> dict[str, Any]:
    refuse_if(
        [
            (list(spec.entities) == [_DUMMY_ENTITY], "no entity"),
            (spec.source_views, "views as its source"),
            (spec.HasField("feature_transformation"), "a transformation"),
            (spec.offline, "offline writes"),
            (spec.enable_validation, "enable_validation"),
            (spec.version not in {"", "latest"}, f"the pinned version {spec.version}"),
            (spec.org, "an org"),
            (spec.disabled, "been disabled"),
            (not spec.HasField("batch_source"), "no batch source"),
            (
                spec.HasField("stream_source") and spec.stream_source.type != DataSource.PUSH_SOURCE,
                "a stream source other than push",
            ),
            (len(spec.entities) != len(spec.entity_columns), "entity columns that are not its entities' join keys"),
        ]
    )
    pushed = spec.HasField("stream_source")
    return {
        "name": spec.name,
        "entities": _entities_of(spec),
        "features": [_feature(feature) for feature in spec.features],
        "ttl_seconds": spec.ttl.seconds if spec.HasField("ttl") else 0,
        "online": spec.online,
        "source": spec.batch_source.name,
        "push_source": spec.stream_source.name if pushed else None,
        **_free_text(spec),
        # Feast keeps a copy of the source in the view; `settle` compares it with the source's own row.
        "source_copy": _data_source(spec.batch_source),
        "push_copy": _data_source(spec.stream_source) if pushed else None,
    }


def _entities_of(spec: Any) -> list[dict[str, Any]]:
    """Names and columns of the entities; which column is whose join key is for `settle` to say."""
    columns = [{"join_key": column.name, "type": str(scalar(column.value_type))} for column in spec.entity_columns]
    return [{"name": name, **column} for name, column in zip(spec.entities, columns, strict=True)]


def _feature(field: Any) -> dict[str, Any]:
    refuse_if(
        [(field.vector_index or field.vector_length or field.vector_search_metric, f"a vector index on {field.name}")]
    )
    # To go through a map of protobuf's is slow, and nearly every one is empty.
    tags = {key: field.tags[key] for key in field.tags if key not in {STRUCT_TAG, NESTED_TAG}} if field.tags else {}
    return {"name": field.name, "type": str(field_type(field)), "description": field.description, "tags": tags}


def _feature_service(spec: Any) -> dict[str, Any]:
    views = []
    for projection in spec.features:
        name = projection.feature_view_name
        refuse_if(
            [
                (projection.feature_view_name_alias, f"an alias for {name}"),
                (projection.join_key_map, f"a join key map for {name}"),
                (projection.HasField("version_tag"), f"a pinned version of {name}"),
                (projection.view_type not in {"", "featureView"}, f"{name}, a {projection.view_type}"),
            ]
        )
        features = [_feature(column) for column in projection.feature_columns]
        copy = _data_source(projection.batch_source) if projection.HasField("batch_source") else {}
        views.append(
            {
                "name": name,
                "features": [feature["name"] for feature in features],
                "projection": projection_digest(features, copy),
            }
        )
    refuse_if(
        [
            (spec.HasField("logging_config"), "a logging configuration"),
            (spec.precompute_online, "precompute_online"),
            (len({view["name"] for view in views}) != len(views), "one view twice"),
        ]
    )
    return {"name": spec.name, "views": views, **_free_text(spec)}


_CONVERTERS: dict[DefinitionKind, Callable[[Any], dict[str, Any]]] = {
    "project": _project,
    "entity": _entity,
    "data_source": _data_source,
    "feature_view": _feature_view,
    "feature_service": _feature_service,
}


def settle(definitions: Iterable[Definition]) -> tuple[list[Definition], list[Foreign]]:
    """Bring the objects of one project into their final form by what stands beside them.

    Each join key goes to the entity that has it, an entity without a type gets the one that its views give it, and the
    copies that a view holds of its sources are dropped where they agree with the sources' own rows. Where they do not,
    the copy stays in the spec, and the view differs from any declared one: it is written again.
    """
    everything = {definition.key: definition for definition in definitions}
    settled: list[Definition] = []
    foreign: list[Foreign] = []
    for item in everything.values():
        if item.kind == "feature_view":
            settled.append(replace(item, spec=_settled(item.spec, everything)))
        elif item.kind == "entity" and not item.spec["type"]:
            types = _types_of_key(item, everything.values())
            if len(types) == 1:
                settled.append(replace(item, spec={**item.spec, "type": types.pop()}))
            else:
                foreign.append(Foreign("entity", item.name, "an entity without a type"))
        else:
            settled.append(item)
    return settled, foreign


def _types_of_key(entity: Definition, everything: Iterable[Definition]) -> set[str]:
    """The types of an entity's column in the views that use it."""
    return {
        column["type"]
        for view in everything
        if view.kind == "feature_view" and entity.name in {column["name"] for column in view.spec["entities"]}
        for column in view.spec["entities"]
        if column["join_key"] == entity.spec["join_key"]
    }


def _settled(spec: Mapping[str, Any], everything: Mapping[tuple[Any, str], Definition]) -> dict[str, Any]:
    settled = dict(spec)
    columns = {column["join_key"]: column["type"] for column in spec["entities"]}
    keys = {column["name"]: _join_key(column, everything) for column in spec["entities"]}
    if set(keys.values()) == set(columns):
        settled["entities"] = [{"name": name, "join_key": key, "type": columns[key]} for name, key in keys.items()]
    for copy, source in (("source_copy", spec["source"]), ("push_copy", spec["push_source"])):
        row = everything.get(("data_source", source)) if source else None
        if source is None or (row is not None and row.spec == spec[copy]):
            del settled[copy]
    return settled


def _join_key(column: Mapping[str, Any], everything: Mapping[tuple[Any, str], Definition]) -> str:
    entity = everything.get(("entity", column["name"]))
    return str(entity.spec["join_key"] if entity else column["join_key"])
