"""What `charts/featureplane/values.yaml` says about each value: where it stands, what it is by default, and the comment
above it. The chart's README and the schema of its values are made of this.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str, ...]
Schema = dict[str, Any]

_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):( |$)")
_COMMENT = re.compile(r"^ *# ?(.*)$")
_INDENT = 2


@dataclass(frozen=True)
class Values:
    """The values, and the comment of each that has one."""

    defaults: Mapping[str, Any]
    comments: Mapping[Path, str]

    def is_group(self, path: Path) -> bool:
        """Whether values below it have comments of their own. All else is one value, whatever its shape."""
        return any(other[: len(path)] == path and other != path for other in self.comments)

    def default(self, path: Path) -> Any:
        found: Any = self.defaults
        for key in path:
            found = found[key]
        return found


def read(text: str) -> Values:
    """Raises ValueError for a value that nobody explains."""
    values = Values(yaml.safe_load(text), dict(_comments(text)))
    for path in leaves(values):
        if not any(path[:length] in values.comments for length in range(len(path), 0, -1)):
            raise ValueError(f"values.yaml: {'.'.join(path)} has no comment above it")
    return values


def _comments(text: str) -> Iterator[tuple[Path, str]]:
    above: list[str] = []
    at: Path = ()
    for line in text.splitlines():
        if key := _KEY.match(line):
            at = (*at[: len(key[1]) // _INDENT], key[2])
            if above:
                yield at, " ".join(above)
        above = [*above, comment[1]] if (comment := _COMMENT.match(line)) else []


def leaves(values: Values, at: Path = ()) -> Iterator[Path]:
    """Paths of all single values, in their order."""
    for key in values.default(at):
        path = (*at, key)
        if values.is_group(path):
            yield from leaves(values, path)
        else:
            yield path


def tables(values: Values) -> str:
    """Markdown: what stands alone first, then a section for each group at the top."""
    alone = [path for path in leaves(values) if len(path) == 1]
    parts = [_table(values, alone)]
    for key in values.defaults:
        if values.is_group((key,)):
            about = values.comments.get((key,), "")
            inside = [path for path in leaves(values) if path[0] == key]
            parts.append(f"### {key}\n{about}\n\n{_table(values, inside)}" if about else _table(values, inside))
    return "\n".join(parts)


def _table(values: Values, paths: Sequence[Path]) -> str:
    rows = [f"| `{'.'.join(path)}` | {_code(values.default(path))} | {_cell(values, path)} |" for path in paths]
    return "\n".join(["| value | default | what it is |", "| --- | --- | --- |", *rows, ""])


def _code(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _cell(values: Values, path: Path) -> str:
    return values.comments.get(path, "").replace("|", "\\|")


def schema(values: Values, refined: Mapping[str, Schema]) -> Schema:
    """JSON schema (draft 7, which every Helm knows); `refined` says by a value's path what its default cannot."""
    unknown = refined.keys() - {".".join(path) for path in leaves(values)}
    if unknown:
        raise ValueError(f"values.yaml has no {', '.join(sorted(unknown))}")
    root = _node(values, (), refined)
    # Helm's own: what a chart above this one gives to all of its parts.
    root["properties"]["global"] = {"type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **root}


def _node(values: Values, path: Path, refined: Mapping[str, Schema]) -> Schema:
    about = {"description": values.comments[path]} if path in values.comments else {}
    if not path or values.is_group(path):
        properties = {key: _node(values, (*path, key), refined) for key in values.default(path)}
        return {**about, "type": "object", "additionalProperties": False, "properties": properties}
    return {**about, **_typed(path[-1], values.default(path)), **refined.get(".".join(path), {})}


_TYPES: Mapping[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number", "minimum": 0},
    str: {"type": "string"},
    list: {"type": "array"},
    dict: {"type": "object"},
}
# Maps whose values are text, whatever they are about.
_TEXTS = re.compile("(annotations|labels|nodeSelector)$", re.IGNORECASE)


def _typed(key: str, default: Any) -> Schema:
    found = _TYPES[type(default)]
    texts = isinstance(default, dict) and _TEXTS.search(key)
    return {**found, "additionalProperties": {"type": "string"}} if texts else found
