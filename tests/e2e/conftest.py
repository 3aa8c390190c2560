"""One cluster and one release for all tests of this folder; `make e2e` runs them, file by file.

Each is something that a user of the reference deployment does, on what those before it left.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.deployment import Deployment
from e2e.paths import BUILD
from e2e.prometheus import Prometheus
from e2e.whole import Whole, whole_cluster

_TIMES = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def times(request: pytest.FixtureRequest) -> dict[str, str]:
    """What took how long, for the end of the run."""
    return request.config.stash.setdefault(_TIMES, {})


@pytest.fixture(scope="session")
def whole(times: dict[str, str]) -> Iterator[Whole]:
    with whole_cluster() as cluster:
        times["cluster up"] = f"{cluster.seconds:.1f} s"
        yield cluster


@pytest.fixture(scope="session")
def deployment(whole: Whole, times: dict[str, str]) -> Deployment:
    """The chart with its trial stores, and examples/commodity, all of it Ready."""
    made = Deployment(whole, Path(os.environ["FEATUREPLANE_E2E_VOLUMES"]))
    if made.is_there:
        return made
    try:
        times["install to Ready"] = f"{made.install():.1f} s"
        times["views applied to Ready"] = f"{made.apply_example():.1f} s"
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
    if call.when == "call" and call.excinfo and isinstance(made := item.funcargs.get("deployment"), Deployment):
        made.tell()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    times = config.stash.get(_TIMES, {})
    if size := _image_size():
        times["image"] = size
    if times:
        terminalreporter.section("measured")
        for name, value in times.items():
            terminalreporter.line(f"{name:30} {value}")


def _image_size() -> str:
    """The archive's, which is of nothing else: all layers, unpacked."""
    archives = os.environ.get("FEATUREPLANE_E2E_ARCHIVES")
    if not archives:
        return ""
    return f"{Path(archives.split(':')[-1]).stat().st_size / 1e6:.0f} MB"
