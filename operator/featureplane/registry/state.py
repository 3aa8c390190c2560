"""What is registered for one project, as plain values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from featureplane.rendering.definitions import Definition, Key

# Objects that Feast makes itself.
FEASTS_OWN = frozenset({("entity", "__dummy")})
NO_FORM = "no custom resource is of this kind"


@dataclass(frozen=True)
class Foreign:
    """An object of Feast's that is none of ours and cannot be: left alone, and listed by `import`."""

    kind: str
    name: str
    why: str


@dataclass(frozen=True)
class Registered:
    """The state of one project.

    `definitions` are Feast's objects that have the form of a definition, ours and others'; `owned` are those that
    Featureplane registered; `foreign` are objects that only Feast knows; `tombstones` are types of removed features
    whose bytes may still be online, by view and feature. Somebody else may have changed what we registered: `drifted`
    are ours whose row in Feast says something else than our note, `lost` are ours that Feast's registry has no more.
    """

    definitions: Mapping[Key, Definition] = field(default_factory=dict)
    owned: frozenset[Key] = frozenset()
    foreign: tuple[Foreign, ...] = ()
    tombstones: Mapping[tuple[str, str], str] = field(default_factory=dict)
    drifted: frozenset[Key] = frozenset()
    lost: Mapping[Key, Definition] = field(default_factory=dict)

    @cached_property
    def noted(self) -> frozenset[Key]:
        """Ours whose row in Feast says what our note says."""
        return self.owned - self.drifted

    @cached_property
    def foreign_names(self) -> Mapping[tuple[str, str], str]:
        """Why each foreign object is none of ours, by the kind that shares its names and its name."""
        return {(shared_names(item.kind), item.name): item.why for item in self.foreign}

    @property
    def features(self) -> dict[str, list[str]]:
        """The features of every registered view."""
        return {
            name: [feature["name"] for feature in definition.spec["features"]]
            for (kind, name), definition in self.definitions.items()
            if kind == "feature_view"
        }


def shared_names(kind: str) -> str:
    """The kind within which a name is used once: Feast's views of every sort share theirs."""
    return "view" if kind.endswith("_view") else kind
