"""What is served of an entity: read as the feature server reads it, by what the registry says now."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from featureplane.entities.entity import Entity
from featureplane.errors import FeatureplaneError
from featureplane.model.feast_project import FeastProject
from featureplane.parity.judging import OnlineRow
from featureplane.parity.served import online_rows
from featureplane.serving.catalogue.followed import Followed
from featureplane.serving.catalogue.served import Catalogue
from featureplane.serving.catalogue.writing import FollowedWriting
from featureplane.settings import Stores


@contextmanager
def catalogue_of(project: FeastProject, stores: Stores, *, writes: bool = False) -> Iterator[Catalogue]:
    """What is registered, and what a command that `writes` asks for beside. Raises FeatureplaneError where rows are not
    in Redis.
    """
    refuse_cassandra(project)
    name, key_ttl = project.spec.project, project.spec.online_store.redis.key_ttl
    # It notes in the registry which keys may expire.
    writing = FollowedWriting(name, int(key_ttl.total_seconds()) if key_ttl else 0) if writes else None
    followed = Followed(stores.postgres, name, writing)
    try:
        followed.refresh(thoroughly=True)
        yield followed.catalogue
    finally:
        followed.close()


def refuse_cassandra(project: FeastProject) -> None:
    """Raises FeatureplaneError for a project whose rows are in Cassandra."""
    if project.spec.online_store.cassandra is not None:
        raise FeatureplaneError(
            f"the rows of {project.spec.project!r} are in Cassandra, and this command knows those in Redis alone"
        )


def online_row(stores: Stores, catalogue: Catalogue, entity: Entity) -> OnlineRow:
    """Raises OnlineStoreUnavailable, and FeatureplaneError where nobody is served from the view."""
    (found,) = asyncio.run(online_rows(stores.redis, catalogue, entity.view, [entity.values]))
    return found
