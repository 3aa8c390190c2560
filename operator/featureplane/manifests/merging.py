"""The project's `podTemplate` over ours, as `kubectl patch` merges: a strategic merge, as far as pod templates go."""

from collections.abc import Mapping
from typing import Any

# Lists whose items are known by a key: an item of ours and one of theirs with the same key become one.
_MERGED = {
    "containers": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
}
# Here theirs takes the place of ours: both together would be two kinds of volume, or a value from two places.
_REPLACED = {"volumes": "name", "env": "name", "volumeMounts": "mountPath", "imagePullSecrets": "name"}
_APPENDED = frozenset({"envFrom"})


def merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """`theirs` wins, mappings are merged, null takes a field away; nothing given is changed.

    Lists are merged by their items' key where they have one (containers, volumes, ...), else theirs replaces ours.
    """
    merged = dict(ours)
    for name, value in theirs.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(name, merged.get(name), value)
    return merged


def _merged(name: str, ours: Any, theirs: Any) -> Any:
    if isinstance(theirs, Mapping):
        return merge(ours if isinstance(ours, Mapping) else {}, theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        if name in _APPENDED:
            return [*ours, *theirs]
        if key := _MERGED.get(name) or _REPLACED.get(name):
            return _by_key(ours, theirs, key, whole=name in _REPLACED)
    return theirs


def _by_key(ours: list[Any], theirs: list[Any], key: str, *, whole: bool) -> list[Any]:
    items = list(ours)
    for item in theirs:
        place = next((index for index, own in enumerate(items) if _same(own, item, key)), None)
        if place is None:
            items.append(item)
        else:
            items[place] = item if whole else merge(items[place], item)
    return items


def _same(one: Any, other: Any, key: str) -> bool:
    return isinstance(one, Mapping) and isinstance(other, Mapping) and key in one and one[key] == other.get(key)
