"""`featureplane render`: the files of a Feast repo."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from featureplane.cli.console import say
from featureplane.cli.workspace import (
    DataRootPath,
    FromRegistry,
    Paths,
    ProjectName,
    definitions,
    open_stores,
    open_workspace,
    ours,
    registered,
)
from featureplane.errors import FeatureplaneError
from featureplane.local.files import write_folder
from featureplane.names import FEATURE_STORE_FILE
from featureplane.rendering import repo


def render(
    paths: Paths,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; made when it is not there.")
    ],
    from_registry: FromRegistry = False,
    project: ProjectName = None,
    data_root: DataRootPath = None,
) -> None:
    """Write the files of a plain Feast repo.

    `feast plan` and `feast apply` work in it. It holds the definitions as JSON, one constant Python file that loads
    them, and a feature_store.yaml without addresses or passwords: Feast finds the stores by PG* and
    FEATUREPLANE_REDIS_* (`featureplane up` writes them to a file).
    """
    workspace = open_workspace(paths, project, data_root, look_at_sources=False)
    if from_registry:
        with open_stores(workspace.settings) as stores:
            items = ours(registered(stores, workspace.feast_project))
    else:
        items = definitions(workspace)
    files = repo.render(workspace.declarations.project, items)
    refuse_other_repo(out, files)
    write_folder(out, files)
    say(f"wrote {', '.join(files)} to {out}")


def refuse_other_repo(out: Path, files: Mapping[str, str]) -> None:
    """Raise FeatureplaneError where a file of somebody's own Feast repo would be overwritten."""
    made_by = files[FEATURE_STORE_FILE].partition(";")[0]
    with suppress(FileNotFoundError, NotADirectoryError):
        if (out / FEATURE_STORE_FILE).read_text(encoding="utf-8", errors="replace").startswith(made_by):
            return
        raise FeatureplaneError(f"{out} holds a Feast repo that is not of Featureplane's making; name another --out")
