"""What the commands about single entities share: which view, which entity, and where its source is."""

from collections.abc import Sequence
from typing import Annotated

import typer

from featureplane.cli.online import check_view, entities_of
from featureplane.cli.workspace import Workspace, registered
from featureplane.entities.entity import Entity, entity_of
from featureplane.rendering.definitions import Definition
from featureplane.settings import Stores
from featureplane.training.asking import registered_view

ViewName = Annotated[str, typer.Option("--view", metavar="NAME", help="The feature view, by its Feast name.")]
EntityValue = Annotated[
    list[str], typer.Option("--entity", "-e", metavar="KEY=VALUE", help="A join key's value; once for each join key.")
]

Yes = Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be done.")]


def entity_named(workspace: Workspace, stores: Stores, view: str, entity: Sequence[str]) -> Entity:
    """The entity of a registered view. Raises FeatureplaneError for what is not there, or is of another type."""
    known = registered(stores, workspace.feast_project)
    check_view(view, known)
    given = entities_of(entity, [view], known)
    return entity_of(registered_view(workspace.feast_project, known, view), given)


def definition_of(workspace: Workspace, stores: Stores, view: str) -> Definition:
    return registered(stores, workspace.feast_project).definitions["feature_view", view]
