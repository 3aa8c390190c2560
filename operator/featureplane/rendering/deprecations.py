"""What a project's definitions call deprecated, and which of its services use it nevertheless. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from featureplane.deprecation import Deprecation, read
from featureplane.rendering.definitions import Definition, Key


@dataclass(frozen=True)
class Deprecated:
    """A view, a service or a feature (`view:feature`) by its name, and the object that says so.

    `users` are the feature services that name it, or a feature of it. What is to be used instead may not be there.
    """

    key: Key
    name: str
    deprecation: Deprecation
    users: tuple[str, ...] = ()
    has_replacement: bool = True

    @property
    def is_feature(self) -> bool:
        return ":" in self.name

    def __str__(self) -> str:
        kind = "feature" if self.is_feature else self.key[0].replace("_", " ")
        used = f" (used by the feature service {', '.join(self.users)})" if self.users else ""
        missing = f"; there is no {self.deprecation.replaced_by}" if not self.has_replacement else ""
        return f"the {kind} {self.name}{used} is {self.deprecation}{missing}"


def deprecated(everything: Mapping[Key, Definition]) -> list[Deprecated]:
    """All that is deprecated, in the order of registration, a view before its features."""
    users = _users(everything.values())
    return [
        Deprecated(
            item.key,
            name,
            found,
            tuple(sorted(users.get(name, ()))) if item.kind == "feature_view" else (),
            not found.replaced_by or _is_there(found.replaced_by, item, everything),
        )
        for item in everything.values()
        if item.kind in {"feature_view", "feature_service"}
        for name, found in _said(item)
    ]


def _said(item: Definition) -> Iterator[tuple[str, Deprecation]]:
    if found := read(item.spec["tags"]):
        yield item.name, found
    for feature in item.spec.get("features", ()):
        if found := read(feature["tags"]):
            yield f"{item.name}:{feature['name']}", found


def _users(definitions: Iterable[Definition]) -> Mapping[str, set[str]]:
    """The services that name each view and each feature."""
    users: dict[str, set[str]] = defaultdict(set)
    for item in definitions:
        for view in item.spec["views"] if item.kind == "feature_service" else ():
            for name in (view["name"], *(f"{view['name']}:{feature}" for feature in view["features"])):
                users[name].add(item.name)
    return users


def _is_there(name: str, item: Definition, everything: Mapping[Key, Definition]) -> bool:
    own, _, feature = name.partition(":")
    found = everything.get((item.kind, own))
    return found is not None and (not feature or feature in {each["name"] for each in found.spec["features"]})
