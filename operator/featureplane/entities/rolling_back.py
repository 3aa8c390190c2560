"""An entity's row of before, served again: written with the event time of now, so that it is the newest."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from featureplane.entities.by_hand import by_hand
from featureplane.entities.entity import Entity
from featureplane.entities.served import online_row
from featureplane.entities.source import newest_rows
from featureplane.entities.writing import write
from featureplane.errors import FeatureplaneError, WriteRefused
from featureplane.materialization.readers.opening import Places
from featureplane.model.types import parse_type
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.parity.judging import OnlineRow, SourceRow, micros, moment
from featureplane.parity.values import is_same
from featureplane.registry.plan import FieldChange
from featureplane.registry.protos import Value
from featureplane.rendering.definitions import Definition
from featureplane.serving.catalogue.served import Catalogue
from featureplane.serving.writing.request import from_typed_features
from featureplane.settings import Stores


def row_as_of(entity: Entity, places: Places, at: datetime) -> SourceRow:
    """The row that was the newest at a moment, which counts itself.

    Raises FeatureplaneError where the source has none, or one that was past its ttl then, and as `newest_rows`.
    """
    found = newest_rows(entity, places, 1, until=at)
    view = entity.view
    if not found:
        raise FeatureplaneError(f"the source of {view.name} has no row of this entity up to {at.isoformat()}")
    (row,) = found
    if view.ttl_seconds and micros(at) - row.time > view.ttl_seconds * MICROSECONDS_PER_SECOND:
        raise FeatureplaneError(
            f"nothing was served at {at.isoformat()}: the newest row of then, of {_iso(row.time)}, was past the ttl "
            f"of {view.name}; name an earlier time"
        )
    return row


def is_served(entity: Entity, row: SourceRow, online: OnlineRow) -> bool:
    """Whether what is served has the row's values, whatever its event time."""
    if online.time is None or online.is_expired or online.is_unreadable:
        return False
    kinds = [parse_type(kind) for _, kind in entity.view.features]
    return all(is_same(*each) for each in zip(online.values, row.values, kinds, strict=True))


@dataclass(frozen=True)
class RollBack:
    """The row of the source that is to be served again, and what is online before it."""

    entity: Entity
    row: SourceRow
    online: OnlineRow

    def check(self, stores: Stores, catalogue: Catalogue) -> None:
        """Raises FeatureplaneError where it could not be written, and for a row that no run would copy."""
        name = self.entity.view.name
        write(stores, catalogue, name, self._written(datetime.now(UTC)), only_check=True)
        # A value of another type has become a null by now, which may be written.
        if not self.row.is_copied:
            raise FeatureplaneError(
                f"a value in the source's row of {_iso(self.row.time)} is not of its feature's type: no run copies the "
                f"row, and {name} never served it; name another time"
            )

    def carry_out(self, stores: Stores, catalogue: Catalogue, definition: Definition) -> None:
        """Write it while no run copies the view, and note that it was done.

        Raises Busy, WriteRefused where something newer is online, or something else than was shown, and as `write`.
        """
        view = self.entity.view
        with by_hand(stores, view.project, definition, "roll-back") as changes:
            if online_row(stores, catalogue, self.entity) != self.online:
                raise WriteRefused("nothing was written: what is online has changed meanwhile; look again what it is")
            outcome = write(stores, catalogue, view.name, self._written(datetime.now(UTC)))
            if outcome.older:
                raise WriteRefused(
                    "nothing was written: what is online has an event time of the future; take it out with delete-rows"
                )
            if not outcome.written:
                raise WriteRefused(
                    "all of the row's values are null, and Feast writes no such row; nothing was written"
                )
            changes.append(FieldChange("online row", _iso(self.online.time), _iso(self.row.time)))

    def _written(self, now: datetime) -> dict[str, Any]:
        """The row as a client sends it."""
        names = [name for name, _ in self.entity.view.features]
        stored = {name: Value.FromString(value) for name, value in zip(names, self.row.values, strict=True)}
        values = {name: value for name, (value,) in from_typed_features(stored).items()}
        return {**self.entity.by_name, **values, "event_timestamp": now.isoformat()}


def _iso(at: int | None) -> str | None:
    found = moment(at)
    return None if found is None else found.isoformat()
