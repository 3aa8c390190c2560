"""What to read for a request: worked out once for each combination of features, and kept until the registry changes.

Reads of the same entities go together: one HMGET for each entity row, whatever the number of views.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from featureplane.online.layout import field as field_of
from featureplane.online.layout import time_field
from featureplane.serving.catalogue.served import DUMMY_KEY, Catalogue, Projection, ServedView
from featureplane.serving.reading.deprecated import Deprecated, Header, headers_of, of_service, of_view
from featureplane.serving.reading.entity_keys import KeyMaker
from featureplane.serving.reading.link import bulks
from featureplane.serving.reading.refusals import ForFeast, Refused, no_service, no_view

# What may follow a view's name and an @ without another version than the newest.
_LATEST = {"", "latest"}
# As Feast reads a version (feast/utils.py, `_parse_feature_or_view_ref`); whatever else has an @ is a name.
_VERSION = re.compile(r"(.+)@v\d+", re.IGNORECASE | re.DOTALL)
_MOST_SHOWN = 20
# Features of a request: a view's name, which a body may hold 200,000 times, means all of them each time.
MOST_FEATURES = 50_000


@dataclass(frozen=True, eq=False)
class Part:
    """Columns of one view within a read: values from `start`, then the event time."""

    view: ServedView
    start: int
    names: tuple[str, ...]

    @property
    def end(self) -> int:
        """Where the event time lies."""
        return self.start + len(self.names)


@dataclass(frozen=True)
class Read:
    """One HMGET for each entity row: `columns` are the request's names of the key's join keys."""

    keys: KeyMaker
    columns: tuple[str, ...]
    fields: tuple[bytes, ...]
    parts: tuple[Part, ...]

    @cached_property
    def _frame(self) -> tuple[bytes, bytes]:
        """What stands before the length of each key, and behind the key."""
        return b"*%d\r\n$5\r\nHMGET\r\n$" % (2 + len(self.fields)), b"\r\n" + bulks(self.fields)

    def rows(self, columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        """The key of each row; `columns` are the request's join keys."""
        return self.keys.keys([columns[name] for name in self.columns])

    def commands(self, keys: Sequence[bytes]) -> list[bytes]:
        """A command for each key."""
        head, tail = self._frame
        return [head + b"%d\r\n" % len(key) + key + tail for key in keys]


@dataclass(frozen=True, eq=False)
class Plan:
    """Reads, and what the request's entities may be called: join keys with their types, entities with their join keys.

    `order` is where the columns of the answer come from, as (read, part) in the order of the request; `views` have the
    names that they are asked for by. `deprecated` are those of what is asked for that should not be any more.
    """

    reads: tuple[Read, ...]
    order: tuple[tuple[int, int], ...]
    types: Mapping[str, str]
    join_keys: frozenset[str]
    entities: Mapping[str, str]
    views: tuple[ServedView, ...] = field(default=())
    deprecated: tuple[Deprecated, ...] = ()

    @cached_property
    def width(self) -> int:
        """Values that are read for an entity row."""
        return sum(len(read.fields) for read in self.reads)

    @cached_property
    def headers(self) -> tuple[Header, ...]:
        """What an answer's head, or a call's end, says beside what it always does."""
        return headers_of(self.deprecated)

    @cached_property
    def head(self) -> bytes:
        """The same as lines of HTTP/1.1."""
        return b"".join(b"%b: %b\r\n" % header for header in self.headers)


def plan_features(catalogue: Catalogue, references: Sequence[str], *, full_names: bool) -> Plan:
    """For `view:feature`, or `view` for all of its features. Raises Refused, and ForFeast."""
    if not references:
        raise Refused("No features specified for retrieval: name features, or a feature_service")
    if not catalogue.is_versioned:
        _refuse_versions(catalogue, references)
    wanted: dict[str, list[str]] = {}
    count = 0
    for reference in references:
        asked, colon, feature = reference.partition(":")
        if not asked or (colon and not feature):
            raise Refused(
                f"features: {reference!r} names no feature; write view:feature, or view for all of its features"
            )
        name, _, version = asked.partition("@")
        if version.lower() not in _LATEST:
            name = asked
        view = _view(catalogue, name)
        count += 1 if colon else len(view.features)
        if count > MOST_FEATURES:
            raise Refused(f"features: ask for {MOST_FEATURES} at the most in one request", 413)
        features = wanted.setdefault(name, [])
        features += [feature] if colon else view.features
    return _plan(
        catalogue,
        [Projection(name, tuple(features), name) for name, features in wanted.items()],
        full_names=full_names,
    )


def _refuse_versions(catalogue: Catalogue, references: Iterable[str]) -> None:
    """Feast's own app would be started only to refuse them."""
    for reference in references:
        asked, colon, feature = reference.partition(":")
        if (found := _VERSION.fullmatch(asked)) and asked not in catalogue.views:
            text = f"features: {reference!r} names a version, and versions are not served here"
            raise Refused(f"{text}; write {found[1]}{colon}{feature} for the newest")


def plan_service(catalogue: Catalogue, service: str, *, full_names: bool) -> Plan:
    """For a feature service. Raises Refused, and ForFeast."""
    if ("feature_service", service) in catalogue.left_to_feast:
        raise ForFeast
    if service not in catalogue.services:
        raise no_service(service, catalogue.project, catalogue.services)
    plan = _plan(catalogue, catalogue.services[service], full_names=full_names)
    own = of_service(catalogue, service)
    return replace(plan, deprecated=own + plan.deprecated) if own else plan


def _view(catalogue: Catalogue, name: str) -> ServedView:
    if name in catalogue.views:
        return catalogue.views[name]
    if ("@" in name and catalogue.is_versioned) or ("view", name) in catalogue.left_to_feast:
        raise ForFeast
    raise no_view(name, catalogue.project, catalogue.views)


def _no_feature(feature: str, name: str, view: ServedView) -> Refused:
    return Refused(f"Feature {feature} not found in feature view {name}, which has {_some(view.features)}", 404)


def _plan(catalogue: Catalogue, projections: Iterable[Projection], *, full_names: bool) -> Plan:
    chosen = [(each, _view(catalogue, each.view)) for each in projections if each.features]
    for projection, view in chosen:
        if view.why_not:
            raise Refused(view.why_not)
        its = frozenset(view.features)
        for feature in projection.features:
            if feature not in its:
                raise _no_feature(feature, projection.name, view)
    _refuse_collisions([each for each, _ in chosen], full_names=full_names)
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for index, (projection, view) in enumerate(chosen):
        groups.setdefault(_named(projection, view), []).append(index)
    reads: list[Read] = []
    order = [(0, 0)] * len(chosen)
    for named, members in groups.items():
        fields: list[bytes] = []
        parts: list[Part] = []
        for index in members:
            projection, view = chosen[index]
            order[index] = (len(reads), len(parts))
            names = tuple(f"{projection.name}__{each}" if full_names else each for each in projection.features)
            parts.append(Part(view, len(fields), names))
            stored_as = view.stored_as or view.name
            fields += [*(field_of(stored_as, each) for each in projection.features), time_field(stored_as)]
        view = chosen[members[0]][1]
        reads.append(
            Read(
                KeyMaker(view.join_keys, catalogue.project),
                tuple(name for _, name in named),
                tuple(fields),
                tuple(parts),
            )
        )
    types = _types(chosen)
    return Plan(
        tuple(reads),
        tuple(order),
        types,
        frozenset(catalogue.entities.values()) | frozenset(types),
        catalogue.entities,
        tuple(replace(view, name=projection.name) for projection, view in chosen),
        tuple(each for projection, view in chosen for each in of_view(view, projection.features)),
    )


def _types(chosen: Iterable[tuple[Projection, ServedView]]) -> dict[str, str]:
    """Of the join keys, by the request's names for them. Raises Refused where views disagree: one value is given."""
    types: dict[str, str] = {}
    for projection, view in chosen:
        for key, kind in view.join_keys:
            name = projection.join_keys.get(key, key)
            if types.setdefault(name, kind) != kind:
                text = f"the join key {name} is {kind} in {projection.name} and {types[name]} in another view asked for"
                raise Refused(f"{text}; ask for them in two requests")
    types.pop(DUMMY_KEY, None)
    return types


def _named(projection: Projection, view: ServedView) -> tuple[tuple[str, str], ...]:
    """The view's join keys, each with the request's name for it: what reads that go together share."""
    return tuple((f"{key}\0{kind}", projection.join_keys.get(key, key)) for key, kind in view.join_keys)


def _refuse_collisions(projections: Sequence[Projection], *, full_names: bool) -> None:
    """Two columns of one name, as `_validate_feature_refs` of feast/utils.py finds them: with all that mends it."""
    named: dict[str, Counter[str]] = {}
    for projection in projections:
        for feature in projection.features:
            column = f"{projection.name}__{feature}" if full_names else feature
            named.setdefault(column, Counter())[f"{projection.name}:{feature}"] += 1
    twice = {column: asked for column, asked in named.items() if asked.total() > 1}
    if not twice:
        return
    repeated = [reference for asked in twice.values() for reference, times in asked.items() if times > 1]
    shared = [_some(list(asked)) for asked in twice.values() if len(asked) > 1]
    remedies = []
    if repeated:
        remedies.append(f"name {_some(repeated)} once")
    if shared:
        what = "" if full_names else "set full_feature_names, or "
        remedies.append(f"{what}leave out all but one of {_some(shared, ', and of ')}")
    text = f"Duplicate features named {_some(list(twice))} found; {'; '.join(remedies)}"
    raise Refused(text, kind="FeatureNameCollisionError")


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _MOST_SHOWN
    return between.join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
