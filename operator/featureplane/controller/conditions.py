"""Conditions as Kubernetes' conventions and kstatus have them. Pure.

`lastTransitionTime` stays until the status flips, so that an unchanged condition is byte for byte the same and need not
be written. Reconciling and Stalled are there only while they are true (kstatus: abnormal-true).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Truth = Literal["True", "False", "Unknown"]
LONGEST_MESSAGE = 1024


@dataclass(frozen=True)
class Condition:
    """One thing that is so, or not, or not known; a message says what to do where something is to be done."""

    type: str
    status: Truth
    reason: str
    message: str = ""


# Somebody has to act; everything else passes, or is being worked on.
FINAL = frozenset(
    {
        "ChildrenRefused",
        "ProjectConflict",
        "SchemaTooNew",
        "SecretIncomplete",
        "SecretNotFound",
        "UntrustedRegistry",
    }
)


def under_way(reason: str, message: str) -> Condition:
    """Reconciling, or Stalled where nothing goes on by itself."""
    return Condition("Stalled" if reason in FINAL else "Reconciling", "True", reason, message)


@dataclass(frozen=True)
class Transition:
    """A condition that flipped, or changed its reason for the worse: worth an Event."""

    condition: Condition
    before: str | None


def written(
    conditions: Iterable[Condition], generation: int, previous: Sequence[Mapping[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """The conditions as the API has them, in the order given."""
    old = {item["type"]: item for item in previous}
    return [_written(condition, generation, old.get(condition.type), now) for condition in conditions]


def _written(condition: Condition, generation: int, old: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    flipped = old is None or old["status"] != condition.status
    message = condition.message
    return {
        "type": condition.type,
        "status": condition.status,
        "observedGeneration": generation,
        "lastTransitionTime": time(now) if flipped or old is None else old["lastTransitionTime"],
        "reason": condition.reason,
        "message": message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "...",
    }


def transitions(conditions: Iterable[Condition], previous: Sequence[Mapping[str, Any]]) -> list[Transition]:
    """What flipped, or is False for another reason than before."""
    old = {item["type"]: (item["status"], item["reason"]) for item in previous}
    return [
        Transition(item, old[item.type][0] if item.type in old else None)
        for item in conditions
        if old.get(item.type, ("", ""))[0] != item.status
        or (item.status == "False" and old[item.type][1] != item.reason)
    ]


def time(moment: datetime) -> str:
    """A time as the API writes it: UTC, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
