"""A drain takes the feature server's pods one at a time. With a single pod there is nothing to keep up."""

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component, selector


def pod_disruption_budgets(context: Context) -> list[Manifest]:
    server = context.project.spec.server
    fewest = server.autoscaling.min_replicas if server.autoscaling else server.replicas
    if fewest <= 1:
        return []
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(context.name, Component.SERVER)},
        # A pod that does not answer anyway must not stop a drain.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    name = names.server(context.name)
    return [{**child(context, "PodDisruptionBudget", name, Component.SERVER), "spec": spec}]
