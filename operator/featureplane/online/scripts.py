"""The Lua scripts that run in Redis; they lie beside this file."""

import hashlib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Script:
    """A script's text, and the digest by which EVALSHA names it."""

    text: bytes

    @property
    def sha(self) -> bytes:
        return hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


def _load(name: str) -> Script:
    return Script(resources.files("featureplane.online").joinpath(name).read_bytes())


NEWEST = _load("newest.lua")
RAISE = _load("raise.lua")
