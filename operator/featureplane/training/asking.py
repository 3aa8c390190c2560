"""What a training set is asked for: a feature service, or single features, as the views of the registry have them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from featureplane.errors import FeatureplaneError
from featureplane.materialization.rows import View, view_of
from featureplane.registry.state import Registered
from featureplane.rendering.definitions import Definition, Key
from featureplane.training.opening import Wanted

_MOST_SHOWN = 12


@dataclass(frozen=True)
class Asked:
    """Features as `view:feature`, in the order of the columns; `service` is empty where they were named one by one."""

    references: tuple[str, ...]
    service: str = ""

    def columns(self, *, full_names: bool) -> dict[str, str]:
        """The features by the names of their columns. Raises FeatureplaneError where two are the same."""
        names = [each.replace(":", "__") if full_names else each.partition(":")[2] for each in self.references]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            views = ", ".join(each.partition(":")[0] for each in self.references if each.endswith(f":{twice[0]}"))
            raise FeatureplaneError(
                f"{twice[0]!r} is a feature of {views}; tell them apart with --full-feature-names, as view__feature"
            )
        return dict(zip(names, self.references, strict=True))


def asked_for(known: Registered, service: str, features: Sequence[str]) -> Asked:
    """Raises FeatureplaneError for a service, a view or a feature that is not registered, with the nearest that is."""
    if service:
        definition = known.definitions.get(("feature_service", service))
        if definition is None:
            services = [name for kind, name in known.definitions if kind == "feature_service"]
            raise _unknown("feature service", service, services)
        wanted = [f"{view['name']}:{name}" for view in definition.spec["views"] for name in view["features"]]
        return Asked(tuple(_checked(known, wanted, f"the feature service {service!r} names ")), service)
    return Asked(tuple(_checked(known, features, "")))


def asked_by_name(known: Registered, name: str) -> Asked:
    """A feature service, else all features of a view. Raises FeatureplaneError where neither is registered."""
    services = [each for kind, each in known.definitions if kind == "feature_service"]
    if name in services:
        return asked_for(known, name, [])
    if name in known.features or name in {item.name for item in known.foreign}:
        return asked_for(known, "", [name])
    raise _unknown("feature service or view", name, [*services, *known.features])


def _checked(known: Registered, references: Iterable[str], by: str) -> list[str]:
    found: list[str] = []
    for reference in references:
        view, _, name = reference.partition(":")
        there = known.features.get(view)
        if there is None:
            foreign = {item.name: item.why for item in known.foreign if item.kind.endswith("_view")}
            if view in foreign:
                raise FeatureplaneError(f"{view!r} is only Feast's ({foreign[view]}): retrieve it with Feast's SDK")
            raise _unknown("feature view", view, known.features, by)
        if name and name not in there:
            raise _unknown("feature", name, there, by, f" of {view!r}")
        found += [reference] if name else [f"{view}:{each}" for each in there]
    return list(dict.fromkeys(found))


def _unknown(what: str, name: str, known: Iterable[str], by: str = "", of: str = "") -> FeatureplaneError:
    names = list(known)
    near = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
    shown = ", ".join(names[:_MOST_SHOWN]) or "none"
    remedy = f"did you mean {near[0]}?" if near else f"registered are {shown}"
    unknown = f"the {what} {name!r}{of}"
    subject = f"{by}{unknown}, which is not registered" if by else f"{unknown} is not registered"
    return FeatureplaneError(f"{subject}; {remedy}")


def wanted_of(project: str, known: Registered, asked: Asked) -> list[Wanted]:
    """The features by view. Raises FeatureplaneError for a view whose source is not registered any more."""
    by_view: dict[str, list[str]] = {}
    for reference in asked.references:
        name, _, feature = reference.partition(":")
        by_view.setdefault(name, []).append(feature)
    return [Wanted(registered_view(project, known, name), tuple(features)) for name, features in by_view.items()]


def registered_view(project: str, known: Registered, name: str) -> View:
    """A registered view. Raises FeatureplaneError where its source is not registered any more."""
    try:
        return view_of(project, known.definitions["feature_view", name], known.definitions)
    except KeyError as error:
        raise FeatureplaneError(f"the source of {name!r} is not registered any more; run featureplane apply") from error


def definitions_of(known: Registered, asked: Asked) -> list[Definition]:
    """What the training set is made from: views with their sources and entities, and the service."""
    keys: list[Key] = [("feature_service", asked.service)] if asked.service else []
    for name in dict.fromkeys(each.partition(":")[0] for each in asked.references):
        spec = known.definitions["feature_view", name].spec
        keys += [("feature_view", name), ("data_source", spec["source"])]
        keys += [("entity", entity["name"]) for entity in spec["entities"]]
    return [known.definitions[key] for key in dict.fromkeys(keys) if key in known.definitions]
