"""What every benchmark shares: results as `build/bench/NAME.json` and as a table.

A result is `{name, value, unit, target}`; `target` says in words what was aimed at, `at most 2` or `at least 8`, or is
empty for a figure that is only shown.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "bench"


@dataclass(frozen=True)
class Result:
    """One figure of a benchmark."""

    name: str
    value: float
    unit: str
    target: str = ""


FEATURES = 8


def a_view(number: int, run: int = 0) -> dict[str, Any]:
    """The FeatureView with this number; with another `run` it has another description."""
    return {
        "apiVersion": "featureplane.dev/v1alpha1",
        "kind": "FeatureView",
        "metadata": {"name": f"view-{number:05}"},
        "spec": {
            "description": f"run {run}",
            "entities": [{"name": "driver", "joinKey": "driver_id", "type": "Int64"}],
            "features": [{"name": f"feature_{index}", "type": "Float32"} for index in range(FEATURES)],
            "ttl": "2d",
            "source": {"file": {"path": f"view_{number:05}.parquet"}, "timestampField": "event_timestamp"},
        },
    }


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call: Callable[[], object], times: int) -> float:
    """The median of several calls."""
    return median(seconds(call) for _ in range(times))


def report(name: str, results: Sequence[Result]) -> None:
    """Write the figures of one benchmark and print them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [asdict(result) for result in results]
    (FOLDER / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    width = max(len(result.name) for result in results)
    print(f"\n{name}")
    for result in results:
        print(f"  {result.name:<{width}}  {result.value:>12.3f} {result.unit:<6}  {result.target}")
