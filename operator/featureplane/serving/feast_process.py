"""A child process that is Feast's own feature server on a Unix socket, ending when its parent does (see `process`)."""

import functools
import logging
import os
import signal
from collections.abc import Iterable
from typing import Any

from featureplane.serving.child import read_request, when_parent_ends
from featureplane.serving.closed import Closed
from featureplane.serving.discretion import keep_passwords_out
from featureplane.serving.feast_access import trust_the_workers
from featureplane.serving.feast_messages import add_route
from featureplane.serving.feast_outages import tell_outages

_FIRST_SOCKET = 3


def main() -> None:
    request = read_request()
    keep_passwords_out()
    _pass_on(request["socket"])
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    from pathlib import Path

    from feast import FeatureStore, RepoConfig, feature_server

    config = RepoConfig(**request["feature_store"])
    config.repo_path = Path(request["repo_path"])
    store = FeatureStore(config=config)
    _outlive_outages(store)
    _change_routes(feature_server, store, writes=request["writes"])
    _take_bare_views(feature_server)
    trust_the_workers(feature_server)
    _without_control_socket(feature_server)
    feature_server.start_server(
        store=store,
        host="localhost",
        port=0,
        no_access_log=True,
        workers=1,
        worker_connections=1000,
        # Recycling a worker every 1,000 requests, as Feast does, makes every 1,000th wait for an import of Feast.
        max_requests=0,
        max_requests_jitter=0,
        keep_alive_timeout=30,
        registry_ttl_sec=request["registry_ttl_seconds"],
        tls_key_path="",
        tls_cert_path="",
        metrics=False,
    )


def _change_routes(module: Any, store: Any, *, writes: bool) -> None:
    """Have the application that Feast makes in `module` without the routes that change something, and with the
    workers' own, and saying of its online store when that does not answer.
    """
    get_app = module.get_app

    def changed(*arguments: Any, **options: Any) -> Any:
        app = get_app(*arguments, **options)
        app.add_middleware(Closed, writes=writes)
        add_route(module, app, store)
        tell_outages(app)
        return app

    module.get_app = changed


def _take_bare_views(module: Any) -> None:
    """Have the name of a view mean all its features in `module`, as it does for the fast path."""
    get_features = module._get_features  # noqa: SLF001 - Feast's routes and ours ask it for what is wanted

    async def with_views(request: Any, store: Any) -> Any:
        from fastapi.concurrency import run_in_threadpool

        if request.features and not request.feature_service:
            request.features = await run_in_threadpool(_references, store, request.features)
        return await get_features(request, store)

    module._get_features = with_views  # noqa: SLF001


def _references(store: Any, wanted: Iterable[str]) -> list[str]:
    found: list[str] = []
    for reference in wanted:
        if ":" in reference:
            found.append(reference)
        else:
            view = store.registry.get_any_feature_view(reference.partition("@")[0], store.project, allow_cache=True)
            found += [f"{reference}:{feature.name}" for feature in view.features]
    return found


def _outlive_outages(store: Any) -> None:
    """Keep Feast's timer running: a refresh that raises is its last, and the server would never see a change again."""
    refresh = store.refresh_registry

    def refreshed() -> None:
        try:
            refresh()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next refresh may succeed
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            logging.getLogger("featureplane").warning("the registry could not be read again: %s", reason)

    store.refresh_registry = refreshed


def _without_control_socket(module: Any) -> None:
    """Have gunicorn make no gunicorn.ctl in the user's home: all servers of a user would have the same one, by which
    any of his processes can end their workers.
    """
    module.FeastServeApplication = functools.partial(module.FeastServeApplication, control_socket_disable=True)


def _pass_on(descriptor: int) -> None:
    """Let gunicorn, which Feast starts, take over a bound socket: systemd's protocol for that (sd_listen_fds)."""
    if descriptor != _FIRST_SOCKET:
        os.dup2(descriptor, _FIRST_SOCKET)
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


if __name__ == "__main__":
    main()
