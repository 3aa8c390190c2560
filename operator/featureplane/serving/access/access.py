"""Tokens checked, and what was said of them remembered for seconds: a judge is asked once for many requests."""

import asyncio
import hashlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TypeVar

from featureplane.serving.access.judge import Act, Judge, JudgeAway, Verdict
from featureplane.serving.reading.refusals import Refused

# A right that is taken away is gone after the first; one that is given counts after the second. In seconds.
ALLOWED_SECONDS = 10.0
REFUSED_SECONDS = 2.0
AWAY_SECONDS = 1.0
_FORBIDDEN = 403
# Each of the two memories. Refusals cannot push out what is allowed.
MOST_REMEMBERED = 10_000
# Tokens that the judge is being asked about, in all and for one address: who guesses does not keep others out.
MOST_ASKED = 1_000
MOST_ASKED_BY_ONE = 100
# In characters; a token with many groups or roles has a few thousand.
_LONGEST_TOKEN = 16_384
# RFC 6750, section 3.
_CHALLENGE = b"Bearer"
_INVALID = b'Bearer error="invalid_token"'
logger = logging.getLogger(__name__)
T = TypeVar("T")


class NotLetIn(Refused):
    """401, 403, or 503 where nobody can say; `headers` go with the answer."""

    def __init__(self, message: str, status: int, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message, status, "FeastPermissionError" if status == _FORBIDDEN else "")
        self.headers = headers


class Access:
    """Who may ask, by what `judge` says. `problem` is why it cannot say, empty while it can."""

    def __init__(self, judge: Judge, clock: Callable[[], float] = time.monotonic) -> None:
        self.problem = ""
        self._judge = judge
        self._clock = clock
        # By a digest: a copy of the memory holds nobody's token. Values end at a time of the clock.
        self._allowed: OrderedDict[bytes, float] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._asked: dict[bytes, asyncio.Task[Verdict]] = {}
        self._asked_by: Counter[str] = Counter()

    async def check(self, authorization: str, act: Act, peer: str = "") -> None:
        """Return where the token's holder may. Raises NotLetIn. `authorization` is the header's value, or empty, and
        `peer` the address that it comes from.
        """
        token = _token(authorization)
        key = hashlib.sha256(f"{act} {token}".encode()).digest()
        now = self._clock()
        if self._allowed.get(key, 0.0) > now:
            return
        until, verdict = self._refused.get(key, (0.0, Verdict()))
        if until <= now:
            verdict = await self._ask(key, token, act, peer)
        if not verdict.is_yes:
            raise _refusal(verdict)

    async def close(self) -> None:
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        await self._judge.close()

    async def _ask(self, key: bytes, token: str, act: Act, peer: str) -> Verdict:
        """Once for all requests that wait for the same; a client that leaves takes nothing from the others."""
        task = self._asked.get(key)
        if task is None:
            if len(self._asked) >= MOST_ASKED or self._asked_by[peer] >= MOST_ASKED_BY_ONE:
                return Verdict(503, "too many new tokens are being checked; try again")
            task = self._asked[key] = asyncio.create_task(self._decide(key, token, act))
            self._asked_by[peer] += 1
            task.add_done_callback(lambda _: self._forget(key, peer))
        return await asyncio.shield(task)

    def _forget(self, key: bytes, peer: str) -> None:
        del self._asked[key]
        self._asked_by[peer] -= 1
        if not self._asked_by[peer]:
            del self._asked_by[peer]

    async def _decide(self, key: bytes, token: str, act: Act) -> Verdict:
        try:
            verdict = await self._judge.judge(token, act)
        except JudgeAway as away:
            self._say(str(away))
            verdict, seconds = Verdict(503, "who may ask cannot be checked now; try again"), AWAY_SECONDS
        else:
            self._say("")
            seconds = ALLOWED_SECONDS if verdict.is_yes else REFUSED_SECONDS
        until = self._clock() + min(seconds, verdict.until - time.time())
        if verdict.is_yes:
            _remember(self._allowed, key, until)
        else:
            _remember(self._refused, key, (until, verdict))
        return verdict

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            logger.warning("nobody new is let in: %s", problem)
        elif self.problem and not problem:
            logger.info("tokens can be checked again")
        self.problem = problem


def _remember(memory: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)


def _token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        text = "who asks must show a token, in the header Authorization: Bearer TOKEN"
        raise NotLetIn(text, 401, (b"www-authenticate", _CHALLENGE))
    if len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise _refusal(Verdict(401, "the token is not valid"))
    return token


def _refusal(verdict: Verdict) -> NotLetIn:
    headers = {401: (b"www-authenticate", _INVALID), 503: (b"retry-after", b"1")}
    return NotLetIn(verdict.why, verdict.status, *([headers[verdict.status]] if verdict.status in headers else []))
