"""What a control plane needs to trust itself and us: a certificate, a key for ServiceAccount tokens, kubeconfigs.

Made anew for each control plane, in its own folder, readable to its owner alone: nobody else on this machine is
administrator of a control plane because he can reach its port. `openssl` makes the keys, for Python's standard library
cannot.
"""

import base64
import json
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONTEXT = "featureplane-test"
# One certificate that is its own authority. It names 127.0.0.1 (the API server's own would name its advertised address)
# and the address that pods know, and says what its key may be used for, without which Python from 3.13 on refuses it.
_CERTIFICATE = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = featureplane-test
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
subjectAltName = @names
[names]
IP.1 = 127.0.0.1
IP.2 = 10.96.0.1
DNS.1 = localhost
DNS.2 = kubernetes
DNS.3 = kubernetes.default
DNS.4 = kubernetes.default.svc
"""
_CURVE = ["-pkeyopt", "ec_paramgen_curve:P-256"]  # 10 ms, where an RSA key may take a second


class CredentialsError(Exception):
    """openssl is missing or said no."""


@dataclass(frozen=True)
class Credentials:
    """Files below one folder, and the administrator's token."""

    certificate: Path
    key: Path
    service_account_key: Path
    service_account_public_key: Path
    tokens: Path
    kubeconfig: Path
    controllers_kubeconfig: Path
    admin_token: str


def make(folder: Path, url: str) -> Credentials:
    """Everything for an API server at `url`. Raises CredentialsError."""
    folder.mkdir(mode=0o700)
    admin, controllers = secrets.token_hex(16), secrets.token_hex(16)
    made = Credentials(
        certificate=folder / "api-server.crt",
        key=folder / "api-server.key",
        service_account_key=folder / "service-accounts.key",
        service_account_public_key=folder / "service-accounts.pub",
        tokens=folder / "tokens.csv",
        kubeconfig=folder.parent / "kubeconfig",
        controllers_kubeconfig=folder / "controllers.kubeconfig",
        admin_token=admin,
    )
    request = folder / "certificate.cnf"
    request.write_text(_CERTIFICATE)
    _openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        *_CURVE,
        "-nodes",
        "-days",
        "30",
        "-config",
        request,
        "-keyout",
        made.key,
        "-out",
        made.certificate,
    )
    _openssl("genpkey", "-algorithm", "EC", *_CURVE, "-out", made.service_account_key)
    _openssl("pkey", "-in", made.service_account_key, "-pubout", "-out", made.service_account_public_key)
    manager = "system:kube-controller-manager"
    _write(made.tokens, f'{admin},admin,admin,"system:masters"\n{controllers},{manager},{manager}\n')
    _write(made.kubeconfig, kubeconfig(url, made.certificate.read_bytes(), "admin", admin))
    _write(made.controllers_kubeconfig, kubeconfig(url, made.certificate.read_bytes(), manager, controllers))
    return made


def kubeconfig(url: str, certificate: bytes, user: str, token: str) -> str:
    """JSON, which is YAML; with the certificate in it, so that the file may be moved."""
    authority = base64.b64encode(certificate).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user, "namespace": "default"}}],
        "current-context": CONTEXT,
    }
    return json.dumps(content, indent=2) + "\n"


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _openssl(*arguments: str | Path) -> None:
    try:
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CredentialsError("the control plane's certificate is made by openssl, which is not on PATH") from error
    except subprocess.CalledProcessError as error:
        raise CredentialsError(f"openssl {arguments[0]} failed: {error.stderr.strip()}") from error
