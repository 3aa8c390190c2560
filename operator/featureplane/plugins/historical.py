"""Point-in-time joins of Feast's SDK by our own: what both offline stores of ours do instead of Feast's.

Feast 0.67 forgets rows. Its file store drops an entity whose only rows are too old or too new, entities that are in
the frame twice, and all but one of the entities that share the join keys of one view and differ in another's; of a
Delta table it reads the files that were removed, too. Its PostgreSQL store repeats an entity for each of its rows with
equal times, and takes one entity for another where the texts of their join keys are the same one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.utils import _get_requested_feature_views_to_features_dict, _get_requested_on_demand_feature_views

from feast import FeatureView
from featureplane.materialization.encoding.conforming import WrongType, conform
from featureplane.materialization.readers.among import few_keys
from featureplane.materialization.readers.opening import Places
from featureplane.materialization.readers.times import UTC_MICROSECONDS
from featureplane.model.types import parse_type
from featureplane.plugins.views import view_of
from featureplane.settings import PostgresAddress
from featureplane.training.joining import Moments
from featureplane.training.opening import Wanted, key_types, open_histories

_EVENT_TIMESTAMP = "event_timestamp"


class HistoricalJob(RetrievalJob):  # type: ignore[misc]  # Feast publishes no types
    """Features for the rows of a frame, in their order, each row once."""

    def __init__(
        self,
        retrieve: Callable[[], pa.Table],
        persisted: Callable[..., None],
        full_feature_names: bool,  # noqa: FBT001 - Feast's
        on_demand: Sequence[OnDemandFeatureView],
        metadata: RetrievalMetadata,
    ) -> None:
        self._retrieve = retrieve
        self._persisted = persisted
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's
        return self._retrieve()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def persist(self, storage: Any, allow_overwrite: bool | None = False, timeout: int | None = None) -> None:  # noqa: ARG002, FBT001, FBT002
        self._persisted(self, storage, allow_overwrite)


def can_join(arguments: Mapping[str, Any]) -> bool:
    """Whether these arguments of `get_historical_features` ask for what our own join does."""
    if not isinstance(arguments["entity_df"], pd.DataFrame) or arguments.get("filter_by_created_timestamp"):
        return False
    views = arguments["feature_views"]
    return all(type(each) is FeatureView and view_of("", each).source["type"] != "feast" for each in views)


def historical_job(
    arguments: Mapping[str, Any], offline: Callable[[], PostgresAddress], persisted: Callable[..., None]
) -> HistoricalJob:
    """The job for these arguments of `get_historical_features`. Raises ValueError for a frame that cannot be joined."""
    config, frame, project = arguments["config"], arguments["entity_df"], arguments["project"]
    references, full_names = arguments["feature_refs"], arguments.get("full_feature_names", False)
    on_demand = _get_requested_on_demand_feature_views(references, project, arguments["registry"])
    features, _ = _get_requested_feature_views_to_features_dict(references, arguments["feature_views"], on_demand)
    time = _time_column(frame)
    wanted = [_wanted(project, view, names) for view, names in features.items()]
    columns = {
        f"{each.name}:{name}": f"{each.name}__{name}" if full_names else name
        for each in wanted
        for name in each.features
    }
    entities = frame.assign(**{time: pd.to_datetime(frame[time], utc=True)}).reset_index(drop=True)
    moments = _moments(entities, time, wanted)

    def retrieve() -> pa.Table:
        found = pa.Table.from_pandas(entities, preserve_index=False)
        root = Path(config.repo_path or ".")
        if len(entities) == 0:
            arrays = {reference: pa.nulls(0) for reference in columns}
        else:
            with (
                TemporaryDirectory(prefix="featureplane-training-") as scratch,
                open_histories(
                    wanted, moments.span, Places(root, offline(), Path(scratch)), keys=few_keys([moments.keys])
                ) as histories,
            ):
                arrays = histories.features_at(moments)
        for reference, name in columns.items():
            found = found.append_column(name, arrays[reference])
        return found

    metadata = RetrievalMetadata(
        features=references,
        keys=[name for name in frame.columns if name != time],
        min_event_timestamp=entities[time].min(),
        max_event_timestamp=entities[time].max(),
    )
    made = OnDemandFeatureView.get_requested_odfvs(references, project, arguments["registry"])
    return HistoricalJob(retrieve, persisted, full_names, made, metadata)


def _time_column(frame: pd.DataFrame) -> str:
    """As Feast finds it: the one of its name, else the only one of times."""
    if _EVENT_TIMESTAMP in frame.columns:
        return _EVENT_TIMESTAMP
    times = list(frame.select_dtypes(include=["datetime", "datetimetz"]).columns)
    if len(times) != 1:
        raise ValueError(f"the entity frame has no column {_EVENT_TIMESTAMP!r} that says when")
    return str(times[0])


def _wanted(project: str, view: Any, features: Sequence[str]) -> Wanted:
    projection = view.projection
    return Wanted(view_of(project, view), tuple(features), dict(projection.join_key_map), projection.name_to_use())


def _moments(entities: pd.DataFrame, time: str, wanted: Sequence[Wanted]) -> Moments:
    times = pa.array(entities[time]).cast(UTC_MICROSECONDS, safe=False)
    if times.null_count:
        raise ValueError(f"the entity frame's column {time!r} has no time in {times.null_count} of its rows")
    keys: dict[str, pa.Array] = {}
    for name, kind in key_types(wanted).items():
        if name not in entities.columns:
            view = next(each.view.name for each in wanted if name in each.key_names())
            raise ValueError(f"the entity frame has no column {name!r}, a join key of {view}")
        try:
            keys[name] = conform(pa.array(entities[name], from_pandas=True), parse_type(kind)).column
        except (WrongType, pa.ArrowException) as error:
            raise ValueError(f"the entity frame's column {name!r} is no {kind}: {error}") from error
    return Moments(times, keys)
