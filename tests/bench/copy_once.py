"""One materialization in a process of its own, for `bench_materialize`: prints its seconds and peak memory as JSON.

    copy_once.py ENGINE PROJECT.yaml START END VIEW...

ENGINE is `ours`, `feast` (Feast's local engine with its defaults) or `feast_best` (with batches and no comparison).
Loading the libraries and opening the project are not measured: a pod pays for them once.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from featureplane.cli.inputs import read_inputs
from featureplane.model.feast_project import FeastProject
from featureplane.rendering.repo import feature_store
from featureplane.settings import Settings, Stores


def ours(project: FeastProject, start: datetime, end: datetime, views: list[str]) -> float:
    from featureplane.materialization.history import SUCCEEDED
    from featureplane.materialization.run import materializer
    from featureplane.materialization.windows import Task

    settings = Settings.from_env()
    with materializer(project, Stores(settings.postgres, settings.redis), Path.cwd()) as engine:
        begun = time.perf_counter()
        runs = engine.run([Task(view, start, end, "bench") for view in views])
        took = time.perf_counter() - begun
    failed = [run for run in runs if run.result != SUCCEEDED]
    assert not failed, failed[0].message
    return took


def feast(project: FeastProject, start: datetime, end: datetime, views: list[str], *, best: bool = False) -> float:
    from feast import FeatureStore, RepoConfig

    config: dict[str, Any] = {**feature_store(project), "batch_engine": {"type": "local"}}
    if best:
        config["online_store"] = {**config["online_store"], "skip_dedup": True}
        config["materialization"] = {"online_write_batch_size": 10_000}
    store = FeatureStore(config=RepoConfig(**config))
    begun = time.perf_counter()
    store.materialize(start, end, views)
    return time.perf_counter() - begun


ENGINES: dict[str, Callable[..., float]] = {
    "ours": ours,
    "feast": feast,
    "feast_best": lambda *arguments: feast(*arguments, best=True),
}


def main() -> None:
    warnings.simplefilter("ignore")
    engine, declared, start, end, *views = sys.argv[1:]
    (declarations,) = read_inputs([declared])
    took = ENGINES[engine](declarations.project, datetime.fromisoformat(start), datetime.fromisoformat(end), views)
    print(json.dumps({"seconds": took, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process has had; what getrusage says begins with that of whoever started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) / 1000


if __name__ == "__main__":
    main()
