"""One cluster and one release for all tests of this folder; `make e2e` runs them, file by file.

Each is something that a user of the reference deployment does, on what those before it left.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.deployment import Deployment
from e2e.paths import BUILD
from e2e.prometheus import Prometheus
from e2e.release import Release
from e2e.whole import Whole, whole_cluster

_TIMES = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> dict[str, float]:
    """What took how many seconds, for the end of the run."""
    return request.config.stash.setdefault(_TIMES, {})


@pytest.fixture(scope="session")
def whole(times: dict[str, float]) -> Iterator[Whole]:
    with whole_cluster() as cluster:
        times["cluster up"] = cluster.seconds
        yield cluster


@pytest.fixture(scope="session")
def deployment(whole: Whole, times: dict[str, float]) -> Deployment:
    """The chart with its trial stores, and examples/commodity, all of it Ready."""
    made = Deployment(whole, Path(os.environ["FEATUREPLANE_E2E_VOLUMES"]))
    if made.is_there:
        return made
    try:
        times["install to Ready"] = made.install()
        times["views applied to Ready"] = made.apply_example()
    except AssertionError:
        made.tell()
        raise
    return made


@pytest.fixture(scope="session", autouse=True)
def prometheus(deployment: Deployment) -> Iterator[Prometheus]:
    """From the beginning, for what it has to show in the end."""
    monitors, rules = (deployment.get(kind)["items"] for kind in ("servicemonitors", "prometheusrules"))
    with Prometheus(deployment.whole, BUILD / "prometheus", monitors, rules) as running:
        yield running


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """What the cluster looked like when a test failed; it is gone before anybody can ask."""
    if call.when == "call" and call.excinfo:
        for made in (used for used in item.funcargs.values() if isinstance(used, Release)):
            made.tell()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A table, and the same for programs."""
    if not (times := config.stash.get(_TIMES, {})):
        return
    megabytes = {"image": size / 1e6} if (size := _image_size()) else {}
    terminalreporter.section("measured")
    for unit, values in (("s", times), ("MB", megabytes)):
        for name, value in values.items():
            terminalreporter.line(f"{name:30} {value:7.1f} {unit}")
    (BUILD / "measured.json").write_text(json.dumps({"seconds": times, "megabytes": megabytes}, indent=2) + "\n")


def _image_size() -> int:
    """Bytes of all layers, unpacked: the archive has nothing else."""
    archives = os.environ.get("FEATUREPLANE_E2E_ARCHIVES")
    return Path(archives.split(":")[-1]).stat().st_size if archives else 0
