"""What becomes of an object that is being deleted. Pure: the registry's and the cluster's state are arguments."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from featureplane.controller.inventory import Item
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.rendering.definitions import Key


@dataclass(frozen=True)
class Held:
    """The object stays: somebody needs it."""

    reason: str
    message: str


@dataclass(frozen=True)
class Remove:
    """What it declared is to leave the registry, with what nobody else needs; then it is let go."""

    key: Key
    # The object itself says Delete; one that is wrong may have said Retain when it was registered.
    is_certain: bool = True


@dataclass(frozen=True)
class Release:
    """The object is let go as it is; `reason` and `message` make an Event, unless there is nothing to say."""

    reason: str = ""
    message: str = ""


Fate = Held | Remove | Release


def fate_of_view(item: Item, services: Iterable[Item], owners: Mapping[Key, str], *, terminating: bool) -> Fate:
    """A view stays while a service names it, and leaves the registry with its object, unless that says Retain.

    `owners` are the objects that registered each definition: a view that lost its name to another one takes nothing.
    """
    key: Key = ("feature_view", item.feast_name)
    if owners.get(key, item.owner) != item.owner:
        return Release()
    if terminating:
        return Release("Retained", "the namespace goes; the view stays registered, and its rows stay online")
    if isinstance(item.model, FeatureView) and item.model.spec.deletion_policy == "Retain":
        return Release("Retained", "deletionPolicy is Retain: the view stays registered, and its rows stay online")
    users = sorted(
        service.name for service in services if not service.deleting and item.feast_name in _views_of(service)
    )
    if users:
        return Held(
            "InUse",
            f"the feature services {', '.join(users[:5])} use it; take it out of them, or delete them first",
        )
    return Remove(key, is_certain=item.model is not None)


def fate_of_service(item: Item, owners: Mapping[Key, str], *, terminating: bool) -> Fate:
    """A service leaves the registry with its object."""
    key: Key = ("feature_service", item.feast_name)
    if owners.get(key, item.owner) != item.owner:
        return Release()
    if terminating:
        return Release("Retained", "the namespace goes; the service stays registered")
    return Remove(key)


def fate_of_project(members: Collection[Item], *, terminating: bool) -> Fate:
    """A project stays while anything refers to it; its children go by their owner references."""
    if terminating or not members:
        return Release()
    shown = ", ".join(f"{item.kind} {item.owner}" for item in sorted(members, key=lambda item: item.key)[:5])
    more = f" and {len(members) - 5} more" if len(members) > 5 else ""  # noqa: PLR2004
    return Held("InUse", f"{shown}{more} belong to it; delete them first")


def is_overdue(item: Item, now: datetime, patience: timedelta, since: datetime) -> bool:
    """Whether a deleted object has waited for too long for a registry that is in trouble `since` then."""
    return now >= deadline(item, patience, since)


def deadline(item: Item, patience: timedelta, since: datetime) -> datetime:
    """When a deleted object has waited long enough: time in which it was in use, or nobody looked, does not count."""
    return max(datetime.fromisoformat(item.deleting).astimezone(UTC), since) + patience


def orphaned(item: Item, why: str) -> Release:
    """What to say when an object is let go although the registry could not be asked."""
    return Release(
        "Orphaned",
        f"{item.feast_name} may still be registered: {why}. Declare and delete it again, or remove it with "
        "featureplane apply --prune",
    )


def _views_of(service: Item) -> set[str]:
    return {view.name for view in service.model.spec.views} if isinstance(service.model, FeatureService) else set()
