"""Why a value is not taken."""

import json
from typing import Any

_MOST_SHOWN = 60


class Misfit(ValueError):
    """A value is not what its column asks for; the text goes on from the value: `is no Int64; write ...`."""


class WrongColumn(Exception):
    """A column that is missing, or its value in a `row`, counted from 0; the text goes on from where that is."""

    def __init__(self, column: str, text: str, row: int | None = None) -> None:
        super().__init__(text)
        self.column = column
        self.row = row


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line, in ASCII; a long list with how many elements it has."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    try:
        text = json.dumps(value, default=str)
    except RecursionError:  # JSON may be nested a thousand deep, and Python's own encoder gives up before that
        return "a value nested too deep to be shown"
    if len(text) <= _MOST_SHOWN:
        return text
    end = f"... ({len(value)} elements)" if isinstance(value, list) else "..."
    return text[: _MOST_SHOWN - len(end)] + end
