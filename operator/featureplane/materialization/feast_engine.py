"""A child process that copies rows with Feast's own engine; `run` asks it view by view.

It goes past `FeatureStore.materialize`, which writes states and intervals into the registry from wherever it runs, and
can write back a definition it loaded before somebody changed it: the registry has one writer, and this is not it.
"""

from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Self

from featureplane.errors import FeatureplaneError
from featureplane.materialization.copying import Copied
from featureplane.registry import channel
from featureplane.registry.channel import Message
from featureplane.rendering.repo import OUR_ENGINES


class _Bar:
    """What Feast takes for a tqdm bar; the counts come from the online store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, _: int) -> None:
        pass


class Engine:
    """Feast's store and provider, made once."""

    def __init__(self, request: Message) -> None:
        from pathlib import Path

        _refuse_without_spark(request["feature_store"])
        from feast import FeatureStore, RepoConfig

        config = RepoConfig(**request["feature_store"])
        config.repo_path = Path(request["repo_path"])
        self.store: Any = FeatureStore(config=config)
        self.provider: Any = self.store._get_provider()  # noqa: SLF001 - Feast has no public way to one view's run

    def copy(self, request: Message) -> Message:
        """Copy one view's window; the answer has the fields of `Copied`."""
        from feast.infra.compute_engines.local.compute import LocalComputeEngine

        store = self.store
        view = store.registry.get_feature_view(request["view"], store.project, allow_cache=False)
        written = self.provider.online_store.written
        written.clear()
        copied = getattr(self.provider.batch_engine, "copied", [])  # those of an engine of ours
        copied.clear()
        self.provider.materialize_single_feature_view(
            config=store.config,
            feature_view=view,
            start_date=datetime.fromisoformat(request["start"]),
            end_date=datetime.fromisoformat(request["end"]),
            registry=store.registry,
            project=store.project,
            tqdm_builder=lambda _: _Bar(),
        )
        if copied:
            return _answer(copied[-1])
        if not isinstance(self.provider.batch_engine, LocalComputeEngine):  # it writes in other processes
            return _answer(Copied(None, None))
        return _answer(Copied(written.rows, written.newest))


def _refuse_without_spark(feature_store: Message) -> None:
    if feature_store["batch_engine"]["type"] == OUR_ENGINES["spark.engine"] and find_spec("pyspark") is None:
        raise FeatureplaneError(
            "the project's batchEngine is spark.engine, and there is no pyspark here; pip install featureplane[spark]"
        )


def _answer(copied: Copied) -> Message:
    return {**asdict(copied), "newest": copied.newest.isoformat() if copied.newest else None}


def main() -> None:
    engines: list[Engine] = []

    def answer(request: Message, _: object) -> Message:
        if request["op"] == "open":
            engines[:] = [Engine(request)]
            return {}
        return engines[0].copy(request)

    channel.serve(answer)


if __name__ == "__main__":
    main()
