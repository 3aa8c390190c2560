"""Calls of `newest.lua` for rows of views that share their keys. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from featureplane.online.expiry import Plan
from featureplane.online.scripts import NEWEST
from featureplane.serving.reading.link import bulks
from featureplane.serving.writing.view import ViewPlan

# Nothing of a view, in a row of others.
_NOTHING = b"$0\r\n\r\n"


@dataclass(frozen=True)
class Call:
    """A command about `keys`, the first of which decides who gets it. Its reply has a character for each key and view;
    `parts` of them have a row.
    """

    keys: tuple[bytes, ...]
    command: bytes
    parts: int


def calls(
    views: Sequence[ViewPlan], plan: Plan, rows: Mapping[bytes, Sequence[bytes | None]], size: int
) -> Iterator[Call]:
    """A call for every `size` rows: keys with the words of each view, None where it has no row."""
    fixed, fixed_words = _fixed(tuple(views), plan)
    remaining = iter(rows.items())
    while taken := tuple(islice(remaining, size)):
        keys = tuple(key for key, _ in taken)
        count, there = 3 + len(keys) + fixed_words, 0
        words = []
        for _, parts in taken:
            for view, part in zip(views, parts, strict=True):
                words.append(_NOTHING if part is None else part)
                count += 1 if part is None else 1 + view.arguments
                there += part is not None
        command = b"*%d\r\n%b%b%b%b%b" % (
            count, _HEAD, bulks([b"%d" % len(keys)]), bulks(keys), fixed, b"".join(words),
        )  # fmt: skip
        yield Call(keys, command, there)


_HEAD = bulks([b"EVALSHA", NEWEST.sha])


@lru_cache(1024)
def _fixed(views: tuple[ViewPlan, ...], plan: Plan) -> tuple[bytes, int]:
    """What all calls for these views begin with behind their keys, and how many words that is."""
    words = [b"%d" % len(views), plan.action.encode(), b"%d" % plan.number, b"%d" % plan.fields_expire]
    for view in views:
        words += view.constants
    return bulks(words), len(words)
