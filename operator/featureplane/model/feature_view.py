"""`FeatureView`: a group of features of one or more entities, with its source and its schedule."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from featureplane.model.base import (
    DNS_LABEL_PATTERN,
    NO_DOUBLE_DASH,
    Description,
    Found,
    Items,
    Kind,
    Model,
    Name,
    Owner,
    ProjectRef,
    Tags,
    feast_name,
    feast_name_problems,
    kubernetes,
    refuse,
    rule,
    shown,
    unique_by,
    wrong,
)
from featureplane.model.checks import Checks
from featureplane.model.deprecated import Deprecated
from featureplane.model.durations import Duration
from featureplane.model.source import Source
from featureplane.model.types import ENTITY_TYPES, FeatureType, ValueType

NEVER = "never"
# Columns of Feast's own in a retrieval's result (feast/utils.py, feast/feature_view.py).
_FEASTS_OWN = frozenset({"event_timestamp", "entity_df_event_timestamp", "created_ts"})


def _entity_type(kind: FeatureType) -> FeatureType:
    if str(kind) not in ENTITY_TYPES:
        raise wrong(f"{kind} cannot be a key in Feast", "write one of " + ", ".join(ENTITY_TYPES))
    return kind


class Entity(Model):
    """What the features describe: a commodity, a driver, a document."""

    name: Name
    """Name of the entity; the same name is the same entity in the whole project."""
    join_key: Name | None = None
    """Column that identifies one entity; default: the entity's name."""
    type: Annotated[
        ValueType,
        AfterValidator(_entity_type),
        WithJsonSchema({"type": "string", "enum": list(ENTITY_TYPES), "default": "String"}),
    ] = FeatureType("String")
    """Type of the join key."""
    description: Description = ""
    """What one entity is."""
    owner: Owner = ""
    """Who answers for the entity."""
    tags: Tags = Field(default_factory=dict)
    """Free labels of the entity."""

    @property
    def key(self) -> str:
        return self.join_key or self.name


class Feature(Model):
    """One value for each entity."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "self.type == oldSelf.type", "a feature's type is immutable; add a feature of another name", ".type"
                )
            ]
        )
    )

    name: Name
    """Name of the feature, and of its column unless fieldMapping says otherwise."""
    type: ValueType
    """Type as feast.types prints it: Int64, Float32, String, Bytes, UnixTimestamp, Array(Float32), ... Immutable."""
    description: Description = ""
    """What the value means, with its unit."""
    tags: Tags = Field(default_factory=dict)
    """Free labels of the feature."""
    checks: Checks | None = None
    """What a value must be to be written online."""
    deprecated: Deprecated | None = None
    """Says that the feature is not to be used any more."""

    @model_validator(mode="after")
    def _checks_fit(self) -> Self:
        misfits = self.checks.misfits(self.type) if self.checks else ()
        refuse((("checks", *path), message, remedy) for path, message, remedy in misfits)
        return self


class Push(Model):
    """Writing rows as they happen, beside the scheduled runs."""

    enabled: bool = False
    """Also register a Feast PushSource for this view."""
    name: Name | None = None
    """Name of the PushSource; default: the view's name with `_push`."""


class Materialization(Model):
    """When and how far back rows are copied to the online store."""

    schedule: Annotated[str, Field(min_length=1, max_length=40, pattern=DNS_LABEL_PATTERN)] = "hourly"
    """Name of one of the project's schedules, or never."""
    window: Duration | None = None
    """How far back a run looks; default: the schedule's window."""
    initial: bool = True
    """Run once over the ttl (all history without one) when the view is first registered."""


class FeatureViewSpec(Model):
    """The features of an entity, where they come from and how they get online."""

    model_config = ConfigDict(
        json_schema_extra=kubernetes(
            validations=[
                rule(
                    "has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)",
                    "the name of a feature view is immutable; make a new FeatureView",
                    ".name",
                ),
            ]
        )
    )

    name: Name | None = None
    """Name in Feast; default: metadata.name with `_` for `-` and `.`. Immutable, set or not."""
    project_ref: Annotated[
        ProjectRef,
        Field(
            json_schema_extra=kubernetes(
                validations=[
                    rule("self == oldSelf", "projectRef is immutable; make a new FeatureView in the other project")
                ]
            )
        ),
    ] = Field(default_factory=lambda: ProjectRef.model_validate({}))
    """The FeastProject this view belongs to. Immutable."""
    description: Description = ""
    """What the features are about."""
    owner: Owner = ""
    """Who answers for the view; an e-mail address, usually."""
    tags: Tags = Field(default_factory=dict)
    """Free labels, kept in Feast's registry."""
    deprecated: Deprecated | None = None
    """Says that the view is not to be used any more."""
    entities: Annotated[
        Items[Entity],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra=kubernetes(
                list_type="map",
                list_map_keys=["name"],
                validations=[
                    rule(
                        "size(self) == size(oldSelf) && self.all(e, oldSelf.exists(o, o.name == e.name && "
                        "o.type == e.type && "
                        "(has(o.joinKey) ? o.joinKey : o.name) == (has(e.joinKey) ? e.joinKey : e.name)))",
                        "entities, their join keys and types are immutable; make a new FeatureView",
                    )
                ],
            ),
        ),
        unique_by("name"),
    ]
    """The entities that one row belongs to. Immutable but for descriptions, owners and tags."""
    features: Annotated[
        Items[Feature],
        Field(min_length=1, max_length=500, json_schema_extra=kubernetes(list_type="map", list_map_keys=["name"])),
        unique_by("name"),
    ]
    """The features of this view."""
    ttl: Duration | None = None
    """How long a value is fit for use after its event time; left out: for ever."""
    online: bool = True
    """Copy the rows to the online store and serve them."""
    source: Source
    """Where the rows come from."""
    push: Push = Field(default_factory=Push)
    """Writing rows as they happen."""
    materialization: Materialization = Field(default_factory=Materialization)
    """When rows are copied to the online store."""
    suspend: bool = False
    """Stop the scheduled runs of this view; what is online is still served."""
    deletion_policy: Literal["Delete", "Retain"] = "Delete"
    """What becomes of the registered view when this object is deleted."""

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        columns: list[_Column] = [
            *(
                (("entities", index, "joinKey" if item.join_key else "name"), item.key)
                for index, item in enumerate(self.entities)
            ),
            *((("features", index, "name"), item.name) for index, item in enumerate(self.features)),
        ]
        refuse([*_column_problems(self, columns), *_mapping_problems(self, {name for _, name in columns})])
        return self


_Column = tuple[tuple[str | int, ...], str]


def _column_problems(spec: FeatureViewSpec, columns: list[_Column]) -> Iterator[Found]:
    """Join keys, features and timestamps stand side by side in a table: each needs a name of its own."""
    times = {spec.source.timestamp_field, spec.source.created_timestamp_column}
    first: dict[str, tuple[str | int, ...]] = {}
    for path, name in columns:
        other = first.setdefault(name, path)
        # Two features of one name are found where the list is.
        if other != path and other[0] == "entities":
            yield path, f"{shown(name)} is the join key of entities[{other[1]}] as well", "choose another name"
        if name in times:
            yield path, f"{shown(name)} is a timestamp column of the source as well", "choose another name"
        elif name in _FEASTS_OWN:
            yield (
                path,
                f"{shown(name)} is a column of Feast's own",
                "choose another name, with fieldMapping for the column",
            )
        # Feast writes names into PostgreSQL's and Spark's SQL without quotes: `price--x` would be a comment there.
        kind = spec.source.kind
        if kind in {"postgres", "spark"} and not (name.isidentifier() and name.isascii()):
            yield path, f"{shown(name)} is no plain SQL name", f"with a {kind} source use letters, digits and _"


def _mapping_problems(spec: FeatureViewSpec, columns: set[str]) -> Iterator[Found]:
    times = {spec.source.timestamp_field, spec.source.created_timestamp_column}
    for column, target in spec.source.field_mapping.items():
        path = ("source", "fieldMapping", column)
        if target not in columns:
            yield (
                path,
                f"maps to {shown(target)}, which is no feature or join key of this view",
                "correct it or take it out",
            )
        if column in columns:
            yield path, f"{shown(column)} is a feature or join key itself, whose values would be gone", "take it out"
        if column in times:
            yield path, f"{shown(column)} is a timestamp column, which would be gone", "take it out"


class FeatureView(Kind):
    """A group of features of one or more entities, with its source and its schedule."""

    model_config = ConfigDict(json_schema_extra=kubernetes(validations=[NO_DOUBLE_DASH]))

    spec: FeatureViewSpec

    @model_validator(mode="after")
    def _feast_name_fits(self) -> Self:
        refuse(feast_name_problems(self.spec.name, self.metadata))
        refuse(self._replaced_by_itself())
        return self

    def _replaced_by_itself(self) -> Iterator[Found]:
        places: list[tuple[tuple[str | int, ...], Deprecated | None, str]] = [
            (("spec",), self.spec.deprecated, self.feast_name),
            *(
                (("spec", "features", index), feature.deprecated, f"{self.feast_name}:{feature.name}")
                for index, feature in enumerate(self.spec.features)
            ),
        ]
        for path, deprecated, name in places:
            if deprecated and deprecated.replaced_by == name:
                yield (*path, "deprecated", "replacedBy"), f"{shown(name)} is what is deprecated", "name another"

    @property
    def feast_name(self) -> str:
        """The view's name in Feast."""
        return feast_name(self.spec.name, self.metadata)

    @property
    def source_name(self) -> str:
        """The name of Feast's batch source."""
        return self.spec.source.name or f"{self.feast_name}_source"

    @property
    def push_name(self) -> str | None:
        """The name of the PushSource, if there is one."""
        return (self.spec.push.name or f"{self.feast_name}_push") if self.spec.push.enabled else None

    @property
    def project_key(self) -> tuple[str, str]:
        """Namespace and name of the FeastProject."""
        return self.spec.project_ref.namespace or self.metadata.namespace, self.spec.project_ref.name
