"""The keys of an issuer, fetched from where it describes itself, and kept (OpenID Connect Discovery 1.0; RFC 7517)."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt

from featureplane.serving.access.judge import JudgeAway

# In seconds. After the first, keys are fetched anew while they go on being used; after the second, they are not used.
FRESH_SECONDS = 300.0
STALE_SECONDS = 3600.0
# Between two fetches: whoever invents keys in his tokens does not make us ask the issuer each time.
BETWEEN_SECONDS = 3.0
_SECONDS = aiohttp.ClientTimeout(total=4)
_MOST_BYTES = 1 << 20
_LOOPBACK = ("http://127.0.0.1", "http://localhost")


@dataclass(frozen=True)
class PublicKey:
    """`algorithm` is the only one that it is for, empty where the issuer does not say."""

    public: Any
    algorithm: str = ""


class IssuerKeys:
    """`called` is what the description must call the issuer, empty where it may have any name."""

    def __init__(self, discovery: str, called: str, authority_file: str | None = None) -> None:
        self._discovery = discovery
        self._called = called
        self._authority_file = authority_file
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched = self._tried = -STALE_SECONDS
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, name: Any) -> PublicKey | None:
        """The key of this name (`kid`), or for None the only one there is. Raises JudgeAway."""
        age = time.monotonic() - self._fetched
        if age >= STALE_SECONDS:
            await self._fetch()
        elif age >= FRESH_SECONDS and self._may_fetch:
            self._start()
        key = self._get(name)
        if key is None and (self._fetching is not None or self._may_fetch):
            await self._fetch()
            key = self._get(name)
        return key

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _get(self, name: Any) -> PublicKey | None:
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name) if isinstance(name, str) else None

    @property
    def _may_fetch(self) -> bool:
        return self._fetching is None and time.monotonic() - self._tried >= BETWEEN_SECONDS

    async def _fetch(self) -> None:
        if self._fetching is None and not self._may_fetch:
            raise JudgeAway(f"the keys of the issuer at {self._discovery} could not be fetched")
        await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[None]:
        """One fetch for all who wait."""
        if self._fetching is None:
            self._tried = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch_now())
            self._fetching.add_done_callback(self._done)
        return self._fetching

    def _done(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it

    async def _fetch_now(self) -> None:
        try:
            trusted = await asyncio.to_thread(ssl.create_default_context, cafile=self._authority_file)
            # A proxy of the environment is for other machines than this one.
            proxied = not self._discovery.startswith(_LOOPBACK)
            async with aiohttp.ClientSession(timeout=_SECONDS, trust_env=proxied) as session:
                description = await _read(session, self._discovery, trusted)
                found = description.get("issuer")
                if self._called and found != self._called:
                    raise JudgeAway(f"the issuer at {self._discovery} calls itself {str(found)[:200]!a}")
                where = str(description.get("jwks_uri"))
                if not where.startswith(("https://", *_LOOPBACK)):
                    raise JudgeAway(f"the issuer at {self._discovery} has its keys at no https:// address")
                self._keys = keys_in(await _read(session, where, trusted))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = f"the keys of the issuer at {self._discovery} cannot be fetched ({type(error).__name__})"
            raise JudgeAway(text) from error
        self._fetched = time.monotonic()


async def _read(session: aiohttp.ClientSession, url: str, trusted: ssl.SSLContext) -> Mapping[str, Any]:
    """A JSON object. Raises JudgeAway, and what aiohttp, the system and json raise."""
    async with session.get(url, ssl=trusted, allow_redirects=False) as answer:
        if answer.status != 200:  # noqa: PLR2004 - HTTP's
            raise JudgeAway(f"{url} answers with {answer.status}")
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > _MOST_BYTES:
                raise JudgeAway(f"{url} answers with more than {_MOST_BYTES} bytes")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise JudgeAway(f"{url} answers with no JSON object")
    return found


def keys_in(document: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The keys of a JWK set that are for signatures, by `kid`; those that this release does not know are left out."""
    found: dict[str, PublicKey] = {}
    for each in document.get("keys") or ():
        if not isinstance(each, dict) or each.get("use", "sig") != "sig" or each.get("kty") == "oct":
            continue
        try:
            key = jwt.PyJWK(each)
        except jwt.PyJWTError:
            continue
        found[str(each.get("kid", ""))] = PublicKey(key.key, str(each.get("alg", "")))
    return found
