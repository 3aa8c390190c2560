"""`featureplane serve`: Feast's HTTP API for one project."""

import fcntl
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Protocol, TextIO

import httpx
import typer

from featureplane.cli.console import say
from featureplane.cli.undeclared import undeclared
from featureplane.cli.workspace import (
    DataRootPath,
    FromRegistry,
    ProjectName,
    Workspace,
    make_state_dir,
    must_stay,
    open_stores,
    open_workspace,
    registered,
)
from featureplane.errors import FeatureplaneError
from featureplane.local.files import write_file
from featureplane.serving.app import NotReady, Server, serving
from featureplane.serving.listening import Where
from featureplane.serving.waiting import await_registry, nothing_registered
from featureplane.settings import Settings, Stores


def _check_host(host: str) -> str:
    if not host.strip():
        raise typer.BadParameter("it is empty; name an address, like 127.0.0.1")
    return host


Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        callback=_check_host,
        help="Address to listen on; everything but loopback is open to others.",
    ),
]
PortNumber = Annotated[
    int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]
GrpcPort = Annotated[
    int | None,
    typer.Option(
        "--grpc-port",
        metavar="PORT",
        min=0,
        max=65535,
        help="Port to answer on over gRPC as well; 0 takes a free one.  [default: no gRPC]",
    ),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        help="Speak TLS with this certificate and its chain (PEM); a renewed file is used without a restart.",
    ),
]
KeyFile = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="The certificate's key (PEM, without a password).")
]
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
_LOOK_SECONDS = 0.2

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="YAML files, folders of them, or - for standard input; none where only Feast registers.",
    ),
]
FeastRepoFolder = Annotated[
    Path | None,
    typer.Option(
        "--feast-repo",
        metavar="DIR",
        help="Serve the project of this folder's feature_store.yaml from the PostgreSQL and Redis that it names.",
    ),
]
TrustsFunctions = Annotated[
    bool,
    typer.Option(
        "--trust-user-defined-functions",
        help="Without a FeastProject that says so: answer for on-demand views, too, whose Python Feast executes.",
    ),
]


def serve(
    paths: Files = None,
    host: Host = DEFAULT_HOST,
    port: PortNumber = DEFAULT_PORT,
    grpc_port: GrpcPort = None,
    tls_cert: CertificateFile = None,
    tls_key: KeyFile = None,
    from_registry: FromRegistry = False,
    project: ProjectName = None,
    feast_repo: FeastRepoFolder = None,
    trusts_functions: TrustsFunctions = False,
    data_root: DataRootPath = None,
) -> None:
    """Answer for online features until Ctrl-C.

    POST /get-online-features as Feast has it, GET /health. With --registered it also starts before anything is
    registered, waits for a registry that is not there yet, and writes no file. A project that only Feast has
    registered is served without files: by --registered --project NAME from the stores of PG* and
    FEATUREPLANE_REDIS_*, or by --feast-repo DIR.
    """
    if (tls_cert is None) != (tls_key is None):
        raise FeatureplaneError("--tls-cert and --tls-key go together; give both or neither")
    where = Where(host, port, grpc_port, tls_cert, tls_key)
    if feast_repo is not None or not paths:
        chosen = undeclared(paths, feast_repo, project, trusts_functions=trusts_functions)
        _serve_as_a_pod(chosen.workspace, where, is_versioned=chosen.is_versioned)
        return
    if trusts_functions:
        raise FeatureplaneError(
            "--trust-user-defined-functions is for a project without files; set registry.trustUserDefinedFunctions in "
            "the FeastProject"
        )
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    if from_registry:
        _serve_as_a_pod(workspace, where)
        return
    with open_stores(workspace.settings) as stores:
        if not registered(stores, workspace.feast_project).features:
            raise FeatureplaneError(
                f"no view of the project {workspace.feast_project!r} is registered yet; run featureplane apply first"
            )
        with announced(workspace, stores, where) as server:
            server.wait_until_ready()
            say_served(workspace, server)
            stay(server, workspace.settings, stores)
        say("stopped")


def say_served(workspace: Workspace, server: Server) -> None:
    say(f"serving {workspace.feast_project} at {server}; Ctrl-C ends it", "green")
    say(f"the server's log is {_log(workspace.settings)}")


def _serve_as_a_pod(workspace: Workspace, where: Where, *, is_versioned: bool = False) -> None:
    """Everything is said on the standard streams, and how long a start may take is for the pod's probes to say."""
    project = workspace.declarations.project
    with open_stores(workspace.settings) as stores:
        await_registry(stores.postgres, say)
        if why := nothing_registered(stores.postgres, workspace.feast_project):
            say(why, "yellow")
        with serving(project, stores, workspace.repo_path, where, sys.stderr, is_versioned=is_versioned) as server:
            server.wait_until_ready(math.inf)
            say(f"serving {workspace.feast_project} at {server}")
            stay(server, workspace.settings, stores)


class Waitable(Protocol):
    """A server of any kind."""

    @property
    def is_running(self) -> bool: ...

    def wait(self) -> int: ...


def stay(server: Waitable, settings: Settings, stores: Stores) -> None:
    """Return at Ctrl-C; raises FeatureplaneError when the server or an embedded store ends before."""
    with suppress(KeyboardInterrupt):
        while server.is_running:
            must_stay(settings, stores)
            time.sleep(_LOOK_SECONDS)
        raise FeatureplaneError(f"the server ended by itself (exit status {server.wait()})")


@contextmanager
def announced(workspace: Workspace, stores: Stores, where: Where) -> Iterator[Server]:
    """A server that other commands of this folder find while it runs. What it says goes to a file."""
    make_state_dir(workspace.settings)
    place, log = _announcement(workspace.settings), _log(workspace.settings)
    with (
        log_of_its_own(log) as words,
        serving(workspace.declarations.project, stores, workspace.repo_path, where, words) as server,
    ):
        text = json.dumps({"url": _reachable(server.url), "project": workspace.feast_project})
        write_file(place, text)
        try:
            yield server
        except FeatureplaneError as error:
            if isinstance(error, NotReady) or not server.is_running:
                raise FeatureplaneError(f"{error}; what it said is in {log}") from error
            raise
        finally:
            with suppress(OSError):
                if place.read_text(encoding="utf-8") == text:  # else it is another server's by now
                    place.unlink()


@contextmanager
def log_of_its_own(path: Path) -> Iterator[TextIO]:
    """A log that begins anew, unless another server writes to it: one that cannot start must not empty it."""
    with path.open("a", encoding="utf-8") as words:
        with suppress(BlockingIOError):
            fcntl.flock(words, fcntl.LOCK_EX | fcntl.LOCK_NB)
            words.truncate(0)
        yield words


def _reachable(url: str) -> str:
    """The URL for a client on this machine: a server on all addresses is not at 0.0.0.0."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def running_server(settings: Settings, project: str) -> str | None:
    """The URL of this folder's server for the project, when there is one and it answers."""
    with suppress(OSError, ValueError, KeyError, TypeError, httpx.HTTPError, httpx.InvalidURL):
        found = json.loads(_announcement(settings).read_text(encoding="utf-8"))
        with client_of(found["url"], seconds=2.0) as client:
            if found["project"] == project and client.get(f"{found['url']}/health").is_success:
                return str(found["url"])
    return None


def client_of(url: str, seconds: float) -> httpx.Client:
    """A client for a server. It trusts the authorities of SSL_CERT_FILE or SSL_CERT_DIR, else the usual ones."""
    try:
        trusted = httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError, for a file without certificates, is one
        why = error.strerror or error
        raise FeatureplaneError(f"SSL_CERT_FILE cannot be used: {why}; name a file of certificates (PEM)") from error
    # A proxy of the environment is for other machines than this one.
    return httpx.Client(trust_env=not _on_this_machine(url), verify=trusted, timeout=seconds)


def _on_this_machine(url: str) -> bool:
    """Whether no proxy can be between us and the server."""
    host = httpx.URL(url).host
    return host in {"localhost", "::1"} or host.startswith("127.")


def _log(settings: Settings) -> Path:
    return settings.state_dir / "server.log"


def _announcement(settings: Settings) -> Path:
    return settings.state_dir / "server.json"
