"""Where the two rows of entities differ, the worst first. Pure."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from featureplane.materialization.rows import View
from featureplane.parity.judging import Judged, OnlineRow, SourceRow, moment
from featureplane.parity.kinds import WRONG, Kind
from featureplane.parity.outcomes import Difference
from featureplane.parity.values import distance, shown

# Of a row that one of the two does not have.
ALL_FEATURES: Final = "*"


@dataclass(frozen=True)
class Rows:
    """One entity: its key, the values of its join keys, and its two rows."""

    key: bytes
    entity: tuple[Any, ...]
    online: OnlineRow
    offline: SourceRow | None


@dataclass(frozen=True)
class Found:
    """One entity and what came of it."""

    rows: Rows
    judged: Judged


def worst(view: View, found: Iterable[Found], most: int) -> list[Difference]:
    """Missing rows before different values, and those that are farther apart before others."""
    wrong = (each for each in found if each.judged.kind in WRONG)
    differing = (difference for each in wrong for difference in _differences(view, each))
    return [each for _, _, each in heapq.nsmallest(most, differing, key=lambda item: item[:2])]


def _differences(view: View, found: Found) -> Iterator[tuple[int, float, Difference]]:
    entity = dict(zip((name for name, _ in view.keys), found.rows.entity, strict=True))
    kind, online, offline = found.judged.kind, found.rows.online, found.rows.offline
    times = moment(online.time), moment(offline.time) if offline else None
    rank = WRONG.index(kind)
    places = [place for place, same in enumerate(found.judged.same) if not same]
    if kind in {Kind.MISSING, Kind.EXTRA} or offline is None or not online.values or not places:
        yield rank, 0.0, Difference(entity, kind, ALL_FEATURES, None, None, *times)
        return
    for place in places:
        stored, said = online.values[place], offline.values[place]
        name = view.features[place][0]
        yield rank, -distance(stored, said), Difference(entity, kind, name, shown(stored), shown(said), *times)
