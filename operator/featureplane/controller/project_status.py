"""The statuses of a FeastProject and of a FeatureService. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from featureplane import names
from featureplane.controller.conditions import LONGEST_MESSAGE, Condition, time, under_way, written
from featureplane.controller.inventory import Item, is_stuck
from featureplane.errors import Problem
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView


@dataclass(frozen=True)
class ProjectFacts:
    """What is known of a project beside its object. `trouble` is a reason and what to do, where something is wrong."""

    problems: Sequence[Problem] = ()
    views: Mapping[str, tuple[Mapping[str, Any], bool]] = field(default_factory=dict)
    services: int = 0
    registry_trouble: tuple[str, str] | None = None
    children_trouble: tuple[str, str] | None = None
    online_trouble: tuple[str, str] | None = None
    last_write: float | None = None
    server: Mapping[str, Any] | None = None
    held: tuple[str, str] | None = None


def project_status(item: Item, facts: ProjectFacts, now: datetime) -> tuple[dict[str, Any], list[Condition]]:
    """The whole status, and its conditions once more for Events."""
    previous = item.status
    server = _server(item, facts)
    conditions = _project_conditions(item, facts, server)
    status = {
        "observedGeneration": item.generation,
        "conditions": written(conditions, item.generation, previous.get("conditions") or [], now),
        "views": _counts(facts.views),
        "services": facts.services,
        "endpoint": _endpoint(item),
        # Of a project that is wrong neither store is asked.
        "registry": previous.get("registry")
        if facts.problems
        else _registry(item, facts, previous.get("registry") or {}),
        "onlineStore": previous.get("onlineStore") if facts.problems else _online_store(facts),
        "server": server,
    }
    return {key: value for key, value in status.items() if value not in (None, {})}, conditions


def _project_conditions(item: Item, facts: ProjectFacts, server: Mapping[str, Any]) -> list[Condition]:
    if facts.problems:
        words = "; ".join(map(str, facts.problems[:3]))
        return [
            Condition("Ready", "False", facts.problems[0].reason, words),
            Condition("Valid", "False", facts.problems[0].reason, words),
            Condition("Reconciling", "True", *facts.held)
            if facts.held
            else Condition("Stalled", "True", facts.problems[0].reason, words),
        ]
    valid = Condition("Valid", "True", "Valid")
    trouble = facts.registry_trouble or facts.children_trouble or facts.online_trouble
    if not trouble and server.get("state") != "Ready":
        trouble = (str(server.get("state")), str(server.get("message")))
    ready = Condition("Ready", "False", *trouble) if trouble else Condition("Ready", "True", "Ready")
    if facts.held or item.deleting:
        reason, message = facts.held or ("Deleting", "it is being taken down")
        return [ready, valid, Condition("Reconciling", "True", reason, message)]
    return [ready, valid, *([under_way(*trouble)] if trouble else [])]


def _endpoint(item: Item) -> str | None:
    if not isinstance(item.model, FeastProject):
        return None
    return f"http://{names.server(item.name)}.{item.namespace}.svc:{item.model.spec.server.http.port}"


def _registry(item: Item, facts: ProjectFacts, previous: Mapping[str, Any]) -> dict[str, Any]:
    state, message = facts.registry_trouble or ("Ready", "")
    written_at = time(datetime.fromtimestamp(facts.last_write, UTC)) if facts.last_write else None
    status = {
        "state": state,
        "message": message[:LONGEST_MESSAGE],
        "project": item.feast_name if item.model else None,
        "lastWriteTime": written_at or previous.get("lastWriteTime"),
    }
    return {key: value for key, value in status.items() if value}


def _online_store(facts: ProjectFacts) -> dict[str, Any]:
    state, message = facts.online_trouble or ("Ready", "")
    return {"state": state, "message": message[:LONGEST_MESSAGE]} if message else {"state": state}


def _server(item: Item, facts: ProjectFacts) -> dict[str, Any]:
    """How the server's Deployment is, in its own words."""
    if not isinstance(item.model, FeastProject):
        return {}
    if facts.server is None:
        return {"state": "Missing", "message": "the Deployment is not there yet"}
    scaling = item.model.spec.server.autoscaling
    wanted = int(facts.server.get("replicas") or 0) if scaling else item.model.spec.server.replicas
    ready = int(facts.server.get("readyReplicas") or 0)
    status = {"state": "Ready", "message": "", "replicas": wanted, "readyReplicas": ready}
    if is_stuck(facts.server):
        pods = f"kubectl -n {item.namespace} describe pods -l app=feast-server"
        status |= {"state": "RolloutStuck", "message": f"its new pods do not become ready; {pods} says why"}
    if ready == 0 and wanted > 0:
        pods = f"kubectl -n {item.namespace} get pods -l app=feast-server"
        status |= {"state": "NotReady", "message": f"no pod of the server answers yet; look at {pods}"}
    return status


def _counts(views: Mapping[str, tuple[Mapping[str, Any], bool]]) -> dict[str, int]:
    """How many views there are of each sort; a view is of the first sort that fits. `views` pairs status, suspended."""
    counts = dict.fromkeys(("total", "ready", "notReady", "stale", "pending", "failed", "invalid", "suspended"), 0)
    for status, suspended in views.values():
        sort = _sort({item["type"]: item for item in status.get("conditions") or ()})
        counts["total"] += 1
        counts[sort] += 1
        counts["suspended"] += suspended
    counts["notReady"] = counts["total"] - counts["ready"]
    return counts


def _sort(conditions: Mapping[str, Mapping[str, Any]]) -> str:
    def is_(kind: str, status: str) -> bool:
        return bool(conditions.get(kind, {}).get("status") == status)

    if is_("Valid", "False"):
        return "invalid"
    if is_("Ready", "True"):
        return "ready"
    if is_("Fresh", "False"):
        return "stale"
    reason = conditions.get("Ready", {}).get("reason")
    return "pending" if reason in _PENDING or not conditions else "failed"


_PENDING = frozenset({"WaitingForFirstRun", "Pending", "RegistryUnavailable"})


@dataclass(frozen=True)
class ServiceFacts:
    """What is known of a service beside its object. `unregistered` says why it is not registered as declared, if so;
    `features` are those of each view of the project; `deprecated` says that it is, or something that it uses.
    """

    problems: Sequence[Problem] = ()
    unregistered: tuple[str, str] | None = None
    digest: str = ""
    features: Mapping[str, Sequence[str]] = field(default_factory=dict)
    deprecated: Condition | None = None


def service_status(item: Item, facts: ServiceFacts, now: datetime) -> tuple[dict[str, Any], list[Condition]]:
    """The whole status of a FeatureService, and its conditions once more for Events."""
    previous, problems = item.status, facts.problems
    if problems:
        words = "; ".join(map(str, problems[:3]))
        valid = Condition("Valid", "False", problems[0].reason, words)
        registered = Condition("Registered", "Unknown", problems[0].reason, "what was last registered stays")
    else:
        valid = Condition("Valid", "True", "Valid")
        registered = (
            Condition("Registered", "False", *facts.unregistered)
            if facts.unregistered
            else Condition("Registered", "True", "Registered")
        )
    wrong = next((each for each in (valid, registered) if each.status == "False"), None)
    ready = Condition("Ready", "False", wrong.reason, wrong.message) if wrong else Condition("Ready", "True", "Ready")
    conditions = [ready, valid, registered, *((facts.deprecated,) if facts.deprecated else ())]
    if wrong is valid:
        conditions.append(Condition("Stalled", "True", valid.reason, valid.message))
    elif wrong or item.deleting:
        conditions.append(under_way(registered.reason, registered.message))
    status: dict[str, Any] = {
        "observedGeneration": item.generation,
        "conditions": written(conditions, item.generation, previous.get("conditions") or [], now),
        "digest": facts.digest or previous.get("digest"),
    }
    if isinstance(item.model, FeatureService):
        wanted = item.model.spec.views
        status["views"] = len(wanted)
        status["features"] = sum(len(view.features or facts.features.get(view.name, ())) for view in wanted)
    return {key: value for key, value in status.items() if value is not None}, conditions


def is_suspended(item: Item) -> bool:
    """Whether a view's scheduled runs are stopped."""
    return isinstance(item.model, FeatureView) and item.model.spec.suspend
