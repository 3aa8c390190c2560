"""`featureplane purge`: remove online rows of what was deleted, when their time has come."""

from dataclasses import asdict
from functools import partial

from featureplane.cli.console import print_json, printable, say, show_table, table
from featureplane.cli.workspace import AsJson, Paths, ProjectName, open_stores, open_workspace
from featureplane.materialization.purge import Purged
from featureplane.materialization.purge import purge as purge_rows
from featureplane.materialization.purge_cassandra import CassandraRows


def purge(paths: Paths, project: ProjectName = None, as_json: AsJson = False) -> None:
    """Remove the online rows of what was deleted.

    What deleted views and features leave in the online store stays for the project's purgeAfter, in case they come
    back; what came back is kept. The work is done in small batches with pauses between them: it may take long, and
    disturbs little.

    Exit status: 0 done or nothing is due, 2 an error: then the next purge does the rest.
    """
    workspace = open_workspace(paths, project, None, look_at_sources=False)
    with open_stores(workspace.settings) as stores:
        cassandra = workspace.declarations.project.spec.online_store.cassandra
        account, name = workspace.settings.cassandra, workspace.feast_project
        opened = partial(CassandraRows, cassandra, account, name) if cassandra else None
        found = purge_rows(stores, name, cassandra=opened)
    if as_json:
        print_json([asdict(item) for item in found])
    else:
        _show(found)


def _show(found: list[Purged]) -> None:
    if not found:
        say("nothing is due")
        return
    rows = table("VIEW", "PURGED", "KEPT", "right:ROWS", "right:FIELDS")
    for item in found:
        rows.add_row(item.view, _names(item.purged), _names(item.kept), str(item.rows), str(item.fields))
    show_table(rows)


def _names(features: tuple[str, ...]) -> str:
    """A view's own purge stands for those of its features."""
    return "all of it" if "*" in features else printable(", ".join(features)) if features else "-"
