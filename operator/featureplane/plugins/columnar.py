"""Featureplane's materialization as a Feast batch engine, so that `feast materialize` and the SDK copy rows alike.

    batch_engine:
      type: featureplane.plugins.columnar.ColumnarEngine

Plain feature views on a Redis online store go this way; whatever else a project has, and all historical retrieval, is
left to Feast's local engine.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from feast.infra.common.materialization_job import MaterializationJobStatus
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.online_stores.redis import RedisOnlineStore, RedisType

from feast import FeatureView
from featureplane.materialization.copying import Copied, WriteOptions, copy
from featureplane.materialization.readers.opening import Places, open_reader
from featureplane.materialization.readers.reader import Reader
from featureplane.materialization.rows import View, Window
from featureplane.online.expiry import Expiry
from featureplane.plugins.feast_reader import FeastReader
from featureplane.plugins.redis import EnvironmentRedisOnlineStore
from featureplane.plugins.s3 import lend_s3
from featureplane.plugins.views import postgres_of, view_of
from featureplane.settings import RedisAddress, Settings

# Of entity keys (feast/infra/key_encoding_utils.py).
_SERIALIZATION = 3


class ColumnarEngineConfig(LocalComputeEngineConfig):  # type: ignore[misc]
    """Feast's configuration of its local engine under our class path."""

    type: Literal["featureplane.plugins.columnar.ColumnarEngine"] = "featureplane.plugins.columnar.ColumnarEngine"
    overwrite: bool = False
    """Write rows even where something newer is stored: for backfills."""


class ColumnarEngine(LocalComputeEngine):  # type: ignore[misc]
    """See the module."""

    def __init__(self, *, overwrite: bool = False, type: str = "", **options: Any) -> None:  # noqa: A002, ARG002 - Feast's
        super().__init__(**options)
        lend_s3()
        self._overwrite = overwrite
        # What became of each view: Feast's jobs have no place for counts.
        self.copied: list[Copied] = []

    def _materialize_one(self, registry: Any, task: Any, **options: Any) -> Any:
        online = self._address()
        view = task.feature_view
        config = self.repo_config
        as_ours = config.entity_key_serialization_version == _SERIALIZATION and not (
            config.registry.enable_online_feature_view_versioning
        )
        if online is None or not as_ours or type(view) is not FeatureView or view.batch_source is None:
            return super()._materialize_one(registry, task, **options)
        job_id = f"{view.name}-{task.start_time}-{task.end_time}"
        try:
            self.copied.append(self._copy(view, Window(_utc(task.start_time), _utc(task.end_time)), online))
        except Exception as error:  # noqa: BLE001 - Feast raises a job's error where it wants it
            return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.ERROR, error=error)
        return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.SUCCEEDED)

    def _address(self) -> RedisAddress | None:
        """The Redis that rows go to; None where the online store is another, or is reached in a way of its own."""
        if isinstance(self.online_store, EnvironmentRedisOnlineStore):
            return Settings.from_env().redis
        config = self.repo_config.online_store
        if type(self.online_store) is not RedisOnlineStore or config.redis_type == RedisType.redis_sentinel:
            return None
        nodes, options = RedisOnlineStore._parse_connection_string(config.connection_string)  # noqa: SLF001
        if set(options) - {"ssl", "password", "username", "db"}:
            return None
        return RedisAddress(
            host=nodes[0]["host"],
            port=int(nodes[0].get("port", 6379)),
            username=str(options.get("username", "")),
            password=str(options.get("password", "")),
            db=int(options.get("db", 0)),
            tls=bool(options.get("ssl", False)),
            mode="Cluster" if config.redis_type == RedisType.redis_cluster else "Standalone",
        )

    def _copy(self, feature_view: Any, window: Window, online: RedisAddress) -> Copied:
        key_ttl = self.repo_config.online_store.key_ttl_seconds or 0
        # Of other views of the entity nothing is known here, so nothing expires but as Feast's own option says.
        expiry = Expiry(key_ttl_seconds=key_ttl) if key_ttl else None
        # Nothing keeps another run, or a push, from the view meanwhile.
        options = WriteOptions(not self._overwrite, self._overwrite, expiry)
        view = view_of(self.repo_config.project, feature_view)
        return copy(view, lambda: self._open(feature_view, view, window), online, options)

    def _open(self, feature_view: Any, view: View, window: Window) -> AbstractContextManager[Reader]:
        if view.source["type"] == "feast":
            return self._by_feast(feature_view, view, window)
        return self._directly(view, window)

    @contextmanager
    def _directly(self, view: View, window: Window) -> Iterator[Reader]:
        with (
            TemporaryDirectory(prefix="featureplane-run-") as scratch,
            open_reader(view, window, self._places(Path(scratch))) as reader,
        ):
            yield reader

    def _places(self, scratch: Path) -> Places:
        config = self.repo_config
        return Places(Path(config.repo_path or "."), postgres_of(config.offline_store), scratch)

    @contextmanager
    def _by_feast(self, feature_view: Any, view: View, window: Window) -> Iterator[Reader]:
        columns = view.columns

        def pull(start: datetime, end: datetime) -> Any:
            return self.offline_store.pull_latest_from_table_or_query(
                config=self.repo_config,
                data_source=feature_view.batch_source,
                join_key_columns=[columns[name] for name, _ in view.keys],
                feature_name_columns=[columns[name] for name, _ in view.features],
                timestamp_field=view.source["timestamp_field"],
                created_timestamp_column=view.source["created_timestamp_column"] or None,
                start_date=start,
                end_date=end,
            )

        yield FeastReader(view, window, pull)


def _utc(time: datetime) -> datetime:
    """Feast takes a time without a zone for UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
