"""The number of feature servers by their CPU use, where the project asks for it."""

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component


def horizontal_pod_autoscalers(context: Context) -> list[Manifest]:
    scaling = context.project.spec.server.autoscaling
    if scaling is None:
        return []
    name = names.server(context.name)
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": scaling.target_cpu_percent}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    return [{**child(context, "HorizontalPodAutoscaler", name, Component.SERVER), "spec": spec}]
