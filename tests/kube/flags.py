"""How the three servers are started. Admission, limits, priority and fairness are as Kubernetes ships them."""

from pathlib import Path

from kube.credentials import Credentials


def etcd(folder: Path, url: str) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",  # nobody misses these data after a power failure
        "--socket-reuse-port",  # see server.Port
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",  # there are no peers, but it insists on a port for them
        # It is elected by itself, but only after this many milliseconds, which would be 1000.
        "--election-timeout=100",
        "--heartbeat-interval=10",
        "--log-level=warn",
    ]


def api_server(ours: Credentials, etcd_url: str, port: int) -> list[str]:
    return [
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",  # otherwise it looks for a default route, which a machine may not have
        f"--secure-port={port}",
        "--permit-port-sharing",  # see server.Port
        f"--tls-cert-file={ours.certificate}",
        f"--tls-private-key-file={ours.key}",
        f"--cert-dir={ours.key.parent}",
        f"--token-auth-file={ours.tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={ours.service_account_key}",
        f"--service-account-key-file={ours.service_account_public_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",  # Endpoints may not name the loopback, which is where we are
        "--allow-privileged",
        "--profiling=false",
    ]


def controller_manager(ours: Credentials) -> list[str]:
    return [
        f"--kubeconfig={ours.controllers_kubeconfig}",
        "--use-service-account-credentials",  # each controller with the rights that it has in a real cluster
        f"--service-account-private-key-file={ours.service_account_key}",
        f"--root-ca-file={ours.certificate}",
        "--leader-elect=false",
        "--secure-port=0",
        # At their defaults garbage collection and the removal of a namespace delete 20 objects in a second.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--profiling=false",
    ]
