"""What a request leaves for the writer to do. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition

# Objects in one transaction, which takes a second or two; a writer that takes over waits for it (see `fence`).
_BATCH = 100

T = TypeVar("T")
Window = tuple[datetime, datetime]


class Written:
    """What of a plan Feast has to write, and what is done already, by what was registered `before`."""

    def __init__(self, before: Registered, items: Sequence[Definition]) -> None:
        self._before = before
        # A view holds a copy of its sources: where one of them changes, Feast must write the view as well.
        self._sources = {item.name for item in items if item.kind == "data_source" and self._differs(item)}

    def _differs(self, item: Definition) -> bool:
        known = self._before.definitions.get(item.key)
        return known is None or known.spec_digest != item.spec_digest

    def by_feast(self, item: Definition) -> bool:
        """Whether Feast's row is another, or holds a copy of what becomes another."""
        sources = {item.spec["source"], item.spec["push_source"]} if item.kind == "feature_view" else set()
        return self._differs(item) or bool(sources & self._sources)

    def replaced(self, items: Iterable[Definition]) -> list[str]:
        """Sources that become another kind of source: Feast cannot compare its row with the new one."""
        return [
            item.name
            for item in items
            if item.kind == "data_source"
            and item.key in self._before.definitions
            and self._before.definitions[item.key].spec["type"] != item.spec["type"]
        ]

    def noted(self, item: Definition) -> bool:
        """Whether our note of it says just this, owner included."""
        return self.already(item) and self._before.definitions[item.key].owner == item.owner

    def already(self, item: Definition) -> bool:
        """Whether Feast's row and our note of it say just this."""
        known = self._before.definitions.get(item.key)
        noted = item.key in self._before.noted
        return noted and known is not None and known.digest == item.digest and not self.by_feast(item)


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in order, as many at a time as go into one transaction."""
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def joined(windows: Iterable[Window]) -> list[Window]:
    """The same spans of time in order, as few as can be."""
    spans: list[Window] = []
    for start, end in sorted(windows):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans
