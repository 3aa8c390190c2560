"""What an example's files say of some entities, read by pyarrow alone, beside what is served."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from featureplane.cli.workspace import Workspace
from featureplane.errors import FeatureplaneError
from featureplane.model.declarations import ProjectDeclarations
from featureplane.model.feature_view import FeatureView

Entities = Mapping[str, Sequence[str | int]]
# A view's name in Feast, and one of its features.
Reference = tuple[str, str]


def features_of(declarations: ProjectDeclarations, service: str) -> list[Reference]:
    """What a service holds, in its order."""
    views = {view.feast_name: view for view in declarations.views}
    (found,) = (item for item in declarations.services if item.feast_name == service)
    return [
        (item.name, name)
        for item in found.spec.views
        for name in item.features or [feature.name for feature in views[item.name].spec.features]
    ]


def compare_with_source(
    workspace: Workspace,
    references: Sequence[Reference],
    entities: Entities,
    rows: Sequence[Mapping[str, Mapping[str, Any]]],
) -> int:
    """How many values were compared. Raises FeatureplaneError for the first that is another one than in the source."""
    compared = 0
    for view in workspace.declarations.views:
        names = [name for of, name in references if of == view.feast_name]
        if not names:
            continue
        newest = newest_rows(workspace, view, entities)
        (key,) = (entity.key for entity in view.spec.entities)
        for row in rows:
            entity = row[key]["value"]
            for name in names:
                served, source = row[name]["value"], as_json(newest[entity][name])
                if served != source:
                    raise FeatureplaneError(
                        f"{view.feast_name}:{name} of {entity} is served as {served!r}, and the source has {source!r}"
                    )
                compared += 1
    return compared


def newest_rows(workspace: Workspace, view: FeatureView, entities: Entities) -> dict[Any, dict[str, Any]]:
    """The newest row of each of the entities; of equal event times the one that was written last."""
    source = view.spec.source
    assert source.file
    assert workspace.local_root
    (key,) = (entity.key for entity in view.spec.entities)
    asked = pc.field(key).isin(list(entities[key]))
    table = pq.read_table(workspace.local_root / source.file.path, filters=asked)
    order = [(name, "ascending") for name in (source.timestamp_field, source.created_timestamp_column) if name]
    return {row[key]: row for row in table.sort_by(order).to_pylist()}


def as_json(value: Any) -> Any:
    """As the server's answers have it."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return int(value.timestamp()) if isinstance(value, datetime) else value
