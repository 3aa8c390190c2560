"""Deployments of the servers. A new version starts before an old pod ends, and a pod that ends is first taken out."""

from collections.abc import Mapping
from typing import Any

from featureplane import names
from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import Component, selector
from featureplane.manifests.pod import Pod, pod_template
from featureplane.manifests.servers import Server, servers
from featureplane.rendering.definitions import digest
from featureplane.rendering.repo import feature_store


def deployments(context: Context) -> list[Manifest]:
    store = feature_store(context.project)
    return [_deployment(context, server, config_digest(context, server, store)) for server in servers(context)]


def _deployment(context: Context, server: Server, config: str) -> Manifest:
    pods = selector(context.name, server.component)
    spec = {
        **({} if server.replicas is None else {"replicas": server.replicas}),
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": pods},
        "paused": False,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": pod_template(context, _pod(context, server, config)),
    }
    return {**child(context, "Deployment", server.name, server.component), "spec": spec}


def _pod(context: Context, server: Server, config: str) -> Pod:
    apart = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(context.name, server.component)},
    }
    return Pod(
        component=server.component,
        args=server.args,
        service_account=server.service_account,
        resources=server.resources,
        reads_sources=server.reads_sources,
        tls_secret=server.tls_secret,
        has_token=context.project.spec.server.auth.type == "kubernetes",
        annotations={names.ANNOTATION_CONFIG: config},
        container={
            "ports": [{"name": name, "containerPort": port} for name, port in server.ports.items()],
            **_probes(server),
            # Until every kube-proxy knows that this pod goes, clients are still sent to it.
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        },
        spec={"topologySpreadConstraints": [apart]},
    )


def _probes(server: Server) -> dict[str, Any]:
    """A start may take ten minutes: the server waits for a registry that is not there yet. Later a pod that does not
    answer is first taken out of the Service, and replaced after a minute.
    """
    return {
        "startupProbe": {**server.probe, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 300},
        "readinessProbe": {**server.probe, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 3},
        "livenessProbe": {**server.probe, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
    }


def config_digest(context: Context, server: Server, store: Mapping[str, Any]) -> str:
    """Of everything that a server reads once, at its start; `store` is feature_store.yaml's content.

    What changes nothing for it is left out, definitions and schedules above all: a new view restarts nothing.
    """
    spec = context.project.spec
    secrets = {spec.registry.postgresql.secret_ref.name, spec.online_store.secret_ref.name}
    if server.reads_sources and spec.offline_store.secret_ref:
        secrets.add(spec.offline_store.secret_ref.name)
    facts = {name: context.secrets.get(name) for name in secrets}
    read = {
        "feature_store": store,
        "trusts_functions": spec.registry.trust_user_defined_functions,
        "online_store": spec.online_store.model_dump(mode="json"),
        "data_root": root.model_dump(mode="json") if (root := spec.offline_store.data_root) else None,
        "secrets": {name: fact.resource_version if fact else None for name, fact in facts.items()},
        "image": context.image,
    }
    if server.component is Component.SERVER:
        read["server"] = spec.server.model_dump(mode="json", exclude={"replicas", "autoscaling", "resources"})
    return digest(read)
