"""An issuer of OpenID Connect as the judge: its tokens carry all that is to be known, and its keys are fetched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from featureplane.serving.access.issuer_keys import IssuerKeys
from featureplane.serving.access.judge import Act, Verdict

# None with a secret that both sides share: who has the issuer's public key could sign with it.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
# Clocks differ.
LEEWAY_SECONDS = 30
_WHY: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
}
_NOT_VALID = Verdict(401, "the token is not valid")


@dataclass(frozen=True)
class Policy:
    """What tokens must have, and which roles may what; see `model.auth.OidcAuth`."""

    issuer: str
    audience: str
    client_id: str = ""
    roles_claim: str = "roles"
    readers: frozenset[str] = frozenset()
    writers: frozenset[str] = frozenset()

    def refusal(self, claims: Mapping[str, Any], act: Act) -> str:
        """Why the holder may not; nothing when he may."""
        roles = roles_of(claims, self.roles_claim, self.client_id)
        if roles & self.writers:
            return ""
        if act == "write":
            return "the token has no role that may write"
        return "the token has no role that may read" if self.readers and not roles & self.readers else ""


class Tokens:
    """Checks tokens by a policy and the issuer's keys."""

    def __init__(self, policy: Policy, keys: IssuerKeys) -> None:
        self._policy = policy
        self._keys = keys

    async def judge(self, token: str, act: Act) -> Verdict:
        """Raises JudgeAway."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return _NOT_VALID
        algorithm, name = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            return _NOT_VALID
        key = await self._keys.find(name)
        if key is None or key.algorithm not in {"", algorithm}:
            return _NOT_VALID
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                audience=self._policy.audience,
                issuer=self._policy.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError) as error:  # the latter two: a key for another algorithm
            return Verdict(401, next((why for kind, why in _WHY.items() if isinstance(error, kind)), _NOT_VALID.why))
        until = float(claims["exp"]) + LEEWAY_SECONDS
        why = self._policy.refusal(claims, act)
        return Verdict(403, why, until) if why else Verdict(until=until)

    async def close(self) -> None:
        await self._keys.close()


def roles_of(claims: Mapping[str, Any], claim: str, client_id: str = "") -> frozenset[str]:
    """The roles of a claim, and of the client as Keycloak writes them."""
    found = _texts(claims[claim] if claim in claims else _below(claims, claim.split(".")))
    if client_id:
        found |= _texts(_below(claims, ["resource_access", client_id, "roles"]))
    return frozenset(found)


def _below(node: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if not isinstance(node, Mapping) or step not in node:
            return None
        node = node[step]
    return node


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(value.split())
    return {each for each in value if isinstance(each, str)} if isinstance(value, list) else set()
