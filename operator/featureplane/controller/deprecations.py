"""What objects are told of deprecation: their own, and that of what they use. Pure."""

from collections.abc import Mapping, Sequence

from featureplane.controller.conditions import Condition
from featureplane.rendering.definitions import Definition, Key
from featureplane.rendering.deprecations import Deprecated, deprecated


def deprecations(definitions: Mapping[Key, Definition]) -> Mapping[Key, Condition]:
    """The condition Deprecated of each view and service that has one."""
    found: dict[Key, list[Deprecated]] = {}
    for each in deprecated(definitions):
        keys: list[Key] = [each.key, *(("feature_service", name) for name in each.users)]
        for key in keys:
            found.setdefault(key, []).append(each)
    return {key: _condition(key, its) for key, its in found.items()}


def _condition(key: Key, found: Sequence[Deprecated]) -> Condition:
    own = [each for each in found if each.key == key]
    if not own:
        reason = "UsesDeprecated"
    elif all(each.is_feature for each in own):
        reason = "FeaturesDeprecated"
    else:
        reason = "ServiceDeprecated" if key[0] == "feature_service" else "ViewDeprecated"
    return Condition("Deprecated", "True", reason, "; ".join(map(str, found)))
