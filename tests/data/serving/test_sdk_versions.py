"""Other releases of Feast's SDK as clients of our server, each in a Python environment of its own.

The first that has a remote online store, one of the middle, and the last before ours; docs/serving.md states the range.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cli.commands import Place, clean_environment
from data.serving.sdk_venvs import VERSIONS, python_with
from factories import Object, a_feature, a_feature_view, a_project, a_service, an_entity, to_yaml
from featureplane.local.stores import embedded_stores
from patience import PATIENCE

# An environment is installed within the first test of a version.
pytestmark = pytest.mark.timeout(1800)
CLIENT = Path(__file__).with_name("sdk_client.py")
# With the remote registry it takes the view for none before it comes to the writing.
NO_WRITES = "NotImplementedError|FeatureViewNotFoundException"
# What the SDK itself cannot do, whoever serves, and the error that it has for it.
LACKS: dict[str, dict[str, str]] = {
    "0.39.0": {
        "frame": "'Series' object has no attribute 'val'", "several": "422|Unprocessable",
        "write": NO_WRITES, "write_times": NO_WRITES,
    },
    "0.50.0": {
        "frame": "'Series' object has no attribute 'val'", "several": "Missing join key values for keys: .'word'",
        "write_times": "datetime is not JSON serializable",
    },
    "0.66.0": {},
}  # fmt: skip
DRIVER = an_entity("driver", joinKey="driver_id", type="Int64")
TYPES = {
    "trips": "Int64", "doors": "Int32", "rate": "Float64", "share": "Float32", "city": "String", "active": "Bool",
    "seen": "UnixTimestamp", "tags": "Array(String)", "marks": "Array(Int64)",
}  # fmt: skip
OBJECTS: list[Object] = [
    a_project(offlineStore={"type": "file"}, server={"writes": {"enabled": True}}),
    a_feature_view(
        "driver-stats", entities=[DRIVER], features=[a_feature(name, kind) for name, kind in TYPES.items()],
        push={"enabled": True},
    ),
    a_feature_view(
        "pairs", entities=[DRIVER, an_entity("word", joinKey="word", type="String")], push={"enabled": True},
        features=[a_feature("score", "Float64")],
    ),
    a_feature_view(
        "visits", entities=[DRIVER], features=[a_feature("times", "Int64"), a_feature("place", "String")],
        push={"enabled": True},
    ),
    a_service("driver-model", views=[{"name": "driver_stats", "features": ["trips", "city"]}]),
]  # fmt: skip
SEEN = 1769817600  # 2026-01-31
TIME = "2026-01-31T12:00:00Z"
STATS: dict[str, list[Any]] = {
    "driver_id": [1, 2], "trips": [2**40, 5], "doors": [4, 2], "rate": [0.1, -2.5], "share": [0.5, 0.25],
    "city": ["Zürich", ""], "active": [True, False], "seen": [SEEN, 0], "tags": [["a", "ü"], ["b"]],
    "marks": [[1, 2], [3]],
}  # fmt: skip
OTHERS = {"word": ["a", "b"], "score": [0.5, 1.5], "times": [1, 2], "place": ["x", "y"]}
# Statuses of gRPC: PRESENT and NOT_FOUND.
FOUND, NOT_FOUND = 1, 3


class Served(NamedTuple):
    url: str
    grpc: str
    registry: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = Place(tmp_path_factory.mktemp("served"))
    place.write("features.yaml", to_yaml(*OBJECTS))
    times = pa.array([datetime(2026, 1, 31, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC"))
    pq.write_table(
        pa.table({**STATS, **OTHERS, "event_timestamp": times}),
        place.write("data/prices.parquet", ""),
    )
    with embedded_stores(None, search_path=os.environ.get("PATH", os.defpath)) as stores:
        place.variables.update(stores.environment())
        applied = place("apply", "features.yaml")
        assert applied.status == 0, applied.err
        with (
            place.running("serve", "features.yaml", "--port", "0", "--grpc-port", "0") as server,
            place.running("registry-server", "features.yaml", "--port", "0") as registry,
        ):
            url, grpc = addresses(server.said(" at "))
            fill(url)
            yield Served(url, grpc, registry.said(" at ").split()[-1])


def addresses(said: str) -> tuple[str, str]:
    url = re.search(r"http://\S+?:\d+", said)
    grpc = re.search(r"gRPC (?:at |on )?(\S+?:\d+)", said)
    assert url, said
    assert grpc, said
    return url[0], grpc[1]


def fill(url: str) -> None:
    pairs = {"driver_id": [1], "word": ["a"], "score": [0.5]}
    for view, rows in (("driver_stats", STATS), ("pairs", pairs)):
        df = {**rows, "event_timestamp": [TIME] * len(rows["driver_id"])}
        body = {"feature_view_name": view, "df": df}
        answer = httpx.post(f"{url}/write-to-online-store", json=body, trust_env=False, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text


def asked(version: str, registry: str, served: Served, folder: Path) -> dict[str, Any]:
    """What the client program of this version got."""
    path = {"file": str(folder / "registry.db"), "remote": served.registry}[registry]
    config = {
        "project": "feast", "provider": "local", "registry": {"registry_type": registry, "path": path},
        "online_store": {"type": "remote", "path": served.url}, "offline_store": {"type": "file"},
        "entity_key_serialization_version": 2 if version == "0.39.0" else 3,
    }  # fmt: skip
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    request = {"registry": registry, "grpc": served.grpc}
    (folder / "request.json").write_text(json.dumps(request))
    environment = {**clean_environment(), "NO_PROXY": "*", "FEAST_USAGE": "False", "FEAST_TELEMETRY": "False"}
    ran = subprocess.run(
        [python_with(version), CLIENT, folder], env=environment, cwd=folder, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return json.loads((folder / "answer.json").read_text())


@pytest.fixture(
    scope="module", params=[(version, kind) for version in VERSIONS for kind in ("file", "remote")], ids="-".join
)
def answer(request: pytest.FixtureRequest, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The version, and what each step of its client program got. The registry is a file of its own, or our server."""
    version, kind = request.param
    return version, asked(version, kind, served, tmp_path_factory.mktemp("client"))


def assert_is(answer: Any, step: str, got: Any, expected: Any) -> None:
    """As expected, or the error of a version that cannot do this."""
    version, _ = answer
    if lacked := LACKS[version].get(step):
        assert re.search(lacked, got["error"]), got
    else:
        assert got == expected


@pytest.mark.parametrize("form", ["rows", "columns", "frame"])
def test_values_of_each_type_come_in_every_form_of_entity_rows(answer: Any, form: str) -> None:
    assert_is(answer, form, answer[1]["online"][form], STATS)


def test_full_feature_names(answer: Any) -> None:
    expected = {name if name == "driver_id" else f"driver_stats__{name}": column for name, column in STATS.items()}
    assert answer[1]["online"]["full"] == expected


def test_a_feature_service(answer: Any) -> None:
    assert answer[1]["service"] == {"driver_id": [1], "trips": [2**40], "city": ["Zürich"]}


def test_an_entity_that_is_not_there_has_no_values(answer: Any) -> None:
    assert answer[1]["missing"] == {"driver_id": [99], "trips": [None], "city": [None]}


def test_a_view_with_two_join_keys(answer: Any) -> None:
    assert_is(answer, "several", answer[1]["several"], {"driver_id": [1], "word": ["a"], "score": [0.5]})


def test_rows_are_written_and_read_back(answer: Any) -> None:
    assert_is(answer, "write", answer[1]["write"], {"driver_id": [7], "times": [70], "place": ["bern"]})


def test_rows_with_times_are_written(answer: Any) -> None:
    row = {name: [column[0]] for name, column in STATS.items()}
    assert_is(answer, "write_times", answer[1]["write_times"], {**row, "driver_id": [7]})


def test_generated_stubs_of_both_services(answer: Any) -> None:
    expected = {name: [[column[0], None], [FOUND, NOT_FOUND]] for name, column in STATS.items() if name != "driver_id"}
    expected["driver_id"] = [[1, 99], [FOUND, FOUND]]
    assert answer[1]["grpc"] == {"ServingServiceStub": expected, "GrpcFeatureServerStub": expected}
