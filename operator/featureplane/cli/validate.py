"""`featureplane validate`: are the files right."""

from typing import Any

from featureplane.cli.console import complain, counted, print_json, printable, say
from featureplane.cli.workspace import AsJson, DataRootPath, Paths, Workspace, definitions, open_workspaces
from featureplane.rendering.deprecations import deprecated


def validate(paths: Paths, data_root: DataRootPath = None, as_json: AsJson = False) -> None:
    """Check files, and show every problem in them at once.

    A problem is shown with file, line, field and what to write instead. No store is touched. File sources on this
    machine are looked into: are they there, have they the columns. What is deprecated is
    named with the services that use it.

    Exit status: 0 right, 2 something is wrong.
    """
    workspaces = open_workspaces(paths, data_root)
    counts: dict[str, dict[str, Any]] = {
        item.declarations.project.metadata.name: {
            "project": item.feast_project,
            "views": len(item.declarations.views),
            "services": len(item.declarations.services),
            "sources": "checked" if item.local_root else "not on this machine",
            "warnings": _warnings(item),
        }
        for item in workspaces
    }
    if as_json:
        print_json(counts)
        return
    for name, count in counts.items():
        held = f"{counted(count['views'], 'view')}, {counted(count['services'], 'service')}"
        say(f"{name}: project {count['project']}, {held}; sources {count['sources']}", "green")
        for warning in count["warnings"]:
            complain(f"{name}: {printable(warning, 1000)}", "yellow")


def _warnings(item: Workspace) -> list[str]:
    """What is right, and should not be so for long."""
    return [str(found) for found in deprecated({each.key: each for each in definitions(item)})]
