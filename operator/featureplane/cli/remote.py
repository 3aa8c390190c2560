"""`featureplane registry-server`, `featureplane offline-server`: Feast's remote servers, for notebooks."""

import sys
from pathlib import Path

from featureplane.cli.console import say
from featureplane.cli.serve import DEFAULT_HOST, Host, PortNumber, stay
from featureplane.cli.workspace import DataRootPath, Paths, ProjectName, open_stores, open_workspace
from featureplane.serving.remote import Kind, remote
from featureplane.serving.waiting import await_registry

# Feast's own.
_REGISTRY_PORT = 6570
_OFFLINE_PORT = 8815


def registry_server(
    paths: Paths,
    host: Host = DEFAULT_HOST,
    port: PortNumber = _REGISTRY_PORT,
    project: ProjectName = None,
) -> None:
    """Serve Feast's registry over gRPC, only to read.

    Runs until Ctrl-C, and waits for a registry that is not there yet. A client's feature_store.yaml names it as
    registry: {registry_type: remote, path: HOST:PORT}. gRPC health checks are answered.
    """
    _serve("registry", paths, host, port, project, None)


def offline_server(
    paths: Paths,
    host: Host = DEFAULT_HOST,
    port: PortNumber = _OFFLINE_PORT,
    project: ProjectName = None,
    data_root: DataRootPath = None,
) -> None:
    """Serve training data over Arrow Flight, only to read.

    Runs until Ctrl-C, and waits for a registry that is not there yet. A client's feature_store.yaml names it as
    offline_store: {type: remote, host: HOST, port: PORT}. Entities come as a DataFrame, never as SQL.
    """
    _serve("offline", paths, host, port, project, data_root)


def _serve(kind: Kind, paths: Paths, host: str, port: int, project: str | None, data_root: Path | None) -> None:
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    with open_stores(workspace.settings) as stores:
        await_registry(stores.postgres, say)
        spec = workspace.declarations.project
        with remote(kind, spec, stores, workspace.repo_path, (host, port), sys.stderr) as server:
            say(f"serving the {kind} store of {workspace.feast_project} at {server.address}")
            stay(server, workspace.settings, stores)
