"""Write docs/reference.md, every field of every kind, from the same schemas as the CRDs; `--check` only compares."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featureplane.model.crd import RESOURCES, object_schema

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
_HEADER = """# Reference

Generated from `operator/featureplane/model` by `make generate`; do not edit. In a cluster `kubectl explain fv.spec`
says the same. `[]` stands for the items of a list, `*` for the names of a map.
"""


def text() -> str:
    """The whole page."""
    return _HEADER + "".join(_kind(resource) for resource in RESOURCES)


def _kind(resource: Any) -> str:
    schema = object_schema(resource)
    spec = schema["properties"]["spec"]
    rows = "\n".join(_rows(spec, ""))
    heading = f"## {resource.kind} (`{resource.short_name}`)"
    head = "| field | type | default | meaning |\n| --- | --- | --- | --- |"
    return f"\n{heading}\n{schema['description']}\n\n{head}\n{rows}\n"


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = "**required**" if name in required else _cell(field["default"]) if "default" in field else ""
        yield f"| `{here}` | {_type(field)} | {default} | {_prose(field.get('description', ''))} |"
        yield from _below(field, here)


def _below(field: dict[str, Any], path: str) -> Iterator[str]:
    if "properties" in field:
        yield from _rows(field, path)
    if isinstance(field.get("items"), dict):
        yield from _below(field["items"], f"{path}[]")
    if isinstance(field.get("additionalProperties"), dict):
        yield from _below(field["additionalProperties"], f"{path}.*")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(_cell(value) for value in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"map to {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _cell(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "see below"
    text = "{}" if value == {} else str(value).lower() if isinstance(value, bool) else str(value)
    return "`" + text.replace("|", "\\|") + "`"


def _prose(description: str) -> str:
    return " ".join(description.split()).replace("|", "\\|")


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text():
        sys.stderr.write("docs/reference.md is not what the models say; run make generate\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
