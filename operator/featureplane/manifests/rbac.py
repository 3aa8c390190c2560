"""What the operator may ask of the Kubernetes API, written once: for a Role, a ClusterRole and the chart.

Every right in here is used, and tests/cluster/test_rights.py says so of each by the API server's own audit log.
Server-side apply is the verb `patch`; where it makes an object, the API server asks for `create` as well. A child's
owner reference does not block the owner's deletion, so no right to finalizers is needed where that is enforced.
"""

from collections.abc import Iterable

from featureplane import names
from featureplane.manifests.child import KINDS
from featureplane.model.crd import RESOURCES

Rule = dict[str, list[str]]

_WATCHED = ("get", "list", "watch")
_APPLIED = ("create", "patch")
# Made once, and gone by themselves: a Job that the operator could delete is one it could interrupt.
_PASSING = frozenset({"jobs"})


def rules() -> list[Rule]:
    """`rules` of a Role in the namespace that is watched, or of a ClusterRole where all are."""
    declared = sorted(resource.plural for resource in RESOURCES)
    return [
        # The finalizer is applied, the status too; nothing of a user's is ever created or deleted.
        _rule(names.GROUP, declared, (*_WATCHED, "patch")),
        _rule(names.GROUP, [f"{plural}/status" for plural in declared], ("patch",)),
        *(_rule(group, plurals, (*_WATCHED, *_APPLIED, "delete")) for group, plurals in _by_group(passing=False)),
        *(_rule(group, plurals, (*_WATCHED, *_APPLIED)) for group, plurals in _by_group(passing=True)),
        # Those that a project names, and no list of them.
        _rule("", ["secrets"], ("get",)),
        # Whether it goes. A Role allows it for the Role's own namespace.
        _rule("", ["namespaces"], ("get",)),
        _rule("", ["events"], ("create",)),
    ]


def _by_group(*, passing: bool) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for api_version, _, plural in KINDS:
        if (plural in _PASSING) == passing:
            groups.setdefault(api_version.rpartition("/")[0], []).append(plural)
    return sorted((group, sorted(plurals)) for group, plurals in groups.items())


def _rule(group: str, resources: Iterable[str], verbs: Iterable[str]) -> Rule:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
