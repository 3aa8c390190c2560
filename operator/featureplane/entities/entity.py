"""One entity of a view, by the values of its join keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featureplane.errors import FeatureplaneError
from featureplane.materialization.rows import View
from featureplane.online.layout import Keys
from featureplane.serving.reading.entity_keys import KeyMaker, converted
from featureplane.serving.reading.refusals import Refused


@dataclass(frozen=True)
class Entity:
    """`values` are those of the view's join keys, in its order and of their types."""

    view: View
    values: tuple[Any, ...]

    @property
    def by_name(self) -> dict[str, Any]:
        return {name: value for (name, _), value in zip(self.view.keys, self.values, strict=True)}

    @property
    def key(self) -> bytes:
        """Of its hash in Redis."""
        return keys_in_redis(self.view.keys, self.view.project, [[value] for value in self.values])[0]


def entity_of(view: View, given: Mapping[str, Sequence[Any]]) -> Entity:
    """The one entity with these join keys. Raises FeatureplaneError for several, and for a value of another type."""
    columns = columns_of(view.keys, given)
    if any(len(column) != 1 for column in columns):
        raise FeatureplaneError("name one entity: a single value for each --entity")
    return Entity(view, tuple(column[0] for column in columns))


def columns_of(keys: Keys, given: Mapping[str, Sequence[Any]]) -> list[Sequence[Any]]:
    """The values of each join key as its type has them. Raises FeatureplaneError for one that is of another."""
    try:
        return [converted(name, given[name], kind) for name, kind in keys]
    except Refused as error:
        raise FeatureplaneError(str(error)) from error


def keys_in_redis(keys: Keys, project: str, columns: Sequence[Sequence[Any]]) -> list[bytes]:
    """The key of each entity's hash."""
    return KeyMaker(keys, project).keys(columns)
