"""A child process that is Feast's own feature server, ending when its parent does (see `process`)."""

import logging
import os
import signal
from typing import Any

from featureplane.serving.child import read_request, when_parent_ends
from featureplane.serving.closed import Closed

_FIRST_SOCKET = 3


def main() -> None:
    request = read_request()
    _pass_on(request["socket"])
    may_go_on = when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    from pathlib import Path

    from feast import FeatureStore, RepoConfig, feature_server

    config = RepoConfig(**request["feature_store"])
    config.repo_path = Path(request["repo_path"])
    # Feast takes seconds to load, in which the parent may write what is to be served; it is read afterwards.
    may_go_on.wait()
    store = FeatureStore(config=config)
    _outlive_outages(store)
    _close_routes(feature_server, writes=request["writes"])
    feature_server.start_server(
        store=store,
        host=request["host"],
        port=request["port"],
        no_access_log=True,
        workers=request["workers"],
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


def _close_routes(module: Any, *, writes: bool) -> None:
    """Have the application that Feast makes in `module` without the routes that change something."""
    get_app = module.get_app

    def closed(*arguments: Any, **options: Any) -> Any:
        app = get_app(*arguments, **options)
        app.add_middleware(Closed, writes=writes)
        return app

    module.get_app = closed


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


def _pass_on(descriptor: int) -> None:
    """Let gunicorn, which Feast starts, take over a bound socket: systemd's protocol for that (sd_listen_fds)."""
    if descriptor != _FIRST_SOCKET:
        os.dup2(descriptor, _FIRST_SOCKET)
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


if __name__ == "__main__":
    main()
