"""The servers of a project: Featureplane's own feature server, and Feast's remote registry and offline servers.

Each is a Deployment with a Service and a NetworkPolicy, made out of what is said here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featureplane import names
from featureplane.manifests import resources
from featureplane.manifests.context import Context
from featureplane.manifests.labels import Component
from featureplane.manifests.mounted import TLS_FOLDER
from featureplane.manifests.pod import PROJECT_FILE
from featureplane.model.feast_project import Resources
from featureplane.model.feast_project import Server as FeatureServer

# Feast's own ports.
REGISTRY_PORT = 6570
OFFLINE_PORT = 8815
# Of the Service: where /metrics is looked for; it answers on the HTTP port.
_METRICS_PORTS = (9090, 9091, 9092)

_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - a pod's; its NetworkPolicy says which ports are open


@dataclass(frozen=True)
class Server:
    """One server. `ports` are the container's by name; a Service port pairs its number with one of those names."""

    component: Component
    name: str
    args: Sequence[str]
    ports: Mapping[str, int]
    service_ports: Mapping[str, tuple[int, str]]
    probe: Mapping[str, Any]
    resources: Resources
    service_account: str
    # None: whatever the autoscaler, or whoever scales it, makes it.
    replicas: int | None = None
    reads_sources: bool = False
    # With the certificate that it shows.
    tls_secret: str | None = None


def servers(context: Context) -> list[Server]:
    """Those that the project has turned on."""
    spec = context.project.spec
    found = [_feature_server(context)]
    found += [_registry_server(context)] if spec.registry_server.enabled else []
    return found + ([_offline_server(context)] if spec.offline_server.enabled else [])


def _feature_server(context: Context) -> Server:
    own = context.project.spec.server
    http, grpc = own.http.port, own.grpc.port
    metrics = next(port for port in _METRICS_PORTS if port not in {http, grpc})
    return Server(
        component=Component.SERVER,
        name=names.server(context.name),
        args=_command("serve", "--registered", *_grpc_and_tls(own), port=http),
        ports={"http": http, "grpc": grpc},
        service_ports={"http": (http, "http"), "grpc": (grpc, "grpc"), "metrics": (metrics, "http")},
        probe={"httpGet": {"path": "/health", "port": "http", **({"scheme": "HTTPS"} if own.tls else {})}},
        resources=resources.server(own.resources, own.workers),
        service_account=names.server(context.name),
        replicas=None if own.autoscaling else own.replicas,
        reads_sources=own.sources.enabled,
        tls_secret=own.tls.secret_ref.name if own.tls else None,
    )


def _grpc_and_tls(own: FeatureServer) -> list[str]:
    files = ["--tls-cert", f"{TLS_FOLDER}/tls.crt", "--tls-key", f"{TLS_FOLDER}/tls.key"] if own.tls else []
    return ["--grpc-port", str(own.grpc.port), *files]


def _registry_server(context: Context) -> Server:
    return Server(
        component=Component.REGISTRY,
        name=names.registry_server(context.name),
        args=_command("registry-server", port=REGISTRY_PORT),
        ports={"grpc": REGISTRY_PORT},
        service_ports={"grpc": (REGISTRY_PORT, "grpc")},
        probe={"grpc": {"port": REGISTRY_PORT}},
        resources=resources.registry_server(context.project.spec.registry_server.resources),
        service_account=names.server(context.name),
    )


def _offline_server(context: Context) -> Server:
    return Server(
        component=Component.OFFLINE,
        name=names.offline_server(context.name),
        args=_command("offline-server", port=OFFLINE_PORT),
        ports={"flight": OFFLINE_PORT},
        service_ports={"flight": (OFFLINE_PORT, "flight")},
        probe={"tcpSocket": {"port": "flight"}},
        resources=resources.reader(context.project.spec.offline_server.resources),
        # A cloud's identity that may read the sources is given to this account.
        service_account=names.materialize(context.name),
        reads_sources=True,
    )


def _command(command: str, *options: str, port: int) -> list[str]:
    return [command, *options, "--host", _ALL_ADDRESSES, "--port", str(port), PROJECT_FILE]
