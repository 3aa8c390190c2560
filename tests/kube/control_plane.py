"""etcd, the API server and the controller manager on the loopback, for a test: `with ControlPlane() as control_plane`.

Run as a script it keeps one up until Ctrl-C, for a developer with kubectl.
"""

import argparse
import http.client
import shutil
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

if __name__ == "__main__":  # as a script: what is next to us is found the way that pytest finds it
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kube import build, credentials, flags
from kube.server import Port, Server, ServerError

CONTEXT = credentials.CONTEXT
_START_SECONDS = 180.0  # on a machine that does something else as well; alone it takes 3 s
_TICK = 0.02
_SERVICE_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class ControlPlane:
    """A Kubernetes without nodes. Objects are stored, checked, defaulted and collected; no Pod ever runs.

    Its data are in `folder`, which then stays, or in a temporary one. `api_server_flags` come after ours and win.
    `url` and `kubeconfig` (context `featureplane-test`, a user who may do everything) are valid after `start`.
    """

    def __init__(self, folder: Path | None = None, *, api_server_flags: Sequence[str] = ()) -> None:
        self._given = folder
        self._extra = tuple(api_server_flags)
        self._ports: list[Port] = []
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all three and wait until ServiceAccounts are made. Raises ServerError, BuildError, CredentialsError."""
        self._program = build.binary()
        if self._given:
            self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = (self._given or Path(tempfile.mkdtemp(prefix="featureplane-kube-"))).resolve()
        try:
            self._ports = [Port(), Port()]
            self._etcd_url = f"http://127.0.0.1:{self._ports[0].number}"
            self.url = f"https://127.0.0.1:{self._ports[1].number}"
            shutil.rmtree(self.folder / "credentials", ignore_errors=True)
            self._credentials = credentials.make(self.folder / "credentials", self.url)
            self.kubeconfig = self._credentials.kubeconfig
            self._run("etcd", flags.etcd(self.folder, self._etcd_url))
            self.start_api_server()
            self._run("kube-controller-manager", flags.controller_manager(self._credentials))
            self._wait_for(_SERVICE_ACCOUNT, "kube-controller-manager")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill what runs and wait for its end. Nothing is asked politely: these data are needed no more."""
        for server in self._servers.values():
            server.let_go()
        for server in self._servers.values():
            server.wait()
        self._servers.clear()
        for port in self._ports:
            port.close()
        self._ports.clear()
        if not self._given and hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def start_api_server(self) -> None:
        """Start the API server and wait until it is ready; again on the same port and data after it was stopped."""
        if "kube-apiserver" in self._servers:
            raise RuntimeError("the API server runs already")
        ours = flags.api_server(self._credentials, self._etcd_url, self._ports[1].number)
        self._run("kube-apiserver", [*ours, *self._extra])
        self._wait_for("/readyz", "kube-apiserver")

    def stop_api_server(self) -> None:
        """As an upgrade does: it may finish its answers, for three seconds."""
        self._servers.pop("kube-apiserver").terminate()

    def kill_api_server(self) -> None:
        """As a power failure does."""
        self._servers.pop("kube-apiserver").kill()

    def _run(self, name: str, options: Sequence[str]) -> None:
        command = [str(self._program), name, *options]
        self._servers[name] = Server(name, command, self.folder, None if self._given else self.folder)

    def _wait_for(self, path: str, name: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while self._status(path) != http.client.OK:
            for server in self._servers.values():
                server.check()
            if time.monotonic() > until:
                raise self._servers[name].failure(f"was not ready after {_START_SECONDS:.0f} s ({path})")
            time.sleep(_TICK)

    def _status(self, path: str) -> int | None:
        """The API server's answer to the administrator, None when there is none."""
        trusted = ssl.create_default_context(cafile=self._credentials.certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", self._ports[1].number, timeout=15.0, context=trusted)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._credentials.admin_token}"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep a Kubernetes control plane up until Ctrl-C.")
    parser.add_argument("--folder", type=Path, help="keep its data here; otherwise they end with it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ControlPlane(parser.parse_args().folder) as control_plane:
            sys.stdout.write(f"export KUBECONFIG={control_plane.kubeconfig}\n")
            sys.stdout.flush()
            version = build.kubernetes_version()
            build.say(f"Kubernetes {version} at {control_plane.url} until Ctrl-C; logs in {control_plane.folder}")
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (build.BuildError, credentials.CredentialsError, ServerError) as error:
        build.say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
