"""Files that the cluster replaces while a pod runs: a token of its ServiceAccount, and a server's certificate.

Each is a whole folder, for a single file of a volume (`subPath`) stays as it was when the pod started.
"""

from featureplane.manifests.environment import Surroundings

TLS_FOLDER = "/etc/featureplane-tls"
# Where Feast's own servers look, and every client of the Kubernetes API.
_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
# The kubelet replaces a token after four fifths of its life.
_TOKEN_SECONDS = 3600


def token() -> Surroundings:
    """What `automountServiceAccountToken` would mount, for this container alone."""
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": _TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    return Surroundings(
        [],
        [{"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True}],
        [{"name": "token", "projected": {"sources": sources}}],
    )


def tls(secret: str) -> Surroundings:
    """The certificate and its key; a pod waits for a Secret that is not there yet."""
    keys = [{"key": key, "path": key} for key in ("tls.crt", "tls.key")]
    return Surroundings(
        [],
        [{"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True}],
        [{"name": "tls", "secret": {"secretName": secret, "items": keys}}],
    )
