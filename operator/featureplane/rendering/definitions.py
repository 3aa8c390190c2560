"""Definitions: what Feast registers, as plain JSON, and what only Featureplane keeps beside it.

A definition has the form that the constant loader in `feature_repo/` turns into a Feast object, and that the catalogue
reads back out of Feast's registry: the two are compared by digest. Where Feast's own comparison ignores order, so does
the digest: Feast would not write what differs in nothing else.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from featureplane.deprecation import tags_of
from featureplane.model.declarations import ProjectDeclarations
from featureplane.model.durations import format_duration
from featureplane.model.feast_project import DataRoot, FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import Entity, Feature, FeatureView
from featureplane.model.together import merged_entity

Json = Mapping[str, Any]
DefinitionKind = Literal["project", "entity", "data_source", "feature_view", "feature_service"]

# The order in which objects are registered: each kind refers only to kinds before it. Deletes run backwards.
KINDS: tuple[DefinitionKind, ...] = ("project", "entity", "data_source", "feature_view", "feature_service")
FORMAT = 1

Key = tuple[DefinitionKind, str]


@dataclass(frozen=True)
class Definition:
    """One object of Feast's. `spec` goes to Feast; `extras` (schedule, checks, ...) stays in our own tables.

    `owner` is the custom resource it comes from, `namespace/name`; several objects share an entity, then it is empty.
    """

    kind: DefinitionKind
    name: str
    spec: Json
    extras: Json = field(default_factory=dict)
    owner: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.name

    @cached_property
    def spec_digest(self) -> str:
        """SHA-256 of what Feast is told, in hexadecimal."""
        return digest(_order_free(self.kind, self.spec))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a user declares for this object, in hexadecimal."""
        return digest({"spec": _order_free(self.kind, self.spec), "extras": self.extras})


def lives_longer(before: int, after: int) -> bool:
    """Whether a ttl was raised, in seconds; 0 is for ever."""
    return before != 0 and (after == 0 or after > before)


def canonical(value: Any) -> str:
    """JSON with sorted keys, no white space, and nothing but ASCII: the same value, the same bytes."""
    return _canonical.encode(value)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


# Feast takes views whose entities, and services whose views, stand in another order for the same, and does not write
# them (a test asks it); the order of features does count.
_ORDER_FREE: Mapping[DefinitionKind, str] = {"feature_view": "entities", "feature_service": "views"}


def _order_free(kind: DefinitionKind, spec: Json) -> Json:
    if kind not in _ORDER_FREE:
        return spec
    key = _ORDER_FREE[kind]
    return {**spec, key: sorted(spec[key], key=lambda item: str(item["name"]))}


def projection_digest(features: Sequence[Json], source: Json) -> str:
    """What Feast copies of a view into a service: the chosen features and the batch source, both whole."""
    return digest({"features": sorted(features, key=lambda feature: str(feature["name"])), "source": source})


def define(declarations: ProjectDeclarations) -> list[Definition]:
    """Everything that a project's objects declare, in the order of registration."""
    project = declarations.project
    views = declarations.views
    definitions = [_project(project), *_entities(views)]
    sources: dict[str, Definition] = {}
    for view in views:
        for source in _sources(view, project.spec.offline_store.data_root):
            sources.setdefault(source.name, source)
    definitions += [
        sources[name] for name in sorted(sources, key=lambda name: (sources[name].spec["type"] == "push", name))
    ]
    definitions += [_feature_view(view) for view in views]
    everything = {definition.key: definition for definition in definitions}
    definitions += [_feature_service(service, everything) for service in declarations.services]
    return definitions


def _owner(item: FeatureView | FeatureService | FeastProject) -> str:
    return f"{item.metadata.namespace}/{item.metadata.name}"


def _free_text(item: Any) -> dict[str, Any]:
    return {"description": item.description, "owner": item.owner, "tags": _tags(item)}


def _tags(item: Any) -> dict[str, str]:
    """Those of the user, and those that say that the object is deprecated."""
    deprecated = getattr(item, "deprecated", None)
    return {**item.tags, **(tags_of(deprecated.deprecation) if deprecated else {})}


def _project(project: FeastProject) -> Definition:
    spec = project.spec
    head = {"name": spec.project, **_free_text(spec)}
    return Definition("project", spec.project, head, project_extras(project), _owner(project))


def project_extras(project: FeastProject) -> dict[str, Any]:
    """What a project says that Feast has no place for."""
    spec = project.spec
    return {
        "schedules": {
            name: {"cron": schedule.cron, "time_zone": schedule.time_zone, "window": format_duration(schedule.window)}
            for name, schedule in spec.schedules.items()
        },
        "purge_after": format_duration(spec.purge_after),
    }


def _entities(views: Iterable[FeatureView]) -> Iterator[Definition]:
    entities: dict[str, Entity] = {}
    for view in views:
        for entity in view.spec.entities:
            entities[entity.name] = merged_entity(entities.get(entity.name, entity), entity)
    for name in sorted(entities):
        entity = entities[name]
        yield Definition(
            "entity", name, {"name": name, "join_key": entity.key, "type": str(entity.type), **_free_text(entity)}
        )


def _sources(view: FeatureView, root: DataRoot | None) -> Iterator[Definition]:
    source = view.spec.source
    common = {
        "name": view.source_name,
        "timestamp_field": source.timestamp_field,
        "created_timestamp_column": source.created_timestamp_column or "",
        "field_mapping": dict(source.field_mapping),
        **_free_text(source),
    }
    if source.file:
        path = root.join(source.file.path) if root else source.file.path
        yield Definition(
            "data_source", view.source_name, {"type": "file", "path": path, "format": source.file.format, **common}
        )
    else:
        table = source.postgres or source.spark
        assert table  # the model lets exactly one through
        yield Definition("data_source", view.source_name, {"type": source.kind, "table": table.table, **common})
    if view.push_name:
        spec = {
            "type": "push",
            "name": view.push_name,
            "batch_source": view.source_name,
            "description": "",
            "owner": "",
            "tags": {},
        }
        yield Definition("data_source", view.push_name, spec)


def _feature(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name,
        "type": str(feature.type),
        "description": feature.description,
        "tags": _tags(feature),
    }


def _feature_view(view: FeatureView) -> Definition:
    spec = view.spec
    extras = {
        "checks": {
            feature.name: feature.checks.model_dump(mode="json", exclude_defaults=True)
            for feature in spec.features
            if feature.checks
        },
        "deletion_policy": spec.deletion_policy,
        "initial": spec.materialization.initial,
        "schedule": spec.materialization.schedule,
        "suspend": spec.suspend,
        "window": format_duration(spec.materialization.window) if spec.materialization.window else None,
    }
    return Definition(
        "feature_view",
        view.feast_name,
        {
            "name": view.feast_name,
            "entities": [
                {"name": entity.name, "join_key": entity.key, "type": str(entity.type)} for entity in spec.entities
            ],
            "features": [_feature(feature) for feature in spec.features],
            "ttl_seconds": int(spec.ttl.total_seconds()) if spec.ttl else 0,
            "online": spec.online,
            "source": view.source_name,
            "push_source": view.push_name,
            **_free_text(spec),
        },
        extras,
        _owner(view),
    )


def _feature_service(service: FeatureService, known: Mapping[Key, Definition]) -> Definition:
    views = []
    for wanted in service.spec.views:
        view = known["feature_view", wanted.name].spec
        features = {feature["name"]: feature for feature in view["features"]}
        chosen = [features[name] for name in (wanted.features or features)]
        views.append(
            {
                "name": wanted.name,
                "features": [feature["name"] for feature in chosen],
                "projection": projection_digest(chosen, known["data_source", view["source"]].spec),
            }
        )
    spec = {"name": service.feast_name, "views": views, **_free_text(service.spec)}
    return Definition("feature_service", service.feast_name, spec, {}, _owner(service))


# What a view that Feast alone registered is taken to have said.
DEFAULT_VIEW_EXTRAS: Json = {
    "checks": {}, "deletion_policy": "Delete", "initial": True, "schedule": "hourly", "suspend": False, "window": None,
}  # fmt: skip


def document(project: str, definitions: Iterable[Definition]) -> str:
    """The text of `definitions.json`: one definition a line, so that a difference reads well."""
    rows = [
        json.dumps({"kind": item.kind, "spec": item.spec}, ensure_ascii=True, allow_nan=False) for item in definitions
    ]
    body = ",\n    ".join(rows)
    return f'{{"format": {FORMAT}, "project": {json.dumps(project)}, "definitions": [\n    {body}\n]}}\n'
