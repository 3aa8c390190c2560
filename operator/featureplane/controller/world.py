"""What every reconcile works with: the settings, the cluster, what is known, and a Register for each project."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from featureplane.controller import metrics
from featureplane.controller.cluster import Cluster
from featureplane.controller.events import Events
from featureplane.controller.inventory import Inventory, ObjectKey, ProjectKey
from featureplane.controller.online_store import Trouble
from featureplane.controller.register import Register
from featureplane.model.feast_project import FeastProject
from featureplane.settings import OperatorSettings, PostgresAddress, Stores

# Host, port, database and the project's name in Feast.
Claim = tuple[str, str, str, str]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    """Shared by all reconciles of a process; one project's parts are used by one reconcile at a time."""

    settings: OperatorSettings
    cluster: Cluster
    inventory: Inventory
    events: Events
    now: Callable[[], datetime] = utc_now
    registers: dict[ProjectKey, Register] = field(default_factory=dict)
    # What was applied last: a digest of the manifest, and the fingerprint of what the API server made of it.
    applied: dict[ObjectKey, tuple[str, str]] = field(default_factory=dict)
    # The versions of each project's Secrets as the last reconcile read them.
    secret_versions: dict[ProjectKey, Mapping[str, str | None]] = field(default_factory=dict)
    # Each project's place in its registry, by which two projects that share one are told apart.
    claims: dict[ProjectKey, Claim] = field(default_factory=dict)
    # What is wrong with each project's Redis as the last reconcile found it.
    online: dict[ProjectKey, Trouble | None] = field(default_factory=dict)
    # Since when each project's registry could not be made what is declared.
    troubled: dict[ProjectKey, datetime] = field(default_factory=dict)

    def note_trouble(self, key: ProjectKey, *, is_there: bool) -> datetime:
        """Since when there is trouble with a project's registry; the present where there is none."""
        if not is_there:
            self.troubled.pop(key, None)
            return self.now()
        return self.troubled.setdefault(key, self.now())

    async def register(self, project: FeastProject, stores: Stores) -> Register:
        """The project's Register; a new one where its addresses, or what Feast is told of them, changed."""
        key = project.key
        known = self.registers.get(key)
        # The writer never speaks to Redis.
        if known is not None and known.stores.postgres == stores.postgres and known.fits(project):
            return known
        if known is not None:
            await known.close()
        made = self.registers[key] = Register(project, stores)
        return made

    def tidy(self) -> None:
        """Forget what was applied and is gone: Jobs come and go for as long as a project lives."""
        self.applied = {key: value for key, value in self.applied.items() if key in self.inventory.children}

    async def drop(self, key: ProjectKey) -> None:
        """Forget a project that is gone."""
        register = self.registers.pop(key, None)
        if register is not None:
            await register.close()
        self.secret_versions.pop(key, None)
        self.troubled.pop(key, None)
        self.online.pop(key, None)
        metrics.forget(metrics.metrics_label(key))
        mine = self.claims.pop(key, None)
        for other, claimed in self.claims.items():
            if claimed == mine:  # it may have waited for this place
                self.inventory.on_change(other, "a project went")


def claim(project: FeastProject, postgres: PostgresAddress) -> Claim:
    """Where the project's definitions lie: host, port, database and the project's name in Feast."""
    keywords: Mapping[str, Any] = postgres.keywords
    return (
        str(keywords.get("host", "")),
        str(keywords.get("port", "5432")),
        postgres.dbname,
        project.spec.project,
    )
