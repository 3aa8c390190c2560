"""Who may connect to pods: anybody to a server's ports, nobody to a run.

Where pods may connect to is not restricted: stores and sources can be anywhere. A policy of one's own beside these only
allows more; to close the servers to part of the cluster, select their pods in an engine that knows deny rules.
"""

from collections.abc import Collection

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component, selector
from featureplane.manifests.servers import servers


def network_policies(context: Context) -> list[Manifest]:
    runs = _policy(context, names.materialize(context.name), Component.MATERIALIZATION, ())
    return [*(_policy(context, item.name, item.component, item.ports.values()) for item in servers(context)), runs]


def _policy(context: Context, name: str, component: Component, ports: Collection[int]) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": selector(context.name, component)},
        "policyTypes": ["Ingress"],
        **({"ingress": [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}]} if ports else {}),
    }
    return {**child(context, "NetworkPolicy", name, component), "spec": spec}
