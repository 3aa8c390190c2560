"""A project without a FeastProject: Feast alone registered it, and all that is known of it is where its stores are."""

from dataclasses import dataclass, replace
from pathlib import Path

from featureplane.cli.feast_repo import read_feast_repo
from featureplane.cli.workspace import Workspace
from featureplane.errors import FeatureplaneError
from featureplane.model.declarations import ProjectDeclarations
from featureplane.model.feast_project import FeastProject, default_project
from featureplane.settings import Settings


@dataclass(frozen=True)
class Undeclared:
    """The project, with the stores in its settings, and whether it keeps rows of each version of a view."""

    workspace: Workspace
    is_versioned: bool = False


def undeclared(
    paths: list[str] | None, feast_repo: Path | None, project: str | None, *, trusts_functions: bool
) -> Undeclared:
    """The project of a command line without files: of the folder, or the one that is named. Raises FeatureplaneError
    where neither is, and InputError for a folder's stores that nothing is served from.
    """
    if feast_repo is not None:
        if paths:
            raise FeatureplaneError("--feast-repo takes no other files; leave them out, or serve them without it")
        return _of_feast_repo(feast_repo, project, trusts_functions=trusts_functions)
    if project is None:
        raise FeatureplaneError(
            "name the files of a project; or one that Feast has registered, with --registered --project NAME or "
            "--feast-repo DIR"
        )
    return _of_environment(project, trusts_functions=trusts_functions)


def _of_environment(project: str, *, trusts_functions: bool) -> Undeclared:
    settings = replace(Settings.from_env(), stores="environment")
    return Undeclared(_workspace(settings, project, trusts_functions=trusts_functions))


def _of_feast_repo(folder: Path, project: str | None, *, trusts_functions: bool) -> Undeclared:
    repo = read_feast_repo(folder)
    if project not in {None, repo.project}:
        raise FeatureplaneError(f"--project {project!r} is not the project of {folder}, which is {repo.project!r}")
    settings = replace(
        Settings.from_env(), stores="environment", postgres=repo.stores.postgres, redis=repo.stores.redis
    )
    return Undeclared(_workspace(settings, repo.project, trusts_functions=trusts_functions), repo.is_versioned)


def _workspace(settings: Settings, name: str, *, trusts_functions: bool) -> Workspace:
    usual = default_project("default")
    registry = usual.spec.registry.model_copy(update={"trust_user_defined_functions": trusts_functions})
    # Feast takes names that no object of ours could have.
    spec = usual.spec.model_copy(update={"project": name, "registry": registry})
    project: FeastProject = usual.model_copy(update={"spec": spec})
    return Workspace(settings, ProjectDeclarations(project), None)
