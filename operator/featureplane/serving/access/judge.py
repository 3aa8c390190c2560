"""What is asked of whoever knows tokens: Kubernetes (`reviews`) or an issuer of OpenID Connect (`oidc`)."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

Act = Literal["read", "write"]


@dataclass(frozen=True)
class Verdict:
    """`status` is 200, or HTTP's number of a refusal, with its reason in words for whoever sent the token.

    It holds no longer than the token, `until` (seconds since 1970).
    """

    status: int = 200
    why: str = ""
    until: float = math.inf

    @property
    def is_yes(self) -> bool:
        return self.status == 200  # noqa: PLR2004 - HTTP's


class JudgeAway(Exception):
    """Nobody can say now who may; the text is for the operators of the server, and not for its clients."""


class Judge(Protocol):
    """Says of a token whether its holder may."""

    async def judge(self, token: str, act: Act) -> Verdict:
        """Raises JudgeAway."""
        ...

    async def close(self) -> None: ...
