"""How each view of a project is copied: what the run needs of the registry and of the project. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from featureplane.materialization.copying import WriteOptions
from featureplane.materialization.rows import View, view_of
from featureplane.model.feast_project import FeastProject
from featureplane.online.expiry import Expiry, expiries
from featureplane.online.layout import Keys, keys_of
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition

COLUMNAR = "columnar"
# Sources that have a reader of ours; all others are read and written by Feast's engine.
READABLE = frozenset({"file", "postgres"})


@dataclass(frozen=True)
class ColumnarView:
    """A view that is copied without Feast."""

    view: View
    options: WriteOptions


def columnar_views(
    project: FeastProject, known: Registered, expiring: Collection[Keys] = (), *, overwrite: bool = False
) -> dict[str, ColumnarView]:
    """The views of a registry that are copied without Feast, by name. `expiring`: see the module of that name."""
    # Cassandra is written by Feast itself.
    if project.spec.batch_engine.type != COLUMNAR or project.spec.online_store.cassandra:
        return {}
    key_ttl = project.spec.online_store.redis.key_ttl
    key_ttl_seconds = int(key_ttl.total_seconds()) if key_ttl else 0
    # Of a view that only Feast knows, nobody knows how long its rows are to live.
    is_complete = not any(item.kind.endswith("_view") for item in known.foreign)
    ttls = [(keys_of(item.spec["entities"]), item.spec["ttl_seconds"]) for item in _views(known)]
    by_keys = {
        **dict.fromkeys(expiring, Expiry()),
        **expiries(ttls, key_ttl_seconds, is_complete=is_complete),
    }
    found = {}
    for item in _views(known):
        try:
            view = view_of(project.spec.project, item, known.definitions)
        except KeyError:  # somebody removed its source; Feast's engine says so
            continue
        if view.source["type"] not in READABLE:
            continue
        atomic = view.takes_pushes or project.spec.server.writes.enabled
        found[item.name] = ColumnarView(view, WriteOptions(atomic and not overwrite, overwrite, by_keys.get(view.keys)))
    return found


def _views(known: Registered) -> Iterable[Definition]:
    return [item for (kind, _), item in known.definitions.items() if kind == "feature_view"]


def that_expire(views: Iterable[ColumnarView]) -> set[Keys]:
    """The join keys of views whose rows, or whose keys, get an expiry."""
    return {
        item.view.keys
        for item in views
        if (expiry := item.options.expiry) and (expiry.longest_ttl_ms or expiry.key_ttl_seconds)
    }
