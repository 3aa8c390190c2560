"""A copy of a wrong object with something right in the place of what is wrong.

pydantic looks at the fields first, and at what lies between them only once each is right. To list every problem at
once, `parsing` looks again at this copy. A stand-in must not cause a problem of its own: where it could, what depends
on the wrong field is left out as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from featureplane.model.documents import Path

Fields = tuple[str, ...]

_FILE = {"path": "stand-in"}
_TABLE = {"table": "stand_in"}
_SPARK_TABLE = {"table": "stand.in.table"}
_TIME = "stand_in_time"
_ISSUER = {"issuer": "https://stand-in", "audience": "stand-in"}

# Required fields, and those that another one asks for; every other wrong field is simply left out.
_STAND_INS: Mapping[Fields, Any] = {
    ("metadata",): {"name": "stand-in"},
    ("metadata", "name"): "stand-in",
    ("spec", "project"): "stand-in",
    ("spec", "entities"): [{"name": "stand-in"}],
    ("spec", "features"): [{"name": "stand-in-too", "type": "String"}],
    ("spec", "features", "type"): "String",
    ("spec", "views"): [{"name": "stand-in"}],
    ("spec", "source"): {"file": _FILE, "timestampField": _TIME},
    ("spec", "source", "timestampField"): _TIME,
    ("spec", "source", "file"): _FILE,
    ("spec", "source", "file", "path"): "stand-in",
    ("spec", "source", "postgres"): _TABLE,
    ("spec", "source", "postgres", "table"): "stand_in",
    ("spec", "source", "spark"): _SPARK_TABLE,
    ("spec", "source", "spark", "table"): "stand.in.table",
    ("spec", "offlineStore", "dataRoot", "uri"): "/stand-in",
    ("spec", "offlineStore", "dataRoot", "persistentVolumeClaim"): "stand-in",
    ("spec", "offlineStore", "dataRoot", "mountPath"): "/stand-in",
    ("spec", "onlineStore", "redis", "sentinelMaster"): "stand-in",
    ("spec", "server", "auth", "oidc"): _ISSUER,
    ("spec", "server", "auth", "oidc", "issuer"): "https://stand-in",
    ("spec", "server", "auth", "oidc", "audience"): "stand-in",
    ("spec", "server", "http", "port"): 1024,
    ("spec", "server", "grpc", "port"): 1025,
    ("spec", "server", "autoscaling", "minReplicas"): 1,
    ("spec", "server", "autoscaling", "maxReplicas"): 1000,
}
# The items of these lists have names; an item's stand-in has one that no other item has.
_NAMED: Mapping[Fields, Any] = {
    ("spec", "entities"): {},
    ("spec", "features"): {"type": "String"},
    ("spec", "views"): {},
}
# What cannot be judged while these fields of entities and features are wrong.
_COLUMNS = ("name", "joinKey")
_MAPPING: Path = ("spec", "source", "fieldMapping")

_LEFT_OUT: Any = object()


def repaired(value: Any, wrong: Iterable[Path]) -> Any:
    """`value` with the field at each path of `wrong` replaced or left out; `value` itself stays as it is."""
    wrong = set(wrong)
    left_out = {dependent for path in wrong for dependent in _dependent(path)} - wrong
    below = defaultdict(list)
    for path in wrong:
        below[path[:-1]].append(path)

    def copy(item: Any, at: Path) -> Any:
        if at in left_out:
            return _LEFT_OUT
        if at in wrong:
            return _stand_in(at)
        if isinstance(item, dict):
            missing = [path for path in below[at] if path and path[-1] not in item]
            copies = [(key, copy(inner, (*at, key))) for key, inner in item.items()]
            copies += [(path[-1], _stand_in(path)) for path in missing]
            return {key: inner for key, inner in copies if inner is not _LEFT_OUT}
        if isinstance(item, list):
            return [copy(inner, (*at, index)) for index, inner in enumerate(item)]
        return item

    return copy(value, ())


def _dependent(path: Path) -> Iterator[Path]:
    """What would be wrong by itself, or cannot be judged, once `path` is replaced or left out."""
    fields = _fields(path)
    if fields in {("spec", "entities"), ("spec", "features")} or (fields[:-1] in _NAMED and fields[-1] in _COLUMNS):
        yield _MAPPING
    if fields == ("spec", "features", "type"):
        yield (*path[:-1], "checks")
    if fields == ("spec", "onlineStore", "redis", "mode"):
        yield (*path[:-1], "sentinelMaster")
    if fields == ("spec", "server", "auth", "type"):
        yield from ((*path[:-1], part) for part in ("kubernetes", "oidc"))
    if path and isinstance(path[-1], int) and fields not in _NAMED:
        yield path[:-1]


def _fields(path: Path) -> Fields:
    return tuple(part for part in path if isinstance(part, str))


def _stand_in(path: Path) -> Any:
    fields = _fields(path)
    if fields in _NAMED and isinstance(path[-1], int):
        return {"name": f"stand-in-{path[-1]}", **_NAMED[fields]}
    if fields[:-1] in _NAMED and fields[-1] == "name":
        return f"stand-in-{path[-2]}"
    return _STAND_INS.get(fields, _LEFT_OUT)
