"""What can be registered of a project's objects, and what is wrong with the others. Pure.

Each object is judged beside those that are older: the older one wins, and a loser takes nothing from anybody. An object
that is wrong keeps what was last registered for it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from featureplane import names
from featureplane.controller.inventory import Item, ObjectKey
from featureplane.errors import Problem
from featureplane.model.declarations import ProjectDeclarations
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.together import Declared, Together


@dataclass(frozen=True)
class Verdict:
    """`declarations` are what is right; `problems` say why each other object is not among them."""

    declarations: ProjectDeclarations
    problems: Mapping[ObjectKey, tuple[Problem, ...]] = field(default_factory=dict)

    def without(self, refused: Mapping[ObjectKey, Sequence[str]]) -> "Verdict":
        """The verdict with objects taken out that the registry cannot take, each with the reasons."""
        problems = {
            key: tuple(
                Problem("", 0, "", text, reason="Immutable" if "immutable" in text else "Refused") for text in texts
            )
            for key, texts in refused.items()
        }
        left = self.later(refused)
        return replace(left, problems={**left.problems, **problems})

    def later(self, keys: Collection[ObjectKey]) -> "Verdict":
        """The verdict with objects taken out that nothing is wrong with: it is only too early for them."""
        views = tuple(view for view in self.declarations.views if (names.FEATURE_VIEW, *_place(view)) not in keys)
        services, waiting = _with_their_views(
            [item for item in self.declarations.services if (names.FEATURE_SERVICE, *_place(item)) not in keys], views
        )
        declarations = replace(self.declarations, views=views, services=services)
        return Verdict(declarations, {**self.problems, **waiting})


def judge(project: FeastProject, views: Iterable[Item], services: Iterable[Item]) -> Verdict:
    """Judge views and services, given in the order of age."""
    together = Together(Declared(project), keep_wrong=False)
    problems: dict[ObjectKey, tuple[Problem, ...]] = {}
    right_views: list[FeatureView] = []
    unknown: set[str] = set()
    for item in views:
        found = item.problems or tuple(together.view(Declared(cast(FeatureView, item.model))))
        if found:
            problems[item.key] = found
            unknown.add(item.feast_name)
        else:
            right_views.append(cast(FeatureView, item.model))
    features = {view.feast_name: [feature.name for feature in view.spec.features] for view in right_views}
    # A view that is wrong may have other features registered than it says.
    known = {**dict.fromkeys(unknown), **features}
    right_services: list[FeatureService] = []
    for item in services:
        found = item.problems or tuple(together.service(Declared(cast(FeatureService, item.model)), known))
        if found:
            problems[item.key] = found
        else:
            right_services.append(cast(FeatureService, item.model))
    complete, waiting = _with_their_views(right_services, right_views)
    declarations = ProjectDeclarations(
        project,
        tuple(sorted(right_views, key=lambda view: view.feast_name)),
        tuple(sorted(complete, key=lambda service: service.feast_name)),
    )
    return Verdict(declarations, {**problems, **waiting})


def _with_their_views(
    services: Iterable[FeatureService], views: Iterable[FeatureView]
) -> tuple[tuple[FeatureService, ...], dict[ObjectKey, tuple[Problem, ...]]]:
    """The services all of whose views are right, and the others, which wait for theirs."""
    right = {view.feast_name for view in views}
    complete: list[FeatureService] = []
    waiting: dict[ObjectKey, tuple[Problem, ...]] = {}
    for service in services:
        missing = [view.name for view in service.spec.views if view.name not in right]
        if missing:
            text = f"the feature view {missing[0]!r} is not right itself"
            problem = Problem("", 0, "spec.views", text, "mend it first", "ViewNotReady")
            waiting[names.FEATURE_SERVICE, *_place(service)] = (problem,)
        else:
            complete.append(service)
    return tuple(complete), waiting


def _place(item: FeatureView | FeatureService) -> tuple[str, str]:
    return item.metadata.namespace, item.metadata.name
