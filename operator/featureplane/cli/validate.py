"""`featureplane validate`: are the files right."""

from typing import Any

from featureplane.cli.console import counted, print_json, say
from featureplane.cli.workspace import AsJson, DataRootPath, Paths, open_workspaces


def validate(paths: Paths, data_root: DataRootPath = None, as_json: AsJson = False) -> None:
    """Check files, and show every problem in them at once.

    A problem is shown with file, line, field and what to write instead. No store is touched. File sources on this
    machine are looked into: are they there, have they the columns.

    Exit status: 0 right, 2 something is wrong.
    """
    workspaces = open_workspaces(paths, data_root)
    counts: dict[str, dict[str, Any]] = {
        item.declarations.project.metadata.name: {
            "project": item.feast_project,
            "views": len(item.declarations.views),
            "services": len(item.declarations.services),
            "sources": "checked" if item.local_root else "not on this machine",
        }
        for item in workspaces
    }
    if as_json:
        print_json(counts)
        return
    for name, count in counts.items():
        held = f"{counted(count['views'], 'view')}, {counted(count['services'], 'service')}"
        say(f"{name}: project {count['project']}, {held}; sources {count['sources']}", "green")
