"""A child process that is Feast's remote registry server, without its writes.

Feast's server lets everybody who reaches it apply and delete objects unless the project has authentication, and what
an object of the registry holds is executed by whoever loads it. Here only calls that read are let through.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from featureplane.serving.child import Announcement, bracketed, read_request, when_parent_ends
from featureplane.serving.discretion import keep_passwords_out

_SERVICE = "/feast.registry.RegistryServer/"
# Each by name: a method that a release of Feast adds is refused until somebody has looked at it. Left out of what only
# reads are data sets (GetDatasetData and its kin), which the server would compute.
READS = frozenset(
    {
        "GetAnyFeatureView", "GetDataSource", "GetEntity", "GetFeature", "GetFeatureService", "GetFeatureView",
        "GetInfra", "GetLabelView", "GetObjectRelationships", "GetOnDemandFeatureView", "GetPermission", "GetProject",
        "GetRegistryLineage", "GetSavedDataset", "GetStreamFeatureView", "GetValidationReference",
        "ListAllFeatureViews", "ListDataSources", "ListEntities", "ListFeatureServices", "ListFeatureViews",
        "ListFeatures", "ListLabelViews", "ListOnDemandFeatureViews", "ListPermissions", "ListProjectMetadata",
        "ListProjects", "ListSavedDatasets", "ListStreamFeatureViews", "ListValidationReferences", "Proto", "Refresh",
    }
)  # fmt: skip
_BESIDE = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_REFUSAL = "this registry server only reads; declare a FeatureView or FeatureService object, and Featureplane writes it"

# A change is seen after this long.
_REGISTRY_TTL_SECONDS = 5
_THREADS = 10
_GRACE_SECONDS = 8.0


def is_let_through(method: str) -> bool:
    """Whether a call, by its full name, only reads."""
    return method.removeprefix(_SERVICE) in READS or method.startswith(_BESIDE)


def _interceptors(auth: Any) -> list[Any]:
    import grpc
    from feast.errors import FeastPermissionError
    from feast.registry_server import _grpc_interceptors

    # In the form that Feast's client makes the same error of.
    detail = FeastPermissionError(_REFUSAL).to_error_detail()

    def refuse(_request: bytes, context: Any) -> None:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, detail)

    class OnlyReads(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc publishes no types
        """The first of the interceptors: the request of a call that is refused is not even parsed."""

        def intercept_service(self, continuation: Callable[[Any], Any], call: Any) -> Any:
            return continuation(call) if is_let_through(call.method) else grpc.unary_unary_rpc_method_handler(refuse)

    return [OnlyReads(), *_grpc_interceptors(auth)]


def make_server(store: Any, address: str) -> tuple[Any, int]:
    """As `feast.registry_server.start_server` makes it, on one address and with our interceptor; and its port."""
    import grpc
    from feast.permissions.server.utils import (
        ServerType,
        init_auth_manager,
        init_security_manager,
        str_to_auth_manager_type,
    )
    from feast.protos.feast.registry import RegistryServer_pb2, RegistryServer_pb2_grpc
    from feast.registry_server import RegistryServer
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    auth = str_to_auth_manager_type(store.config.auth_config.type)
    init_security_manager(auth_type=auth, fs=store)
    init_auth_manager(auth_type=auth, server_type=ServerType.GRPC, auth_config=store.config.auth_config)
    # Without SO_REUSEPORT a port that somebody has is an error, and not shared with him.
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(_THREADS), interceptors=_interceptors(auth), options=options)
    RegistryServer_pb2_grpc.add_RegistryServerServicer_to_server(RegistryServer(store.registry), server)
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    services = (
        *RegistryServer_pb2.DESCRIPTOR.services_by_name.values(),
        *health_pb2.DESCRIPTOR.services_by_name.values(),
    )
    reflection.enable_server_reflection([*(item.full_name for item in services), reflection.SERVICE_NAME], server)
    return server, int(server.add_insecure_port(address))


def main() -> None:
    announcement, request = Announcement(), read_request()
    keep_passwords_out()
    from pathlib import Path

    from feast import FeatureStore, RepoConfig

    settings = request["feature_store"]
    registry = {**settings["registry"], "cache_ttl_seconds": _REGISTRY_TTL_SECONDS}
    config = RepoConfig(**{**settings, "registry": registry})
    config.repo_path = Path(request["repo_path"])
    address = f"{bracketed(request['host'])}:{request['port']}"
    server, port = make_server(FeatureStore(config=config), address)
    server.start()
    when_parent_ends(lambda: server.stop(_GRACE_SECONDS))
    announcement.listening(port)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
