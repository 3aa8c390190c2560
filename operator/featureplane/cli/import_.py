"""`featureplane import`: an existing Feast repo or registry as custom resources."""

from pathlib import Path
from typing import Annotated

import typer

from featureplane.cli.console import counted, printable, say
from featureplane.cli.workspace import open_stores, registered
from featureplane.errors import FeatureplaneError
from featureplane.local.files import write_folder
from featureplane.registry.importing import Imported, read_repo, to_objects
from featureplane.rendering.yaml_text import to_yaml
from featureplane.settings import Settings

_WITH_CODE = {"on_demand_feature_view", "stream_feature_view"}


def import_(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the YAML files; must be empty or missing.")
    ],
    repo: Annotated[
        Path | None, typer.Argument(metavar="REPO", help="Folder of a Feast repo, with its feature_store.yaml.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", metavar="NAME", help="Read this project from the registry instead.")
    ] = None,
) -> None:
    """Turn a Feast repo or a registry's project into YAML.

    What is written are FeatureViews, FeatureServices and a FeastProject. A repo's Python is run, as Feast itself runs
    it. Planning what is written against the registry that the repo was applied to finds nothing to change. What has no
    form as a custom resource is listed and left alone in Feast.
    """
    if (repo is None) == (project is None):
        raise FeatureplaneError("name the folder of a Feast repo, or a project of the registry with --project")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FeatureplaneError(f"{out} is there and not empty; name another folder with --out")
    imported = _from_repo(repo) if repo else _from_registry(project or "")
    write_folder(out, {name: to_yaml(manifest) for name, manifest in imported.objects.items()})
    kinds = [manifest["kind"] for manifest in imported.objects.values()]
    written = f"{counted(kinds.count('FeatureView'), 'view')}, {counted(kinds.count('FeatureService'), 'service')}"
    say(f"wrote {written} and their FeastProject to {out}", "green")
    if imported.left_out:
        say("left as they are in Feast:")
        for item in imported.left_out:
            say(f"  {item.kind} {printable(item.name, 60)}: {printable(item.why, 300)}")
    if any(item.kind in _WITH_CODE for item in imported.left_out):
        say(
            "such views hold Python, which Feast executes on reading the registry: apply refuses it until "
            "registry.trustUserDefinedFunctions is set in project.yaml",
            "yellow",
        )
    root = f" --data-root {repo}" if repo else ""
    say(f"next: featureplane plan {out}{root}")


def _from_repo(folder: Path) -> Imported:
    if not (folder / "feature_store.yaml").is_file():
        raise FeatureplaneError(f"{folder} holds no feature_store.yaml; name the folder of a Feast repo")
    project, offline_store, found = read_repo(folder)
    return to_objects(project, found, offline_store)


def _from_registry(project: str) -> Imported:
    with open_stores(Settings.from_env()) as stores:
        found = registered(stores, project)
    if not found.definitions:
        raise FeatureplaneError(f"the registry at {stores.postgres} holds no project {project!r}")
    return to_objects(project, found)
