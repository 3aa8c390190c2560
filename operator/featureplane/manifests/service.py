"""Services in front of the servers."""

from featureplane.manifests.child import child
from featureplane.manifests.context import Context, Manifest
from featureplane.manifests.labels import selector
from featureplane.manifests.servers import Server, servers


def services(context: Context) -> list[Manifest]:
    return [_service(context, server) for server in servers(context)]


def _service(context: Context, server: Server) -> Manifest:
    ports = [
        {"name": name, "port": number, "targetPort": target, "protocol": "TCP"}
        for name, (number, target) in server.service_ports.items()
    ]
    spec = {"selector": selector(context.name, server.component), "ports": ports}
    return {**child(context, "Service", server.name, server.component), "spec": spec}
