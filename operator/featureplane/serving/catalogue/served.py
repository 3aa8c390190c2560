"""Feast's messages of a project to what serving asks of them. Pure.

Views that take more than a look into Redis (on demand, of a label, with sort keys) are only known by name: Feast's own
server answers for them. The rows of a stream's view lie where any view's do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from featureplane import deprecation
from featureplane.deprecation import Deprecation
from featureplane.online.layout import VALUE_TYPES
from featureplane.registry.field_types import NoDefinition, field_type
from featureplane.registry.protos import ValueType
from featureplane.serving.catalogue.writable import Writing

# The join key of views without entities, of which Feast keeps one row, under an empty text.
DUMMY_KEY = "__dummy_id"
_KINDS = {number: name for name, number in VALUE_TYPES.items()}
# The sorts of views in a service, as far as it says which: most say nothing.
_PLAIN = {"", "featureView", "streamFeatureView"}
_AVAILABLE = {"STATE_UNSPECIFIED", "AVAILABLE_ONLINE", "MATERIALIZING"}


class Described(NamedTuple):
    """What a view or a service says to people: who answers for it, its tags, and what is deprecated of it, by feature;
    the whole of it under an empty name.
    """

    owner: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    deprecated: tuple[tuple[str, Deprecation], ...] = ()


UNDESCRIBED = Described()


@dataclass(frozen=True)
class ServedView:
    """A feature view. `join_keys` are those of its rows, sorted, each with its type; `ttl` is in seconds, 0 for ever.

    `why_not` says why nobody may be served from it. `copied_until` is the end of the last window that Feast has noted,
    or when it noted it, in seconds since 1970, 0 without any. In Redis it is `stored_as`, where that is another name.
    """

    name: str
    join_keys: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    ttl: float = 0
    version: int = 0
    why_not: str = ""
    copied_until: float = 0
    stored_as: str = ""
    described: Described = UNDESCRIBED
    # Of the features, one by one; empty where a type has no spelling here.
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Projection:
    """A view as a service has it: some of its features, perhaps by another name and with other join keys."""

    view: str
    features: tuple[str, ...]
    name: str
    # The view's join key -> the one that a request names.
    join_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalogue:
    """All of a project. `left_to_feast` are names of views and services that only Feast's server can answer for.

    Where the project is `restricted`, Feast's Permissions say who may read what, and its server answers for all.
    `writing` is empty where the server takes no writes. Versions may be asked for where it `is_versioned`.
    """

    project: str
    views: Mapping[str, ServedView] = field(default_factory=dict)
    services: Mapping[str, tuple[Projection, ...]] = field(default_factory=dict)
    # Entity -> join key.
    entities: Mapping[str, str] = field(default_factory=dict)
    left_to_feast: frozenset[tuple[str, str]] = frozenset()
    restricted: bool = False
    writing: Writing = field(default_factory=Writing)
    is_versioned: bool = False
    described_services: Mapping[str, Described] = field(default_factory=dict)


def view_of(message: Any, *, is_versioned: bool = False) -> ServedView | None:
    """A FeatureView or StreamFeatureView; None where its rows are not read by join keys alone.

    Where the project `is_versioned`, rows of a later version lie beside those of the first
    (feast/infra/online_stores/helpers.py, `compute_versioned_name`).
    """
    spec, meta = message.spec, message.meta
    kinds = [(column.name, _KINDS.get(column.value_type, "")) for column in spec.entity_columns]
    if not kinds or not all(kind for _, kind in kinds):
        return None
    version = meta.current_version_number
    return ServedView(
        spec.name,
        tuple(sorted(kinds)),
        tuple(feature.name for feature in spec.features),
        spec.ttl.seconds + spec.ttl.nanos / 1e9,
        version,
        _why_not(spec, meta),
        _copied_until(meta),
        f"{spec.name}_v{version}" if is_versioned and version else "",
        described_of(spec, spec.features),
        tuple(map(_type_of, spec.features)),
    )


def described_of(spec: Any, features: Iterable[Any] = ()) -> Described:
    """Of a view with these features, or of a service."""
    # To go through a map of protobuf's is slow, and nearly every one is empty.
    tagged = [("", spec), *((feature.name, feature) for feature in features)]
    said = [(name, found) for name, each in tagged if each.tags and (found := deprecation.read(each.tags))]
    tags = tuple(sorted(deprecation.without(spec.tags).items())) if spec.tags else ()
    return Described(spec.owner, tags, tuple(said)) if spec.owner or tags or said else UNDESCRIBED


def _type_of(feature: Any) -> str:
    try:
        return str(field_type(feature))
    except NoDefinition:
        return ""


def _copied_until(meta: Any) -> float:
    """A window that ends in the future was copied when the view was last written to at the latest."""
    end = max((each.end_time.seconds for each in meta.materialization_intervals), default=0)
    return float(min(end, meta.last_updated_timestamp.seconds or end))


def _why_not(spec: Any, meta: Any) -> str:
    """As `_get_feature_views_to_use` of feast/utils.py asks."""
    if spec.disabled:
        return f"Feature view '{spec.name}' is disabled and cannot serve features."
    state = _state(meta)
    if state not in _AVAILABLE:
        return f"Feature view '{spec.name}' is in state '{state}' and cannot serve features."
    return ""


def _state(meta: Any) -> str:
    kind = meta.DESCRIPTOR.fields_by_name["state"].enum_type
    found = kind.values_by_number.get(meta.state)
    return found.name if found else "STATE_UNSPECIFIED"


def service_of(message: Any) -> tuple[Projection, ...] | None:
    """A FeatureService; None where only Feast's server can answer for it."""
    projections = []
    for each in message.spec.features:
        if each.HasField("version_tag") or each.view_type not in _PLAIN:
            return None
        projections.append(
            Projection(
                each.feature_view_name,
                tuple(column.name for column in each.feature_columns),
                each.feature_view_name_alias or each.feature_view_name,
                dict(each.join_key_map),
            )
        )
    return None if message.spec.precompute_online else tuple(projections)


def value_type(number: int) -> str:
    """The name of a number of feast.types.ValueType."""
    return str(ValueType.Enum.Name(number)) if number in ValueType.Enum.values() else "INVALID"
