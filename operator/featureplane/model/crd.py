"""The CustomResourceDefinitions, made from the models: what the API server checks, defaults and explains. Pure.

`tools/generate_crds.py` writes them to `crds/`. A schema is pydantic's JSON schema of the kind, brought into the
structural form that Kubernetes asks for (no references, no unions with null, no patterns on keys), with the status of
`status_schema` beside the spec. A keyword that has no place there is an error here and not at `kubectl apply`.

Two things that JSON schema says and a structural schema cannot become CEL rules: a map's keys, and (on the fields
themselves, see `base.rule`) what may not change. What neither can say, the operator checks again with the model.

A default that is empty text, an empty list or an empty map is left out: absent means the same, and 500 features need
not each store `tags: {}`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from featureplane import names
from featureplane.model import status_schema
from featureplane.model.base import Kind, rule
from featureplane.model.durations import format_duration
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.types import FeatureType

Schema = dict[str, Any]

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; `wide` ones only show with `-o wide`. A date is printed as its age."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True)
class Resource:
    """What a kind is called, and what of it is not in its model."""

    model: type[Kind]
    plural: str
    short_name: str
    status: Schema
    columns: tuple[Column, ...]
    # What `kubectl get --field-selector` takes beside name and namespace, from Kubernetes 1.31 on.
    selectable: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.model.__name__

    @property
    def crd_name(self) -> str:
        return f"{self.plural}.{names.GROUP}"

    @property
    def file_name(self) -> str:
        """`featureplane.dev_featureviews.yaml`, as controller-gen names such files."""
        return f"{names.GROUP}_{self.plural}.yaml"


def _of_condition(condition: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].{field}'


_READY = Column("Ready", _of_condition("Ready", "status"), description="Whether all is as declared.")
_REASON = Column("Reason", _of_condition("Ready", "reason"), description="Why it is ready or not.")
_DEPRECATED = Column(
    "Deprecated", _of_condition("Deprecated", "reason"), description="Whether it, or a part of it, is deprecated."
)
_MESSAGE = Column("Message", _of_condition("Ready", "message"), description="What is wrong, and what to do about it.")
_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_PROJECT = Column("Project", ".spec.projectRef.name", wide=True, description="The FeastProject.")
_OWNER = Column("Owner", ".spec.owner", wide=True, description="Who answers for it.")

RESOURCES = (
    Resource(
        FeatureView,
        "featureviews",
        "fv",
        status_schema.FEATURE_VIEW,
        (
            _READY,
            Column("Schedule", ".spec.materialization.schedule", description="When rows are copied."),
            Column("Last Run", ".status.runs[0].completionTime", "date", description="Time since the last run ended."),
            Column("Staleness", ".status.maxEventTimestamp", "date", description="Age of the newest row online."),
            _REASON,
            _DEPRECATED,
            Column("Rows", ".status.runs[0].rowsWritten", "integer", wide=True, description="Written by the last run."),
            Column("Next Run", ".status.nextScheduleTime", wide=True, description="When the next run starts."),
            Column(
                "Consistent",
                _of_condition("Consistent", "status"),
                wide=True,
                description="Whether what is served is what the source says.",
            ),
            Column("TTL", ".spec.ttl", wide=True, description="How long a value is fit for use."),
            _PROJECT,
            _OWNER,
            Column("Age", _AGE.path, "date", wide=True),
        ),
        (".spec.owner", ".spec.projectRef.name"),
    ),
    Resource(
        FeastProject,
        "feastprojects",
        "fproj",
        status_schema.FEAST_PROJECT,
        (
            Column("Project", ".spec.project", description="Name of the project in Feast."),
            _READY,
            _REASON,
            Column("Views", ".status.views.total", "integer", description="Feature views of this project."),
            Column("Endpoint", ".status.endpoint", description="Where the feature server answers."),
            _AGE,
            Column(
                "Not Ready", ".status.views.notReady", "integer", wide=True, description="Views that are not ready."
            ),
            Column("Registry", ".status.registry.state", wide=True, description="State of the registry."),
            Column("Online Store", ".status.onlineStore.state", wide=True, description="State of the online store."),
            Column("Server", ".status.server.state", wide=True, description="State of the feature server."),
            _OWNER,
            _MESSAGE,
        ),
        (".spec.owner", ".spec.project"),
    ),
    Resource(
        FeatureService,
        "featureservices",
        "fsvc",
        status_schema.FEATURE_SERVICE,
        (
            _READY,
            Column("Views", ".status.views", "integer", description="Feature views that are used."),
            Column("Features", ".status.features", "integer", description="Features that are used."),
            _REASON,
            _DEPRECATED,
            _AGE,
            _PROJECT,
            _OWNER,
        ),
        (".spec.owner", ".spec.projectRef.name"),
    ),
)


def manifest(resource: Resource) -> Schema:
    """The CustomResourceDefinition of one kind, in the key order of the reference."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.crd_name},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "selectableFields": [{"jsonPath": path} for path in resource.selectable],
                    "schema": {"openAPIV3Schema": object_schema(resource)},
                }
            ],
        },
    }


def _column(column: Column) -> Schema:
    return {
        "name": column.name,
        "type": column.type,
        **({"description": column.description} if column.description else {}),
        "jsonPath": column.path,
        **({"priority": 1} if column.wide else {}),
    }


def object_schema(resource: Resource) -> Schema:
    """The structural schema of a whole object. Raises ValueError for what a structural schema has no word for."""
    schema = resource.model.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = schema.pop("$defs")
    # The API server itself knows apiVersion, kind and metadata; `base.Metadata` is what we read of it.
    del schema["properties"]["metadata"]
    declared = _structural(schema, definitions, resource.kind)
    return {
        **declared,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **declared["properties"],
            "status": resource.status,
        },
    }


class _Generator(GenerateJsonSchema):
    """pydantic's JSON schema, but with the defaults of factories and without null: absent is absent."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        json_schema = self.generate_inner(schema["schema"])
        factory: Callable[..., Any] = schema.get("default_factory", lambda: schema.get("default"))
        default = factory()
        # An empty object is kept: its own fields' defaults are filled in below it. The entries of a map are not: those
        # that the API server fills in would stay when a user writes others, for apply takes nobody else's keys away.
        if isinstance(default, BaseModel) or (default not in (None, "", ()) and not isinstance(default, dict)):
            json_schema["default"] = _plain(default)
        return json_schema


def _plain(default: Any) -> Any:
    """A default as it stands in YAML; of an object only what was set, for the rest are defaults of its own schema."""
    if isinstance(default, timedelta):
        return format_duration(default)
    if isinstance(default, FeatureType):
        return str(default)
    return _ANYTHING.dump_python(default, mode="json", by_alias=True, exclude_unset=True)


# Taken over as they stand, in this order, which is the order of reading.
_TAKEN = (
    *("type", "format", "default", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "anyOf"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"),
    *("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"),
)
_RULES = "x-kubernetes-validations"
# Written anew by `_structural`, but for the title, which nobody needs.
_WRITTEN = frozenset({"description", "required", "properties", "items", "additionalProperties", _RULES, "title"})


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Schema], at: str) -> Schema:
    node = _with_one_kind_of_map(_inlined(schema, definitions), at)
    unknown = node.keys() - {*_TAKEN} - _WRITTEN
    if unknown or ("anyOf" in node and "x-kubernetes-int-or-string" not in node):
        raise ValueError(f"{at}: a structural schema has no place for {', '.join(sorted(unknown)) or 'anyOf'}")
    result: Schema = {}
    if "description" in node:
        result["description"] = " ".join(node["description"].split())
    result |= {key: node[key] for key in _TAKEN if key in node}
    if node.get(_RULES):
        result[_RULES] = [
            {key: one[key] for key in ("rule", "message", "fieldPath") if key in one} for one in node[_RULES]
        ]
    if node.get("required"):
        result["required"] = node["required"]
    if "properties" in node:
        result["properties"] = {
            name: _structural(value, definitions, f"{at}.{name}") for name, value in node["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if node.get(key):
            result[key] = _structural(node[key], definitions, f"{at}.{key}")
    return result


def _inlined(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The node with what it refers to written out; what stands beside the reference wins, and rules add up."""
    if "$ref" not in node:
        return dict(node)
    beside = {key: value for key, value in node.items() if key != "$ref"}
    target = _inlined(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    rules = [*target.get(_RULES, ()), *node.get(_RULES, ())]
    return {**target, **beside, **({_RULES: rules} if rules else {})}


def _with_one_kind_of_map(node: Schema, at: str) -> Schema:
    """A map says `additionalProperties`, and by a rule what its keys are: a structural schema has no words for keys."""
    patterns = node.pop("patternProperties", None)
    keys = node.pop("propertyNames", None)
    pattern = ""
    if patterns:
        ((pattern, node["additionalProperties"]),) = patterns.items()
    if node.get("additionalProperties"):
        if not keys:
            raise ValueError(f"{at}: the keys of a map need bounds")
        node[_RULES] = [*node.get(_RULES, ()), _rule_for_keys(keys, pattern)]
    return node


def _rule_for_keys(bounds: Mapping[str, Any], pattern: str) -> Schema:
    """A raw CEL string ends at the first quote, so no pattern may hold one."""
    if "'" in pattern:
        raise ValueError(f"a pattern for keys cannot hold a quote: {pattern}")
    shortest, longest = bounds["minLength"], bounds["maxLength"]
    form = f" && key.matches(r'{pattern}')" if pattern else ""
    return rule(
        f"self.all(key, size(key) >= {shortest} && size(key) <= {longest}{form})",
        f"each key must have {shortest} to {longest} characters" + (f" and match {pattern}" if pattern else ""),
    )
