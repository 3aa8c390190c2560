"""Opening the histories of several views side by side, in one DuckDB that stays within its memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from featureplane.errors import FeatureplaneError
from featureplane.materialization.readers.among import FewKeys
from featureplane.materialization.readers.database import Database
from featureplane.materialization.readers.duck import Duck, open_duckdb
from featureplane.materialization.readers.opening import Places, open_database
from featureplane.materialization.readers.scan import find_source
from featureplane.materialization.rows import View
from featureplane.training.history import History, Span, of_files, of_table
from featureplane.training.joining import Moments, join

# Megabytes for sorting and joining; what is more goes to the scratch disk.
MEMORY_MB = 512
_THREADS = 2


@dataclass(frozen=True)
class Wanted:
    """Features of one view, for moments whose join keys are called as `keys` says; without a word, as the view does."""

    view: View
    features: tuple[str, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    # What the view is asked for by, where that is not its own name.
    alias: str = ""

    @property
    def name(self) -> str:
        return self.alias or self.view.name

    def key_names(self) -> list[str]:
        """The moments' names of the view's join keys, in its order."""
        return [self.keys.get(name, name) for name, _ in self.view.keys]

    def keys_among(self, known: FewKeys) -> FewKeys:
        """Of the moments' keys those of the view, by its own names."""
        names = zip((name for name, _ in self.view.keys), self.key_names(), strict=True)
        return {own: known[name] for own, name in names if name in known}


def key_types(wanted: Sequence[Wanted]) -> dict[str, str]:
    """The type of each join key, by the moments' name for it. Raises FeatureplaneError where views disagree: one value
    is given for all.
    """
    found: dict[str, tuple[str, str]] = {}
    for each in wanted:
        for name, (_, kind) in zip(each.key_names(), each.view.keys, strict=True):
            other, view = found.setdefault(name, (kind, each.name))
            if other != kind:
                both = f"{other} in {view} and {kind} in {each.name}"
                raise FeatureplaneError(f"the join key {name!r} is {both}; ask for one of them at a time")
    return {name: kind for name, (kind, _) in found.items()}


@dataclass(frozen=True)
class Histories:
    """What is wanted, with the history of each view."""

    duck: Duck
    wanted: Sequence[tuple[Wanted, History]]

    def features_at(self, moments: Moments) -> dict[str, pa.ChunkedArray]:
        """Each feature, as `view:feature`, at each of the moments. Raises SourceError, SourceChanged."""
        found: dict[str, pa.ChunkedArray] = {}
        for each, history in self.wanted:
            table = join(self.duck, history, moments, each.key_names(), each.features)
            found |= {f"{each.name}:{name}": table.column(name) for name in each.features}
        return found


@contextmanager
def open_histories(
    wanted: Sequence[Wanted], span: Span, places: Places, memory_mb: int = MEMORY_MB, keys: FewKeys | None = None
) -> Iterator[Histories]:
    """Open the sources of these views for moments within the span, and for these keys where they are few.

    Raises SourceError for a source that a view cannot be read from, StoreUnavailable for a database that is away.
    """
    with ExitStack() as stack:
        duck = stack.enter_context(open_duckdb(places.scratch, memory_mb=memory_mb, threads=_THREADS))
        in_files = [each.view for each in wanted if each.view.source["type"] == "file"]
        found = {view.name: find_source(view, places.repo_path) for view in in_files}
        duck.confine([each.files for each in found.values()])
        databases: dict[str, Database] = {}
        opened: list[tuple[Wanted, History]] = []
        for index, each in enumerate(wanted):
            if each.view.name in found:
                opened.append((each, of_files(duck, each.view, found[each.view.name])))
                continue
            kind = each.view.source["type"]
            if kind not in databases:
                databases[kind] = stack.enter_context(open_database(each.view, places))
            known = each.keys_among(keys or {})
            opened.append((each, of_table(duck, each.view, databases[kind], span, f"table {index}", known)))
        yield Histories(duck, opened)
