"""What is known of the cluster: custom resources and children, as the watches told, and which project each touches.

Handlers put objects in, reconciles read them. An object counts as changed only where a user, or a fault, changed it:
our own writes come back as events, too. Nothing in here asks the API server.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from featureplane import names
from featureplane.errors import Problem
from featureplane.model.base import Kind
from featureplane.model.feast_project import FeastProject
from featureplane.model.feature_service import FeatureService
from featureplane.model.feature_view import FeatureView
from featureplane.model.parsing import KINDS, parse

# Namespace and name of a FeastProject, whether it is there or not.
ProjectKey = tuple[str, str]
# Kind, namespace and name.
ObjectKey = tuple[str, str, str]

DELETED = "DELETED"
# Why a project is looked at when a user wants it to be: then nothing that is remembered counts.
ASKED = "asked for"


_compact = json.JSONEncoder(separators=(",", ":"))


@dataclass(slots=True)
class Item:
    """One custom resource: what users declared, and the status that is written on it.

    `model` is None where the object cannot be; then `problems` say why, and `feast_name` is what it calls itself.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    created: str
    generation: int
    resource_version: str
    deleting: str
    held: bool
    reconcile_at: str
    project: ProjectKey
    feast_name: str
    model: Kind | None
    problems: tuple[Problem, ...]
    # Who last wrote the spec, as a field manager.
    manager: str = ""
    # JSON, for thousands of parsed statuses would be most of the operator's memory.
    _status: bytes = b"{}"

    @property
    def key(self) -> ObjectKey:
        return self.kind, self.namespace, self.name

    @property
    def owner(self) -> str:
        """As definitions name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def age(self) -> tuple[str, str, str]:
        """Orders objects by age; those of one second by name."""
        return self.created, self.namespace, self.name

    @property
    def status(self) -> dict[str, Any]:
        return dict(json.loads(self._status))

    @status.setter
    def status(self, status: Mapping[str, Any]) -> None:
        self._status = _compact.encode(status).encode()

    @property
    def has_runs(self) -> bool:
        """Whether the status shows a run."""
        return b'"runs":' in self._status


@dataclass(slots=True)
class Child:
    """One object that we made for a project."""

    kind: str
    namespace: str
    name: str
    project: ProjectKey
    created: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    status: Mapping[str, Any]
    fingerprint: str
    resource_version: str
    # The uid of the object that owns it.
    owner: str

    @property
    def key(self) -> ObjectKey:
        return self.kind, self.namespace, self.name

    @property
    def is_finished(self) -> bool:
        """Of a Job: whether it ended, well or not."""
        return any(
            item["type"] in {"Complete", "Failed"} and item["status"] == "True"
            for item in self.status.get("conditions") or ()
        )


@dataclass
class Inventory:
    """Everything that the watches told. `on_change` hears which project is to be looked at, and why."""

    on_change: Callable[[ProjectKey, str], None] = lambda _key, _why: None
    items: dict[ObjectKey, Item] = field(default_factory=dict)
    children: dict[ObjectKey, Child] = field(default_factory=dict)
    _members: dict[ProjectKey, dict[ObjectKey, Item]] = field(default_factory=lambda: defaultdict(dict))

    def members(self, project: ProjectKey, kind: str) -> list[Item]:
        """The project's views or services, the oldest first."""
        found = (item for item in self._members.get(project, {}).values() if item.kind == kind)
        return sorted(found, key=lambda item: item.age)

    def project(self, key: ProjectKey) -> Item | None:
        return self.items.get((names.FEAST_PROJECT, *key))

    def projects(self) -> list[Item]:
        """Every FeastProject, the oldest first."""
        found = (item for item in self.items.values() if item.kind == names.FEAST_PROJECT)
        return sorted(found, key=lambda item: item.age)

    def project_keys(self) -> set[ProjectKey]:
        """Every project that is there or that something refers to."""
        return {key for key, members in self._members.items() if members} | {item.project for item in self.projects()}

    def children_of(self, project: ProjectKey) -> Iterator[Child]:
        return (child for child in self.children.values() if child.project == project)

    def observe(self, event: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event about a custom resource."""
        key = (str(body["kind"]), str(body["metadata"]["namespace"]), str(body["metadata"]["name"]))
        before = self.items.get(key)
        if event == DELETED:
            if before is not None and before.uid == body["metadata"]["uid"]:
                self.forget(key)
            return
        item = self._known(before, body) or _item(key, body)
        if before is not None and before.project != item.project:
            self._members[before.project].pop(key, None)
            self.on_change(before.project, f"{item.kind} moved")
        self.items[key] = item
        if item.kind != names.FEAST_PROJECT:
            self._members[item.project][key] = item
        if before is not None and before.reconcile_at != item.reconcile_at:
            self.on_change(item.project, ASKED)
        if before is None or _declared(before) != _declared(item):
            self.on_change(item.project, f"{item.kind} changed")

    def forget(self, key: ObjectKey) -> None:
        """Drop an object that is gone."""
        item = self.items.pop(key, None)
        if item is not None:
            self._members[item.project].pop(key, None)
            self.on_change(item.project, f"{item.kind} gone")

    def observe_child(self, event: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event about a child."""
        metadata = body["metadata"]
        key = (str(body["kind"]), str(metadata["namespace"]), str(metadata["name"]))
        before = self.children.get(key)
        if event == DELETED:
            if before is not None:
                del self.children[key]
                self.on_change(before.project, f"{key[0]} deleted")
            return
        child = self.note_child(body)
        if before is not None and before.project != child.project:  # somebody has edited the label
            self.on_change(before.project, f"{key[0]} changed")
        if before is None or before.fingerprint != child.fingerprint or _matters(before) != _matters(child):
            self.on_change(child.project, f"{key[0]} changed")

    def note_child(self, body: Mapping[str, Any]) -> Child:
        """Remember a child as it is, such as the answer to our own apply: nobody needs to look at that."""
        metadata = body["metadata"]
        labels = metadata.get("labels") or {}
        child = Child(
            str(body["kind"]),
            str(metadata["namespace"]),
            str(metadata["name"]),
            (str(metadata["namespace"]), str(labels.get(names.LABEL_PROJECT))),
            str(metadata.get("creationTimestamp", "")),
            labels,
            metadata.get("annotations") or {},
            body.get("status") or {},
            fingerprint(body),
            str(metadata["resourceVersion"]),
            str(next((owner["uid"] for owner in metadata.get("ownerReferences") or ()), "")),
        )
        self.children[child.key] = child
        return child

    def _known(self, before: Item | None, body: Mapping[str, Any]) -> Item | None:
        """The item as it was, with what changes without a new generation: parsing again would find the same."""
        metadata = body["metadata"]
        if before is None or (before.uid, before.generation) != (metadata["uid"], metadata.get("generation", 0)):
            return None
        item = Item(
            before.kind, before.namespace, before.name, before.uid, before.created, before.generation,
            str(metadata["resourceVersion"]), *_marks(metadata), before.project, before.feast_name, before.model,
            before.problems, before.manager,
        )  # fmt: skip
        item.status = body.get("status") or {}
        return item


def _marks(metadata: Mapping[str, Any]) -> tuple[str, bool, str]:
    """Deletion, our finalizer, and the user's wish for a look now."""
    return (
        str(metadata.get("deletionTimestamp") or ""),
        names.FINALIZER in (metadata.get("finalizers") or ()),
        str((metadata.get("annotations") or {}).get(names.ANNOTATION_RECONCILE_AT, "")),
    )


def _item(key: ObjectKey, body: Mapping[str, Any]) -> Item:
    kind, namespace, name = key
    metadata, spec = body["metadata"], body.get("spec")
    # Only what the user wrote is judged; the API server's own part of the metadata is as it must be.
    declared = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    model, problems = parse(KINDS[kind], declared)
    item = Item(
        kind, namespace, name, str(metadata["uid"]), str(metadata.get("creationTimestamp", "")),
        int(metadata.get("generation", 0)), str(metadata["resourceVersion"]), *_marks(metadata),
        _project(kind, namespace, name, model, spec), _feast_name(name, model, spec), model, tuple(problems),
        _manager(metadata),
    )  # fmt: skip
    item.status = body.get("status") or {}
    return item


def _manager(metadata: Mapping[str, Any]) -> str:
    """The newest field manager of the spec. Ours writes finalizers and the status."""
    entries = [
        entry
        for entry in metadata.get("managedFields") or ()
        if entry.get("manager") != names.FIELD_MANAGER and "f:spec" in (entry.get("fieldsV1") or {})
    ]
    newest = max(entries, key=lambda entry: str(entry.get("time")), default=None)
    return str(newest.get("manager", "")) if newest else ""


def _project(kind: str, namespace: str, name: str, model: Kind | None, spec: Any) -> ProjectKey:
    """The project that an object belongs to; also one that is wrong says so, as a rule."""
    if kind == names.FEAST_PROJECT:
        return namespace, name
    if isinstance(model, FeatureView | FeatureService):
        return model.project_key
    reference = spec.get("projectRef") if isinstance(spec, dict) else None
    reference = reference if isinstance(reference, dict) else {}
    return str(reference.get("namespace") or namespace), str(reference.get("name") or names.DEFAULT_PROJECT)


def _feast_name(name: str, model: Kind | None, spec: Any) -> str:
    if isinstance(model, FeatureView | FeatureService):
        return model.feast_name
    if isinstance(model, FeastProject):
        return model.spec.project
    declared = spec.get("name") if isinstance(spec, dict) else None
    return str(declared or name.replace("-", "_").replace(".", "_"))


def _declared(item: Item) -> tuple[object, ...]:
    """What makes a look worth while; the status and other people's labels do not."""
    return item.uid, item.generation, item.deleting, item.held, item.reconcile_at


# Written by Kubernetes' own controllers.
_NOT_OURS = ("deployment.kubernetes.io/", "batch.kubernetes.io/", "autoscaling.alpha.kubernetes.io/")


def fingerprint(body: Mapping[str, Any]) -> str:
    """A digest of an object without its status and bookkeeping: it changes when somebody edits the object."""
    metadata = body["metadata"]
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if not key.startswith(_NOT_OURS)
    }
    kept = {
        **{key: value for key, value in body.items() if key not in {"status", "metadata", "apiVersion", "kind"}},
        "labels": metadata.get("labels"),
        "annotations": annotations,
        "owners": metadata.get("ownerReferences"),
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _matters(child: Child) -> tuple[object, ...]:
    """The part of a child's status that a FeastProject's status is made of."""
    status = child.status
    counts = (status.get(name) for name in ("replicas", "readyReplicas", "updatedReplicas", "observedGeneration"))
    return child.is_finished, *counts, is_stuck(status)


def is_stuck(deployment: Mapping[str, Any]) -> bool:
    """Whether a roll-out got nowhere for longer than it may take, by the Deployment's status."""
    conditions = deployment.get("conditions") or ()
    return any(each["type"] == "Progressing" and each["status"] == "False" for each in conditions)
