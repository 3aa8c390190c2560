"""Parts whose form is for others to say (Feast's options, a pod template): any JSON, within bounds."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from featureplane.model.base import Found, kubernetes, refuse, shown

DEEPEST = 32
MOST_VALUES = 10_000
LONGEST_TEXT = 8192


def open_problems(value: Any, forbidden: str = "") -> Iterator[Found]:
    """What is no plain JSON in `value`, or too much to be meant; and each text or key that holds `forbidden`."""
    for count, (path, item) in enumerate(_walk(value)):
        if count > MOST_VALUES or len(path) > DEEPEST:
            yield (), f"holds more than {MOST_VALUES} values, or some more than {DEEPEST} deep", "shorten it"
            return
        if isinstance(item, str):
            yield from _text_problems(path, item, forbidden)
        elif not isinstance(item, dict | list | int | float | None) or (
            isinstance(item, float) and not math.isfinite(item)
        ):
            yield path, f"{shown(item)} is no plain value", "write text, a number, true, false, a list or a mapping"


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value and every key, without recursion."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        yield path, item
        if isinstance(item, dict):
            yield from (((*path, key), key) for key in item)
            stack += [((*path, key), inner) for key, inner in reversed(item.items())]
        elif isinstance(item, list):
            stack += [((*path, index), inner) for index, inner in reversed(list(enumerate(item)))]


def _text_problems(path: tuple[str | int, ...], text: str, forbidden: str) -> Iterator[Found]:
    if len(text) > LONGEST_TEXT:
        yield path, f"is longer than {LONGEST_TEXT} characters", "shorten it"
    if any("\ud800" <= character <= "\udfff" for character in text):
        yield path, "holds half a surrogate pair", "write the whole character"
    if forbidden and forbidden in text:
        yield path, f"{shown(text)} holds {forbidden}, which Feast would expand", "write the value itself"


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """Options stand beside `type` in feature_store.yaml, and Feast expands `$NAME` in the whole of that file."""
    own_field = [(("type",), "has a field of its own beside options", "write it there")] if "type" in options else []
    refuse([*own_field, *open_problems(options, forbidden="$")])
    return options


Options = Annotated[
    dict[str, Any],
    Field(max_length=64),
    AfterValidator(_options),
    WithJsonSchema({"type": "object", "maxProperties": 64, **kubernetes(preserve_unknown_fields=True)}),
]
