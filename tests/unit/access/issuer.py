"""A small issuer of OpenID Connect on the loopback: it describes itself, shows its keys and signs tokens."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from unit.access.pages import Pages, pages

AUDIENCE = "feast"
_AS_JWK = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}


class Issuer:
    """`keys` are shown: kid -> algorithm and private key; `more` stands beside them as it is."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, Any]] = {"first": ("RS256", rsa.generate_private_key(65537, 2048))}
        self.more: list[Mapping[str, Any]] = []
        self.named = ""
        self.status = 200
        self.pages: Pages

    @property
    def url(self) -> str:
        return f"{self.pages.url}/realms/ml"

    @property
    def discovery(self) -> str:
        return f"{self.url}/.well-known/openid-configuration"

    def rotate(self, kid: str, algorithm: str = "RS256") -> None:
        """A new key beside the others."""
        if algorithm == "ES256":
            self.keys[kid] = algorithm, ec.generate_private_key(ec.SECP256R1())
        elif algorithm == "EdDSA":
            self.keys[kid] = algorithm, ed25519.Ed25519PrivateKey.generate()
        else:
            self.keys[kid] = algorithm, rsa.generate_private_key(65537, 2048)

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "somebody", "iat": now, "exp": now + 600, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, kid: str = "first", **claims: Any) -> str:
        """A token; a claim of None is left out."""
        algorithm, key = self.keys[kid]
        return jwt.encode(self.claims(**claims), key, algorithm, headers={"kid": kid})

    def answer(self, path: str, _headers: Any, _body: Any) -> tuple[int, Any]:
        if self.status != 200:
            return self.status, {}
        if path.endswith("/openid-configuration"):
            ends = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("token", "authorization")}
            return 200, {"issuer": self.named or self.url, "jwks_uri": f"{self.url}/keys", **ends}
        return 200, {"keys": [*(self.jwk(kid) for kid in self.keys), *self.more]}

    def jwk(self, kid: str) -> dict[str, Any]:
        algorithm, key = self.keys[kid]
        return {**_AS_JWK[algorithm[:2]].to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@contextmanager
def an_issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    with pages(issuer.answer) as issuer.pages:
        yield issuer
