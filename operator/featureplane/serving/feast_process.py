"""A child process that is Feast's own feature server, ending when its parent does.

The first line of standard input is the configuration; the end of standard input is the end of the server.
"""

import json
import os
import signal
import sys
import threading

_FIRST_SOCKET = 3


def main() -> None:
    request = json.loads(sys.stdin.readline())
    _pass_on(request["socket"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from pathlib import Path

    from feast.feature_server import start_server

    from feast import FeatureStore, RepoConfig

    config = RepoConfig(**request["feature_store"])
    config.repo_path = Path(request["repo_path"])
    start_server(
        store=FeatureStore(config=config),
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


def _pass_on(descriptor: int) -> None:
    """Let gunicorn, which Feast starts, take over a bound socket: systemd's protocol for that (sd_listen_fds)."""
    if descriptor != _FIRST_SOCKET:
        os.dup2(descriptor, _FIRST_SOCKET)
        os.close(descriptor)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
