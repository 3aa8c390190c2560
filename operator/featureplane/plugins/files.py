"""Feast's file offline store with point-in-time joins of our own, see `historical`.

    offline_store:
      type: featureplane.plugins.files.FilesOfflineStore

Whatever else Feast asks of it, pulling rows and writing them, is as in Feast's.
"""

from typing import Any, Literal

from feast.infra.offline_stores.dask import DaskOfflineStore, DaskOfflineStoreConfig, DaskRetrievalJob


class FilesOfflineStoreConfig(DaskOfflineStoreConfig):  # type: ignore[misc]  # Feast publishes no types
    """Feast's configuration under our class path."""

    type: Literal["featureplane.plugins.files.FilesOfflineStore"] = "featureplane.plugins.files.FilesOfflineStore"


class FilesOfflineStore(DaskOfflineStore):  # type: ignore[misc]
    """See the module. Without a frame of entities, and by created time, it answers as Feast's."""

    @staticmethod
    def get_historical_features(**arguments: Any) -> Any:
        # Most processes of Feast's make an offline store and never ask it for training data.
        from featureplane.plugins.historical import can_join, historical_job
        from featureplane.plugins.views import postgres_of

        if not can_join(arguments):
            return DaskOfflineStore.get_historical_features(**arguments)
        return historical_job(
            arguments, lambda: postgres_of(arguments["config"].offline_store), _persisted(arguments["config"])
        )


def _persisted(config: Any) -> Any:
    """Feast's way to keep what a job found, which is a method of its job."""

    def persist(job: Any, storage: Any, allow_overwrite: bool | None) -> None:  # noqa: FBT001 - Feast's
        own = DaskRetrievalJob(lambda: None, job.full_feature_names, str(config.repo_path))
        own.to_arrow = job.to_arrow
        own.persist(storage, allow_overwrite)

    return persist
