"""What only shows when objects stand beside each other: names used twice, entities that differ, views that are missing.

`Together` takes objects one after the other and says what is wrong with each in view of those before it. The order is
the caller's: that of the files, or, in a cluster, that of age, so that the older object wins.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from featureplane.errors import Problem
from featureplane.model.base import Kind
from featureplane.model.documents import Document, Path, field_path
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import NEVER, Entity, FeatureView
from featureplane.model.source import SourceKind

K = TypeVar("K", bound=Kind)


@dataclass(frozen=True)
class Declared(Generic[K]):
    """An object and where it stands, so that a problem found late still has its file and line."""

    object: K
    document: Document | None = None

    def problem(self, path: Path, message: str, remedy: str = "", reason: str = "Invalid") -> Problem:
        document = self.document
        return Problem(
            document.file if document else "",
            document.line(path) if document else 0,
            field_path(path),
            message,
            remedy,
            reason,
        )

    def __str__(self) -> str:
        where = f" ({self.document.file}:{self.document.line(())})" if self.document and self.document.file else ""
        return f"{self.object.metadata.namespace}/{self.object.metadata.name}{where}"

    def is_same_object(self, other: "Declared[Any]") -> bool:
        """Whether two documents of one kind are one object to the API server: a problem of its own."""
        mine, theirs = self.object.metadata, other.object.metadata
        return (mine.namespace, mine.name) == (theirs.namespace, theirs.name)


@dataclass
class Together:
    """The objects of one project, as far as they were taken; without the project where that is wrong itself.

    With `keep_wrong` an object counts for those after it even when it is wrong, so that all there is to mend shows at
    once; without it a loser takes nothing from anybody.
    """

    project: Declared[FeastProject] | None
    keep_wrong: bool = True
    _names: dict[str, Declared[FeatureView]] = field(default_factory=dict)
    _service_names: dict[str, Declared[FeatureService]] = field(default_factory=dict)
    _entities: dict[str, tuple[Declared[FeatureView], Entity]] = field(default_factory=dict)
    _sources: dict[str, tuple[Declared[FeatureView], str, Any]] = field(default_factory=dict)

    def view(self, view: Declared[FeatureView]) -> list[Problem]:
        """What is wrong with a view beside those before it."""
        problems = [
            *_not_allowed(self.project, view),
            *_schedule(self.project, view),
            *_offline_store(self.project, view),
            *_batch_engine(self.project, view),
            *_in_cassandra(self.project, view),
            *_feast_name(self._names, view),
            *self._entity_problems(view),
            *self._source_problems(view),
        ]
        if self.keep_wrong or not problems:
            self._take(view)
        return problems

    def service(
        self,
        service: Declared[FeatureService],
        features: Mapping[str, Sequence[str] | None],
        *,
        any_view: bool = False,
    ) -> list[Problem]:
        """What is wrong with a service beside those before it. `features` are those of each view there is, None where
        they are not known; with `any_view` there may be others.
        """
        problems = [
            *_not_allowed(self.project, service),
            *_feast_name(self._service_names, service),
            *(problem for problem in _missing(service, features) if not any_view or problem.reason != "ViewNotFound"),
        ]
        if self.keep_wrong or not problems:
            self._service_names.setdefault(service.object.feast_name.lower(), service)
        return problems

    def _take(self, view: Declared[FeatureView]) -> None:
        self._names.setdefault(view.object.feast_name.lower(), view)
        for entity in view.object.spec.entities:
            other_view, other = self._entities.get(entity.name, (view, entity))
            self._entities[entity.name] = (other_view, merged_entity(other, entity))
        for _, name, content in _named_sources(view):
            self._sources.setdefault(name.lower(), (view, name, content))

    def _entity_problems(self, view: Declared[FeatureView]) -> Iterator[Problem]:
        for index, entity in enumerate(view.object.spec.entities):
            other_view, other = self._entities.get(entity.name, (view, entity))
            if entity == other:
                continue
            for attribute, alias in _ENTITY_FIELDS:
                mine, theirs = getattr(entity, attribute), getattr(other, attribute)
                if mine == theirs or (attribute in _DEFERRING and not (mine and theirs)):
                    continue
                yield view.problem(
                    ("spec", "entities", index, alias),
                    f"the entity {entity.name!r} has {alias} {_short(mine)} here and {_short(theirs)} in {other_view}",
                    "write the same in both, or name another entity",
                    "EntityConflict",
                )

    def _source_problems(self, view: Declared[FeatureView]) -> Iterator[Problem]:
        mine: dict[str, tuple[str, Any]] = {}
        for path, name, content in _named_sources(view):
            own_name, own_content = mine.setdefault(name.lower(), (name, content))
            other, other_name, other_content = self._sources.get(name.lower(), (view, own_name, own_content))
            if other.object.feast_name.lower() == view.object.feast_name.lower() and other is not view:
                continue  # a conflict of the views' names already
            if name != other_name or content != other_content:
                yield view.problem(
                    path,
                    f"the data source {name!r} is another one in {other}",
                    "give spec.source.name or spec.push.name of its own",
                    "SourceConflict",
                )


def _not_allowed(project: Declared[FeastProject] | None, member: Declared[Any]) -> Iterator[Problem]:
    namespace = member.object.metadata.namespace
    if project and not project.object.allows(namespace):
        message = f"{namespace!r} is not allowed by the FeastProject {project}"
        yield member.problem(
            ("metadata", "namespace"), message, "list it in the project's allowedNamespaces", "NotAllowed"
        )


def _schedule(project: Declared[FeastProject] | None, view: Declared[FeatureView]) -> Iterator[Problem]:
    schedule = view.object.spec.materialization.schedule
    if project and schedule != NEVER and schedule not in project.object.spec.schedules:
        yield view.problem(
            ("spec", "materialization", "schedule"),
            f"{schedule!r} is not a schedule of the project",
            "write one of " + ", ".join([*project.object.spec.schedules, NEVER]),
            "ScheduleNotFound",
        )


# The offline stores of Feast's that read each kind of source.
_READ_BY: Mapping[SourceKind, tuple[str, ...]] = {
    "file": ("file", "dask", "duckdb", "ray"),
    "postgres": ("postgres",),
    "spark": ("spark",),
}
# The engines that copy a kind of source that not every engine does.
_COPIED_BY: Mapping[SourceKind, str] = {"spark": "spark.engine"}


def _offline_store(project: Declared[FeastProject] | None, view: Declared[FeatureView]) -> Iterator[Problem]:
    kind = view.object.spec.source.kind
    if project and (store := project.object.spec.offline_store.type) not in _READ_BY[kind]:
        yield view.problem(
            ("spec", "source", kind),
            f"the project's offlineStore is {store}, which reads no {kind} source",
            "set the FeastProject's offlineStore.type to " + " or ".join(_READ_BY[kind]),
            "SourceNotSupported",
        )


# CQL's rule for names of tables, which Cassandra does not lift for quoted ones.
_TABLE = re.compile(r"[A-Za-z0-9_]{1,48}", re.ASCII)


def _in_cassandra(project: Declared[FeastProject] | None, view: Declared[FeatureView]) -> Iterator[Problem]:
    if project is None or project.object.spec.online_store.cassandra is None:
        return
    file = view.object.spec.source.file
    if file is not None and file.format == "delta":
        yield view.problem(
            ("spec", "source", "file", "format"),
            "is delta, and Feast's engine, which copies to Cassandra, would read the files that the table has removed",
            "give a source of Parquet files, or keep the project's rows in Redis",
            "SourceNotSupported",
        )
    table = f"{project.object.spec.project}_{view.object.feast_name}"
    if not _TABLE.fullmatch(table):
        yield view.problem(
            ("spec", "name"),
            f"makes the table {table!r}, and Cassandra takes names of up to 48 letters, digits and _",
            "choose a shorter spec.name without -, or a shorter project",
            "NameNotSupported",
        )


def _batch_engine(project: Declared[FeastProject] | None, view: Declared[FeatureView]) -> Iterator[Problem]:
    kind = view.object.spec.source.kind
    wanted = _COPIED_BY.get(kind)
    if project and wanted and (engine := project.object.spec.batch_engine.type) != wanted:
        yield view.problem(
            ("spec", "source", kind),
            f"the project's batchEngine is {engine}, which copies no {kind} source",
            f"set the FeastProject's batchEngine.type to {wanted}",
            "SourceNotSupported",
        )


def _feast_name(taken: Mapping[str, Declared[Any]], item: Declared[Any]) -> Iterator[Problem]:
    """Feast compares names without case."""
    name = item.object.feast_name
    other = taken.get(name.lower())
    if other is not None and other is not item and not other.is_same_object(item):
        path: Path = ("spec", "name") if item.object.spec.name else ("metadata", "name")
        yield item.problem(
            path, f"{name!r} is the Feast name of {other}", "give each a spec.name of its own", "NameConflict"
        )


_ENTITY_FIELDS = (
    ("key", "joinKey"),
    ("type", "type"),
    ("description", "description"),
    ("owner", "owner"),
    ("tags", "tags"),
)
# A view that says nothing about these agrees with one that does.
_DEFERRING = frozenset({"description", "owner", "tags"})


def merged_entity(one: Entity, other: Entity) -> Entity:
    """One entity out of two views' words about it, which agree where both say something."""
    if one == other:
        return one
    return one.model_copy(update={name: getattr(one, name) or getattr(other, name) for name in sorted(_DEFERRING)})


def _short(value: Any) -> str:
    text = ascii(str(value))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


_LONGEST_SHOWN = 48


def _named_sources(view: Declared[FeatureView]) -> list[tuple[Path, str, Any]]:
    """The data sources that a view makes: path of the name, name, and what tells two of one name apart."""
    spec = view.object.spec
    found: list[tuple[Path, str, Any]] = [
        (("spec", "source", "name"), view.object.source_name, spec.source.model_copy(update={"name": None}))
    ]
    if push := view.object.push_name:
        found.append((("spec", "push", "name"), push, f"push of {view.object.feast_name}"))
    return found


def _missing(service: Declared[FeatureService], features: Mapping[str, Sequence[str] | None]) -> Iterator[Problem]:
    """Views and features that a service names and that are not there."""
    for index, wanted in enumerate(service.object.spec.views):
        path: Path = ("spec", "views", index)
        if wanted.name not in features:
            remedy = _did_you_mean(wanted.name, features) or "write the Feast name of a view of this project"
            yield service.problem(
                (*path, "name"), f"the feature view {wanted.name!r} is not here", remedy, "ViewNotFound"
            )
        yield from _missing_features(service, path, features.get(wanted.name), index)


def _missing_features(
    service: Declared[FeatureService], path: Path, there: Sequence[str] | None, index: int
) -> Iterator[Problem]:
    wanted = service.object.spec.views[index]
    for position, feature in enumerate(wanted.features or ()):
        if there is not None and feature not in there:
            yield service.problem(
                (*path, "features", position),
                f"the feature view {wanted.name!r} has no feature {feature!r}",
                _did_you_mean(feature, there) or "write one of " + ", ".join(list(there)[:12]),
                "FeatureNotFound",
            )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    plain = {item.replace("-", "_").lower(): item for item in known}
    near = difflib.get_close_matches(name.replace("-", "_").lower(), plain, n=1)
    return f"did you mean {plain[near[0]]}?" if near else ""
