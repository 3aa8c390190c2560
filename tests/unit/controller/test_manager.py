"""Who last wrote the spec of an object, by what the API server notes of field managers."""

import pytest

from factories import a_feature_view
from featureplane.controller.inventory import Inventory
from unit.controller.test_inventory import in_cluster

SPEC = {"f:spec": {"f:ttl": {}}}


def entry(manager, time, fields=None, **more):
    return {"manager": manager, "operation": "Apply", "time": time, "fieldsV1": fields or SPEC, **more}


@pytest.mark.parametrize(
    ("entries", "manager"),
    [
        (None, ""),
        ([entry("kubectl", "2026-01-01T00:00:00Z")], "kubectl"),
        ([entry("argocd", "2026-01-02T00:00:00Z"), entry("kubectl", "2026-01-01T00:00:00Z")], "argocd"),
        ([entry("kubectl", "2026-01-01T00:00:00Z"), entry("featureplane", "2026-01-03T00:00:00Z")], "kubectl"),
        (
            [
                entry("kubectl", "2026-01-01T00:00:00Z"),
                entry("labeller", "2026-01-03T00:00:00Z", {"f:metadata": {"f:labels": {}}}),
                entry("other", "2026-01-04T00:00:00Z", {"f:status": {}}, subresource="status"),
            ],
            "kubectl",
        ),
        ([{"manager": "odd"}], ""),
    ],
)
def test_it_is_the_newest_manager_of_the_spec(entries, manager):
    inventory = Inventory()
    inventory.observe("ADDED", in_cluster(a_feature_view(metadata={"managedFields": entries})))
    (item,) = inventory.items.values()
    assert item.manager == manager
