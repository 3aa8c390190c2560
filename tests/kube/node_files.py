"""What the servers of a node read: text only, by where the node keeps its things."""

import json
from pathlib import Path
from typing import Any

from kube.alone import NODE_ADDRESS

SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/24"
_DNS = "10.96.0.10"
PAUSE = "localhost/pause:1"
NAME = "node"


def containerd(folder: Path) -> str:
    """containerd's TOML. Its CRI plugin takes the networks of pods from `network` below."""
    return f"""\
version = 2
root = "{folder}/containerd/root"
state = "/run/containerd"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Without CAP_SYS_RESOURCE nobody lowers a score, and runc dies of it: "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def network(folder: Path) -> str:
    """A pair of interfaces for each pod, routed: what goes over a bridge would pass by the rules of Services."""
    addresses = {
        "type": "host-local",
        "dataDir": f"{folder}/addresses",
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [{"type": "ptp", "ipam": addresses}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": plugins})


def kubelet(folder: Path) -> str:
    """JSON, which is YAML. Whoever is in here may do everything: nobody else reaches this network."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,  # many machines have only the first version, which it refuses from 1.35 on
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
            "clusterDomain": "cluster.local",
            "clusterDNS": [_DNS],
            "resolvConf": f"{folder}/resolv.conf",
            # A test machine's disk is often nearly full, and that is nobody's reason to kill pods.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "syncFrequency": "10s",
        }
    )


def corefile(kubeconfig: Path) -> str:
    """DNS of Services and nothing else: there is no outside."""
    return f"""\
.:53 {{
  errors
  ready {NODE_ADDRESS}:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
  }}
  cache 2
}}
"""


def dns() -> list[dict[str, Any]]:
    """The Service of a DNS that runs on the node itself, which spares an image and a pod."""
    where: dict[str, Any] = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": name.lower(), "port": 53, "protocol": name} for name in ("UDP", "TCP")]
    labels = {"kubernetes.io/service-name": "kube-dns"}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": {"clusterIP": _DNS, "ports": ports}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**where, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
