"""The history of an entity's row: what its source has had, and which of it is served."""

from collections.abc import Sequence
from dataclasses import dataclass

from featureplane.entities.entity import Entity
from featureplane.entities.source import newest_rows
from featureplane.materialization.readers.opening import Places
from featureplane.model.types import FeatureType, parse_type
from featureplane.parity.judging import OnlineRow, SourceRow, moment
from featureplane.parity.values import is_same

# Rows of one event time among which the one that is served is looked for.
_MOST_AT_ONCE = 1_000


@dataclass(frozen=True)
class History:
    """The rows of the source, the newest first, and what is online of the entity. `served` is the place of the row that
    is the same as that, None where no row of the source is.
    """

    rows: Sequence[SourceRow]
    online: OnlineRow
    served: int | None


def history_of(entity: Entity, places: Places, online: OnlineRow, most: int) -> History:
    """Up to `most` rows, and behind them, where it is older than all of them, the one that is served.

    Raises SourceError, SourceChanged, StoreUnavailable.
    """
    kinds = [parse_type(kind) for _, kind in entity.view.features]
    rows = newest_rows(entity, places, most)
    served = _place(rows, online, kinds)
    if served is None and len(rows) == most and online.time is not None and online.time <= rows[-1].time:
        older = newest_rows(entity, places, _MOST_AT_ONCE, at=moment(online.time))
        place = _place(older, online, kinds)
        if place is not None:
            rows, served = [*rows, older[place]], len(rows)
    return History(rows, online, served)


def _place(rows: Sequence[SourceRow], online: OnlineRow, kinds: Sequence[FeatureType]) -> int | None:
    """Of the newest row that is the same as the one online: of its event time, with its values."""
    return next((place for place, row in enumerate(rows) if is_online(row, online, kinds)), None)


def is_online(row: SourceRow, online: OnlineRow, kinds: Sequence[FeatureType]) -> bool:
    """Whether a row of the source is the one that is served."""
    if online.is_unreadable or online.time != row.time:
        return False
    return all(is_same(*each) for each in zip(online.values, row.values, kinds, strict=True))
