"""Custom resources as YAML text that every reader takes for the same values, ours and kubectl's."""

import re
from typing import Any

import yaml

# Text that a reader of YAML 1.1 or 1.2 would take for a boolean or a number, and PyYAML itself would not quote.
_AMBIGUOUS = re.compile(r"[yYnN]|[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0[xo][0-9a-fA-F]+", re.ASCII)


class _Dumper(yaml.SafeDumper):
    """Block style in the order of the fields, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """One document."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
