"""What is not to be used any more, and how Feast's registry holds it: in tags, for Feast has no other place for it.

Whatever speaks Feast sees them. Read again by all who only have Feast's objects: the server, `import`, `plan`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from featureplane.names import DEPRECATED_TAG_PREFIX

SINCE = f"{DEPRECATED_TAG_PREFIX}since"
_MESSAGE = f"{DEPRECATED_TAG_PREFIX}message"
_REPLACED_BY = f"{DEPRECATED_TAG_PREFIX}replaced-by"
# Which field of `deprecated` each tag says.
FIELDS = {SINCE: "since", _MESSAGE: "message", _REPLACED_BY: "replacedBy"}


class Deprecation(NamedTuple):
    """`since` is a day, as ISO 8601 writes it; `replaced_by` is `view`, `view:feature` or the name of a service."""

    since: str
    message: str = ""
    replaced_by: str = ""

    def __str__(self) -> str:
        """`deprecated as of 2026-03-01; use trips:score: why`: so it may be said before that day and after."""
        instead = f"; use {self.replaced_by}" if self.replaced_by else ""
        return f"deprecated as of {self.since}{instead}" + (f": {self.message}" if self.message else "")


def tags_of(found: Deprecation) -> dict[str, str]:
    """The tags that say it."""
    tags = {SINCE: found.since, _MESSAGE: found.message, _REPLACED_BY: found.replaced_by}
    return {key: value for key, value in tags.items() if value}


def read(tags: Mapping[str, str]) -> Deprecation | None:
    """What the tags of an object say; they may be anybody's."""
    if SINCE not in tags:
        return None
    return Deprecation(tags[SINCE], tags.get(_MESSAGE, ""), tags.get(_REPLACED_BY, ""))


def without(tags: Mapping[str, str]) -> dict[str, str]:
    """The other tags."""
    return {key: value for key, value in tags.items() if not key.startswith(DEPRECATED_TAG_PREFIX)}
