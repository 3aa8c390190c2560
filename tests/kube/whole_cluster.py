"""A Kubernetes of one node, on which pods run: `with WholeCluster(folder) as cluster`, in what `alone.py` made.

The control plane is the one of every other test; this adds containerd, the kubelet, the proxy, the scheduler and DNS.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from kube import build, node_files
from kube.alone import NODE_ADDRESS
from kube.control_plane import ControlPlane
from kube.server import Server

_START_SECONDS = 120.0
_API_SERVER = (
    "--bind-address=0.0.0.0",  # pods ask it too, and so by the node's address
    f"--advertise-address={NODE_ADDRESS}",
    "--endpoint-reconciler-type=lease",
    "--kubelet-preferred-address-types=InternalIP",
)
# How many connections are followed is the machine's to say, not a namespace's: these may not be changed from in here.
_CONNTRACK = ("max-per-core", "min", "tcp-timeout-established", "tcp-timeout-close-wait")
_PROXY = (f"--cluster-cidr={node_files.PODS}", *(f"--conntrack-{name}=0" for name in _CONNTRACK))


class WholeCluster:
    """Everything that it writes is below `folder`, which whoever made the namespaces empties."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control_plane = ControlPlane(folder / "control-plane", api_server_flags=_API_SERVER)
        self._socket = folder / "containerd.sock"
        self._servers: list[Server] = []

    def __enter__(self) -> Self:
        """Start everything; the node is Ready then. Raises ServerError, BuildError, CredentialsError."""
        self._program = build.binary(build.NODE)
        self._write("containerd.toml", node_files.containerd(self.folder))
        self._write("cni/10-pods.conflist", node_files.network(self.folder))
        self._write("kubelet.yaml", node_files.kubelet(self.folder))
        self._write("resolv.conf", "")
        self._write("kubectl.d/README", "First on PATH: kubectl of this Kubernetes.\n")
        (self.folder / "kubectl.d" / "kubectl").symlink_to(self._program)
        try:
            containerd = self._run("containerd", "containerd", "--config", str(self.folder / "containerd.toml"))
            self.control_plane.start()
            self.kubeconfig = self.control_plane.kubeconfig
            self._wait_for(lambda: self._ctr("version"), containerd)
            self._start_node()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """The containers' processes end with the namespaces."""
        for server in reversed(self._servers):
            server.let_go()
        for server in self._servers:
            server.wait()
        self.control_plane.stop()

    def environment(self) -> dict[str, str]:
        """For a child that asks this cluster, and finds this kubectl."""
        path = os.pathsep.join([str(self.folder / "kubectl.d"), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """What kubectl says. Raises CalledProcessError."""
        command = ["kubectl", *arguments]
        environment = self.environment()
        asked = subprocess.run(command, env=environment, input=given, check=True, capture_output=True, text=True)
        return asked.stdout

    def load(self, archive: Path) -> None:
        """Give the node the image of an OCI archive. Raises CalledProcessError."""
        self._images("import", str(archive))

    def tag(self, image: str, other: str) -> None:
        """Another name for an image that it has. Raises CalledProcessError."""
        self._images("tag", image, other)

    def _images(self, *arguments: str) -> None:
        command = ["ctr", "--address", str(self._socket), "--namespace", "k8s.io", "images", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def _start_node(self) -> None:
        self._write("Corefile", node_files.corefile(self.kubeconfig))
        program, ours = str(self._program), f"--kubeconfig={self.kubeconfig}"
        self._run("kube-scheduler", program, "kube-scheduler", ours, "--leader-elect=false", "--secure-port=0")
        dns = self._run("coredns", program, "coredns", "-conf", str(self.folder / "Corefile"))
        name = f"--hostname-override={node_files.NAME}"
        proxy = self._run("kube-proxy", program, "kube-proxy", ours, name, *_PROXY)
        kubelet = self._run(
            "kubelet",
            program,
            "kubelet",
            ours,
            name,
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--node-ip={NODE_ADDRESS}",
            f"--root-dir={self.folder / 'kubelet'}",
        )
        self.kubectl("apply", "--filename=-", given="\n---\n".join(map(json.dumps, node_files.dns())))
        self._wait_for(lambda: _is_well(f"http://{NODE_ADDRESS}:8181/ready"), dns)
        self._wait_for(lambda: _is_well("http://127.0.0.1:10256/healthz"), proxy)
        self._wait_for(self._node_is_ready, kubelet)

    def _node_is_ready(self) -> bool:
        ready = "{.items[*].status.conditions[?(@.type=='Ready')].status}"
        return self.kubectl("get", "nodes", f"--output=jsonpath={ready}") == "True"

    def _ctr(self, *arguments: str) -> bool:
        command = ["ctr", "--address", str(self._socket), *arguments]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _run(self, name: str, *command: str) -> Server:
        server = Server(name, command, self.folder, None)
        self._servers.append(server)
        return server

    def _wait_for(self, true: Callable[[], bool], server: Server) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not true():
            for each in self._servers:
                each.check()
            if time.monotonic() > deadline:
                raise server.failure(f"was not ready after {_START_SECONDS:.0f} s")
            time.sleep(0.1)

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
