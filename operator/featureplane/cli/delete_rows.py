"""`featureplane delete-rows`: take the rows of some entities out of the online store."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from featureplane.cli.console import complain, print_json, printable, progress, say, show_table, table
from featureplane.cli.entities import Yes
from featureplane.cli.online import check_view, entities_of, entity_values
from featureplane.cli.runs import asking
from featureplane.cli.workspace import AsJson, Paths, ProjectName, open_stores, open_workspace, registered
from featureplane.entities import deleting
from featureplane.entities.deleting import Counted, Target, deleted_views, is_registered, targets
from featureplane.entities.entity import columns_of, keys_in_redis
from featureplane.entities.files import check_entities, keys_in
from featureplane.entities.served import refuse_cassandra
from featureplane.errors import FeatureplaneError
from featureplane.materialization.purge import listed
from featureplane.online.layout import Keys, keys_of
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition
from featureplane.settings import Stores
from featureplane.training.entity_files import entities_at

# The keys in Redis of the entities that are meant, as often as they are wanted, for views with these join keys.
_KeysOf = Callable[[Keys], Iterator[bytes]]
# Views, also those that are deleted and not yet purged, by the names of their join keys.
_ByJoinKeys = dict[frozenset[str], list[Definition]]
_MOST_SHOWN = 12


def delete_rows(
    paths: Paths,
    view: Annotated[
        str | None, typer.Option("--view", metavar="NAME", help="Only the rows of this view, by its Feast name.")
    ] = None,
    all_views: Annotated[
        bool, typer.Option("--all-views", help="The rows of every view that has just these join keys.")
    ] = False,
    entity: Annotated[
        list[str] | None,
        typer.Option(
            "--entity", "-e", metavar="KEY=VALUE[,VALUE...]", help="Join key and its values; once for each join key."
        ),
    ] = None,
    entities: Annotated[
        str | None,
        typer.Option(
            "--entities",
            metavar="FILE",
            help="A row for each entity instead, in a .parquet, .csv or .arrow file, here or as s3://BUCKET/FILE.",
        ),
    ] = None,
    yes: Yes = False,
    project: ProjectName = None,
    as_json: AsJson = False,
) -> None:
    """Take entities out of the online store.

    Rows go from Redis alone, as for a request of erasure. Take them out of the source as well, and before: a run that
    finds them there brings them back. Without --yes the rows are only counted. With --all-views what deleted views and
    features have left of the entities goes, too.

    For example: featureplane delete-rows features/ --all-views -e driver_id=1001,1002 --yes
    """
    if bool(view) == all_views:
        raise FeatureplaneError("name a view with --view, or say --all-views")
    if bool(entity) == bool(entities):
        raise FeatureplaneError("name entities with --entity, or a file of them with --entities")
    workspace = open_workspace(paths, project, None, look_at_sources=False)
    refuse_cassandra(workspace.declarations.project)
    name = workspace.feast_project
    with open_stores(workspace.settings) as stores:
        known = registered(stores, name)
        with asking(stores, migrating=True) as connection:
            leaving = listed(connection, name, only_due=False)
        views = [item for item in known.definitions.values() if item.kind == "feature_view"]
        there = _by_join_keys([*views, *deleted_views(known, leaving)])
        with _given(name, known, there, view, entity or [], entities) as (chosen, keys_for):
            found = list(_counted(stores, name, targets(known, chosen, leaving), keys_for, is_done=yes))
    if as_json:
        print_json([_as_json(*each, is_done=yes) for each in found])
    else:
        _show(found, known, is_done=yes)
    if all_views:
        _tell_what_is_left(known, there, chosen)


def _counted(
    stores: Stores, project: str, meant: Sequence[Target], keys_for: _KeysOf, *, is_done: bool
) -> Iterator[tuple[Target, Counted]]:
    """What there was of each view, with a bar or lines on standard error; it is gone where it `is_done`."""
    with progress("deleting" if is_done else "counting") as advance:
        for number, target in enumerate(meant):
            advance(number, len(meant), target.view.name)
            keys = keys_for(target.keys)
            if is_done:
                yield target, deleting.delete_rows(stores, project, target, keys)
            else:
                yield target, deleting.count_rows(stores.redis, target, keys)


@contextmanager
def _given(
    project: str, known: Registered, there: _ByJoinKeys, view: str | None, entity: Sequence[str], place: str | None
) -> Iterator[tuple[list[Definition], _KeysOf]]:
    """The views that are meant, and the entities; what is wrong with these is said before anything is done."""
    if place is None:
        if view is not None:
            check_view(view, known)
            entities_of(entity, [view], known)
        views = _views(known, there, view, {text.partition("=")[0] for text in entity})

        def columns(keys: Keys) -> list[Sequence[Any]]:
            return columns_of(keys, entity_values(entity, dict(keys)))

        for keys in _keys_of_all(views):
            columns(keys)
        yield views, lambda keys: iter(keys_in_redis(keys, project, columns(keys)))
        return
    with entities_at(place) as file:
        views = _views(known, there, view, frozenset().union(*there).intersection(file.schema.names))
        for keys in _keys_of_all(views):
            check_entities(file, keys)
        yield views, lambda keys: keys_in(file, keys, project)


def _views(known: Registered, there: _ByJoinKeys, view: str | None, names: Collection[str]) -> list[Definition]:
    """The view that is named, else all whose join keys have just these names. Raises FeatureplaneError without any."""
    if view is not None:
        check_view(view, known)
        return [known.definitions["feature_view", view]]
    if frozenset(names) not in there:
        others = "; ".join(", ".join(sorted(each)) for each in there) or "none"
        shown = ", ".join(sorted(names)) or "none of the join keys"
        raise FeatureplaneError(f"no view has just {shown} as its join keys; those of views are {others}")
    return there[frozenset(names)]


def _keys_of_all(views: Sequence[Definition]) -> list[Keys]:
    return list(dict.fromkeys(keys_of(each.spec["entities"]) for each in views))


def _by_join_keys(views: Sequence[Definition]) -> _ByJoinKeys:
    found: _ByJoinKeys = {}
    for each in views:
        found.setdefault(frozenset(name for name, _ in keys_of(each.spec["entities"])), []).append(each)
    return found


def _as_json(target: Target, counted: Counted, *, is_done: bool) -> dict[str, object]:
    return {"view": target.view.name, "rows": counted.rows, "fields": counted.fields, "deleted": is_done}


def _show(found: Sequence[tuple[Target, Counted]], known: Registered, *, is_done: bool) -> None:
    made = table("VIEW", "right:ROWS", "right:FIELDS")
    for target, counted in found:
        gone = "" if is_registered(known, target.view.name, target.keys) else " (deleted)"
        made.add_row(printable(target.view.name) + gone, str(counted.rows), str(counted.fields))
    show_table(made)
    if is_done:
        complain("take them out of the sources as well: a run that finds them there brings them back", "")
    else:
        say("nothing was done; --yes deletes these rows")


def _tell_what_is_left(known: Registered, there: _ByJoinKeys, chosen: Sequence[Definition]) -> None:
    """Which rows the join keys that were given do not find, though they may be about the same entities."""
    names = {name for each in chosen for name, _ in keys_of(each.spec["entities"])}
    for join_keys, others in there.items():
        if names & join_keys and names != join_keys:
            shown = ", ".join(each.name for each in others[:_MOST_SHOWN])
            complain(f"left as they are: rows of {shown}, whose join keys are {', '.join(sorted(join_keys))}", "")
    if foreign := [item.name for item in known.foreign if item.kind.endswith("_view")]:
        complain(f"left as they are: rows of views that are Feast's alone: {', '.join(foreign[:_MOST_SHOWN])}", "")
