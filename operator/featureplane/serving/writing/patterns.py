r"""RE2's patterns, which features are checked with, for the engine that is here: that of pydantic, Rust's `regex`.

Both take linear time and write nearly all alike; but of RE2 the classes \d, \s, \w and the boundary \b know ASCII.
A run asks Arrow, which has RE2; a test compares the two.
"""

from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r\x20"}


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches somewhere. Raises ValueError for what is no pattern."""
    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=_in_ascii(pattern)))
    except SchemaError:
        raise ValueError(f"{pattern!r} is no regular expression of RE2's kind") from None
    return validator.isinstance_python


def _in_ascii(pattern: str) -> str:
    said: list[str] = []
    in_class = False
    characters = iter(pattern)
    for character in characters:
        if character != "\\":
            in_class = character == "[" or (in_class and character != "]")
            said.append(character)
            continue
        escaped = next(characters, "")
        ranges = _CLASSES.get(escaped.lower())
        if ranges is not None:
            inner = f"^{ranges}" if escaped.isupper() else ranges
            said.append(f"[{inner}]" if escaped.isupper() or not in_class else ranges)
        elif escaped == "b" and not in_class:
            said.append(r"(?-u:\b)")
        else:
            said.append(f"\\{escaped}")
    return "".join(said)
