"""What passes from a reader through the encoder to the writer, and what of a view's definition they need. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from featureplane.online.layout import Keys, keys_of
from featureplane.rendering.definitions import Definition, Json, Key

# The column of a batch that says when its rows were true. No feature has such a name: two underscores are Feast's.
EVENT_TIME: Final = "__event_timestamp"


@dataclass(frozen=True)
class View:
    """A feature view as a run copies it.

    `keys` are its join keys with their types, sorted by name; `features` names and types in the view's order;
    `source` is the spec of its batch source's definition; `checks` are those of `model.checks.Checks`, by feature.
    """

    project: str
    name: str
    keys: Keys
    features: tuple[tuple[str, str], ...]
    source: Json
    ttl_seconds: int = 0
    takes_pushes: bool = False
    checks: Mapping[str, Json] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Where each join key and feature comes from: its name -> the source's column."""
        column_of = {target: column for column, target in self.source["field_mapping"].items()}
        names = [name for name, _ in (*self.keys, *self.features)]
        return {name: column_of.get(name, name) for name in names}


def view_of(project: str, definition: Definition, known: Mapping[Key, Definition]) -> View:
    """The view of a definition. Raises KeyError where its source is not among the known definitions."""
    spec = definition.spec
    return View(
        project,
        definition.name,
        keys_of(spec["entities"]),
        tuple((feature["name"], feature["type"]) for feature in spec["features"]),
        known["data_source", spec["source"]].spec,
        spec["ttl_seconds"],
        bool(spec["push_source"]),
        definition.extras.get("checks", {}),
    )


@dataclass(frozen=True)
class Window:
    """Event time to copy: from `start` to `end`, both included as Feast does. Aware, UTC.

    `since` is when the view was last copied, where that is known: rows that were created after it and lie before
    `start` came late, and are counted.
    """

    start: datetime
    end: datetime
    since: datetime | None = None
