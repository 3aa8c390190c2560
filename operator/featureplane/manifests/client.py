"""The feature_store.yaml of a notebook in the cluster: everything by way of the servers, nothing by password.

The keys are those of Feast 0.67's `RemoteRegistryConfig`, `RemoteOnlineStoreConfig` and `RemoteOfflineStoreConfig`.
"""

from collections.abc import Iterator
from typing import Any

from featureplane import names
from featureplane.manifests.servers import OFFLINE_PORT, REGISTRY_PORT
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.yaml_text import to_yaml

_HEADER = "# For Feast's SDK in this cluster; written by Featureplane. A password is not needed.\n"


def client_feature_store(project: FeastProject) -> str:
    """YAML text, with a remark in place of each server that the project has turned off."""
    return _HEADER + "".join(part if isinstance(part, str) else to_yaml(part) for part in _parts(project))


def _parts(project: FeastProject) -> Iterator[dict[str, Any] | str]:
    spec, name = project.spec, project.metadata.name
    yield {"project": spec.project, "provider": "local", "entity_key_serialization_version": 3}
    if spec.registry_server.enabled:
        path = f"{_host(names.registry_server(name), project)}:{REGISTRY_PORT}"
        yield {"registry": {"registry_type": "remote", "path": path}}
    else:
        yield "# No registry: the project's registryServer is off, and Feast needs one.\n"
    scheme = "https" if spec.server.tls else "http"
    path = f"{scheme}://{_host(names.server(name), project)}:{spec.server.http.port}"
    yield {"online_store": {"type": "remote", "path": path}}
    if spec.server.tls:
        yield "# online_store.cert: the certificate authority's file, where the system does not know it.\n"
    if spec.offline_server.enabled:
        host = _host(names.offline_server(name), project)
        yield {"offline_store": {"type": "remote", "host": host, "port": OFFLINE_PORT}}
    else:
        yield "# No offline_store: the project's offlineServer is off, so Feast would open the sources itself.\n"
    # Without the server's own options: Feast then takes the client's token from where it runs (FEAST_OIDC_TOKEN, or
    # its ServiceAccount's).
    yield {"auth": {"type": "no_auth" if spec.server.auth.type == "none" else spec.server.auth.type}}


def _host(service: str, project: FeastProject) -> str:
    return f"{service}.{project.metadata.namespace}.svc"
