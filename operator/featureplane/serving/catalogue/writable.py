"""What writing asks of the registry beyond what reading does. Pure, and light: workers that only read have it, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from featureplane.online.expiry import Expiry
from featureplane.online.layout import Keys

if TYPE_CHECKING:
    from featureplane.model.types import FeatureType

Checks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class WritableView:
    """A feature view whose rows are written here: the types of its features, in the view's order, and the names that
    its source has for them, by their own.
    """

    types: "tuple[FeatureType, ...]"
    timestamp_field: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Writing:
    """All of a project. `checks` are those of `model.checks.Checks`, by view and feature, and `expiries` what rows
    with these join keys expire by: others keep what they have, or are `persistent`.

    `push_sources` name all views that have one, `left_to_feast` those after which Feast has more to do than to write.
    """

    views: Mapping[str, WritableView] = field(default_factory=dict)
    checks: Mapping[str, Checks] = field(default_factory=dict)
    push_sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_to_feast: frozenset[str] = frozenset()
    expiries: Mapping[Keys, Expiry] = field(default_factory=dict)
    persistent: Expiry | None = None

    def expiry(self, keys: Keys) -> Expiry | None:
        return self.expiries.get(keys, self.persistent)
