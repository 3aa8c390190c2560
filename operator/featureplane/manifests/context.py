"""What manifests are made of: the project, and the facts that the controller gathered for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from featureplane.model.feast_project import FeastProject

# A Kubernetes object as its YAML has it.
Manifest = dict[str, Any]


@dataclass(frozen=True)
class SecretFacts:
    """What is known of a Secret; never a value."""

    resource_version: str
    keys: frozenset[str]


@dataclass(frozen=True)
class Context:
    """One project, and what its children depend on beside it."""

    project: FeastProject
    # Of the FeastProject: its children go when it goes.
    uid: str
    image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    # The Secrets that the project names, by name; None for one that is not there.
    secrets: Mapping[str, SecretFacts | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The project's, which its children's names begin with."""
        return self.project.metadata.name

    @property
    def namespace(self) -> str:
        return self.project.metadata.namespace
