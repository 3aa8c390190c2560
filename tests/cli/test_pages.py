"""What the pages of docs/ and examples/ tell a reader to type is taken by the command line."""

import re

from cli.commands import ROOT

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "systems").glob("*.md")]) + sorted(
    (ROOT / "examples").glob("*/README.md")
)
# What stands for YAML files, or makes them needless.
FILES = re.compile(r"FILES|PATH|features/|examples/|\.yaml|\$files|path/to/repo|--server")


def typed():
    """Each command with whatever follows it, as it stands in code: inline, in a block, or indented."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        inline = re.findall(r"`featureplane ([a-z-]+(?: [^`]*)?)`", text)
        lines = re.findall(r"^ *featureplane ([a-z-]+[^\n#|]*)", text, re.MULTILINE)
        for found in [*inline, *lines]:
            name, _, rest = found.strip().partition(" ")
            yield page.relative_to(ROOT), name, rest.strip()


def test_every_command_is_there_with_its_options_and_files(featureplane):
    helps = {}
    for page, name, rest in typed():
        if name not in helps:
            ran = featureplane(name, "--help")
            assert ran.status == 0, f"{page}: featureplane {name}"
            helps[name] = ran.out
        for option in re.findall(r"--[a-z][a-z-]+", rest):
            assert option in helps[name], f"{page}: featureplane {name} {rest}"
        if rest and "PATH" in helps[name].split("Options:")[0] and not rest.startswith("-"):
            assert FILES.search(rest), f"{page}: featureplane {name} {rest}"
