"""Write the CustomResourceDefinitions to `crds/`, or with `--check` say where the files differ from the models.

Run by `make generate` and `make verify`. The YAML is in block style, its order that of `featureplane.model.crd`: the
same models give the same bytes.
"""

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from featureplane.model.crd import RESOURCES, manifest

CRDS = Path(__file__).resolve().parent.parent / "crds"
HEADER = "# Generated from operator/featureplane/model by `make generate`; do not edit.\n"
_WIDTH = 120
# Text that fits on a line of its own stays as it is; longer text is folded at spaces.
_LONGEST_PLAIN = 80


class _Dumper(yaml.SafeDumper):
    """Block style without anchors: what stands twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > _LONGEST_PLAIN and " " in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def render(crd: Mapping[str, Any]) -> str:
    """One manifest as the text of its file."""
    return HEADER + yaml.dump(crd, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)


def files() -> dict[str, str]:
    """Every file of `crds/`, by name."""
    return {resource.file_name: render(manifest(resource)) for resource in RESOURCES}


def check(folder: Path) -> str:
    """A unified diff from what lies in `folder` to what should; empty when they are the same."""
    wanted = files()
    names = sorted(wanted.keys() | {path.name for path in folder.glob("*.yaml")})
    diffs: list[str] = []
    for name in names:
        path = folder / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        diffs += difflib.unified_diff(
            found.splitlines(keepends=True),
            wanted.get(name, "").splitlines(keepends=True),
            f"crds/{name}",
            f"crds/{name} (generated)",
        )
    return "".join(diffs)


def write(folder: Path) -> None:
    """Write every file, and take away any other YAML file: `crds/` holds nothing else."""
    folder.mkdir(exist_ok=True)
    wanted = files()
    for path in folder.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; print the difference and exit with 1 if there is one"
    )
    parser.add_argument("--folder", type=Path, default=CRDS, help="where the files are (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.folder)
        return 0
    difference = check(options.folder)
    sys.stdout.write(difference)
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
