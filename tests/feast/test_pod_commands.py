"""The commands that pods run: all they have is the FeastProject and the registry."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.flight
import pytest
from test_materialize import write
from test_untrusted import on_demand_view, plant
from world import World
from zygote import Zygote

from factories import Object, a_feature, a_feature_view, a_project, a_service, a_source, to_yaml
from featureplane.cli import main as program
from featureplane.errors import FeatureplaneError, UntrustedRegistry
from featureplane.serving import process as serving_process
from featureplane.serving.feast_process import _outlive_outages
from featureplane.serving.offline_process import refusal
from featureplane.serving.registry_process import READS, is_let_through
from featureplane.serving.remote import remote
from featureplane.settings import child_environment
from patience import PATIENCE, until
from ports import free_port

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)
VIEW = "commodity_prices"


class Pod:
    """A folder with nothing but the project, and the stores in the environment."""

    def __init__(self, world: World, lake: Path, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.folder = world.folder
        self.project = a_project(offlineStore={"type": "file", "dataRoot": {"uri": str(lake)}})
        self._patch = patch
        self.file = self.folder / "project.yaml"
        self.file.write_text(to_yaml(self.project))

    @property
    def environment(self) -> dict[str, str]:
        return {**child_environment(self.world.stores), "FEATUREPLANE_STORES": "environment"}

    def __call__(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        """Run `featureplane ARGUMENTS project.yaml` in this process; its exit status and what it said."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        handler = signal.getsignal(signal.SIGTERM)
        status = 0
        with self._patch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for name, value in {**self.environment, **variables}.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["featureplane", *arguments, str(self.file)])
            try:
                program.main()
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                signal.signal(signal.SIGTERM, handler)
        said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
        assert "Traceback" not in complained, complained
        return status, said, complained

    def json(self, *arguments: str, **variables: str) -> Any:
        status, out, err = self(*arguments, "--json", **variables)
        assert status in {0, 1}, err
        return json.loads(out)

    def ran(self, *arguments: str, **variables: str) -> dict[str, tuple[str, str]]:
        """Job and result of each view that `materialize --registered` ran."""
        runs = self.json("materialize", "--registered", *arguments, **variables)
        return {run["view"]: (run["job"], run["result"]) for run in runs}

    def register(self, *objects: Object) -> None:
        self.world.apply(self.project, *objects, prune=True)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write(tmp_path / "prices.parquet", {"gold": NOW - 30 * HOUR, "silver": NOW - HOUR})
    return tmp_path


@pytest.fixture
def pod(world: World, lake: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(world, lake, monkeypatch)


@pytest.fixture
def bare_pod(bare_world: World, lake: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(bare_world, lake, monkeypatch)


class TestMaterialize:
    def test_it_takes_what_is_registered(self, pod: Pod) -> None:
        daily = {"schedule": "daily"}
        pod.register(
            a_feature_view(ttl="2d"),
            a_feature_view("later", materialization=daily),
            a_feature_view("asleep", suspend=True),
            a_feature_view("offline", online=False),
            a_feature_view("never", materialization={"schedule": "never"}),
        )
        assert pod.ran("--schedule", "hourly") == {VIEW: ("initial", "Succeeded")}
        assert pod.ran() == {VIEW: ("hourly", "Succeeded"), "later": ("initial", "Succeeded")}

    def test_windows_are_the_views_and_the_projects(self, pod: Pod) -> None:
        pod.register(a_feature_view(ttl="2d"), a_feature_view("wide", materialization={"window": "5h"}))
        firsts, again = pod.json("materialize", "--registered"), pod.json("materialize", "--registered")
        assert spans(firsts)[VIEW] == timedelta(days=2)
        assert spans(again) == {VIEW: 2 * HOUR, "wide": 5 * HOUR}

    def test_the_history_has_the_jobs_name(self, pod: Pod) -> None:
        pod.register(a_feature_view())
        job = "feast-materialize-hourly-29000000"
        assert pod.ran(FEATUREPLANE_JOB=job) == {VIEW: (job, "Succeeded")}
        assert pod.ran("--window", "1h", FEATUREPLANE_JOB=job) == {VIEW: ("manual", "Succeeded")}
        assert pod.world.query("SELECT job FROM featureplane.runs ORDER BY id") == [(job,), ("manual",)]

    def test_initial_copies_over_the_ttl_whatever_ran_before(self, pod: Pod) -> None:
        pod.register(a_feature_view(ttl="2d"), a_feature_view("other", ttl="3d", suspend=True), a_feature_view("third"))
        pod.ran()
        names = ["--view", VIEW, "--view", "other", "--view", "gone"]
        runs = pod.json("materialize", "--registered", "--initial", *names)
        assert spans(runs) == {VIEW: timedelta(days=2), "other": timedelta(days=3)}
        assert {run["job"] for run in runs} == {"initial"}
        status, _, said = pod("materialize", "--registered", "--initial", "--view", "gone")
        assert (status, said) == (0, "gone is passed over: no view of that name is registered and online\n")

    def test_a_view_that_gains_features_gets_a_first_run_again(self, pod: Pod) -> None:
        """With Feast's own engine old rows do not get them all the same: it passes over rows of a time it has seen."""
        pod.register(a_feature_view(ttl="2d"))
        pod.ran()
        assert pod.ran() == {VIEW: ("hourly", "Succeeded")}
        more = [a_feature(), a_feature("volume", "Int64")]
        pod.register(a_feature_view(ttl="2d", features=more))
        (run,) = pod.json("materialize", "--registered")
        assert (run["job"], spans([run])[VIEW]) == ("initial", timedelta(days=2))
        pod.register(a_feature_view(ttl="2d", features=more, description="the same features"))
        assert pod.ran() == {VIEW: ("hourly", "Succeeded")}
        pod.register(a_feature_view(ttl="2d", features=more[:1]))
        assert pod.ran() == {VIEW: ("hourly", "Succeeded")}
        actions = "SELECT action FROM featureplane.changes WHERE kind = 'feature_view' ORDER BY seq"
        assert pod.world.query(actions) == [("add",), ("extend",), ("change",), ("change",)]

    def test_every_view_is_in_one_shard(self, pod: Pod) -> None:
        views = [f"v{number}" for number in range(7)]
        pod.register(*(a_feature_view(name, source=a_source(name="prices")) for name in views))
        parts = [pod.ran(FEATUREPLANE_SHARDS="3", JOB_COMPLETION_INDEX=str(index)) for index in range(3)]
        assert sorted(name for part in parts for name in part) == views
        assert all(parts)

    def test_a_failure_is_the_exit_status(self, pod: Pod) -> None:
        pod.register(a_feature_view(), a_feature_view("missing", source=a_source(file={"path": "nothing.parquet"})))
        status, _, said = pod("materialize", "--registered")
        assert status == 1
        assert "missing: " in said
        assert pod.ran() == {VIEW: ("hourly", "Succeeded"), "missing": ("initial", "Failed")}

    def test_what_is_not_ours_is_left_alone(self, pod: Pod) -> None:
        pod.register()
        assert pod.world.feast("apply", folder=pod.world.repo(a_feature_view("by-hand"))).returncode == 0
        assert pod.ran() == {}

    def test_nothing_is_due_before_there_is_a_registry(self, bare_pod: Pod) -> None:
        assert bare_pod("materialize", "--registered")[:2] == (0, "nothing is due\n")

    def test_a_pod_that_is_to_go_says_what_it_left_undone(self, pod: Pod) -> None:
        pod.register(a_feature_view(), a_feature_view("second"))
        pod.world.redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        thread = threading.Thread(target=terminate_while_feast_writes, args=(pod.world,))
        thread.start()
        assert pod("materialize", "--registered")[0] == 128 + signal.SIGTERM
        thread.join()
        runs = pod.world.query("SELECT view, result, message FROM featureplane.runs ORDER BY view")
        assert runs == [(VIEW, "Failed", "interrupted"), ("second", "Failed", "interrupted")]


def terminate_while_feast_writes(world: World) -> None:
    def is_writing() -> bool:
        # A client of another test's may have written last and be still there.
        clients = [each for each in world.redis.client_list() if int(each["db"]) == world.stores.redis.db]
        return any(client["cmd"] == "hset" for client in clients)

    until(is_writing)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3)  # it has heard it by then
    world.redis.execute_command("CLIENT", "UNPAUSE")


def spans(runs: list[dict[str, str]]) -> dict[str, timedelta]:
    times = {
        run["view"]: [datetime.fromisoformat(run[name]) for name in ("window_start", "window_end")] for run in runs
    }
    return {view: end - start for view, (start, end) in times.items()}


class TestRepo:
    def test_it_holds_what_is_registered_and_feasts_commands_work_in_it(self, pod: Pod) -> None:
        objects = [a_feature_view(push={"enabled": True}), a_service()]
        pod.register(*objects)
        (folder := pod.folder / "repo").mkdir()
        assert pod("render", "--registered", "--out", str(folder))[0] == 0
        listed = pod.world.feast("feature-views", "list", folder=folder)
        assert (listed.returncode, VIEW in listed.stdout) == (0, True)
        planned = pod.world.feast("plan", folder=folder)
        assert (planned.returncode, "No changes to registry" in planned.stdout) == (0, True), planned.stdout

    def test_it_is_empty_before_there_is_a_registry(self, bare_pod: Pod) -> None:
        assert bare_pod("render", "--registered", "--out", str(bare_pod.folder / "repo"))[0] == 0
        assert json.loads((bare_pod.folder / "repo" / "definitions.json").read_text())["definitions"] == []


class TestParity:
    def test_the_outcome_has_the_jobs_name(self, pod: Pod) -> None:
        pod.register(a_feature_view(ttl="2d"), a_feature_view("offline", online=False))
        pod.ran()
        found = pod.json("parity", "--registered", "--record", FEATUREPLANE_JOB="feast-parity-29000000")
        assert [(each["view"], each["rate"], each["equal"]) for each in found["views"]] == [(VIEW, 1.0, 2)]
        rows = pod.world.query("SELECT view, job, equal, failed FROM featureplane.parity_checks")
        assert rows == [(VIEW, "feast-parity-29000000", 2, False)]

    def test_a_view_that_cannot_be_compared_is_noted_and_is_the_exit_status(self, pod: Pod, lake: Path) -> None:
        pod.register(a_feature_view())
        pod.ran()
        (lake / "prices.parquet").unlink()
        assert pod("parity", "--registered", "--record", "--differences", "0")[0] == 1
        assert pod.world.query("SELECT failed FROM featureplane.parity_checks") == [(True,)]

    def test_a_deleted_view_takes_what_was_known_of_it_with_it(self, pod: Pod) -> None:
        pod.register(a_feature_view())
        pod.ran()
        assert pod("parity", "--registered", "--record")[0] == 0
        pod.register()
        assert pod.world.query("SELECT * FROM featureplane.parity_checks") == []

    def test_nothing_is_compared_before_there_is_a_registry(self, bare_pod: Pod) -> None:
        assert bare_pod("parity", "--registered", "--record")[:2] == (0, "no view is registered and online\n")


def test_purge_says_what_it_removed(pod: Pod) -> None:
    pod.register(a_feature_view())
    pod.ran()
    assert pod.world.redis.dbsize() == 2
    pod.register()
    assert pod("purge")[:2] == (0, "nothing is due\n")
    with pod.world.sql() as connection:
        connection.execute("UPDATE featureplane.purges SET due_at = now()")
    (purged,) = pod.json("purge")
    assert purged == {"view": VIEW, "purged": ["price", "*"], "kept": [], "rows": 2, "fields": 4}
    assert pod.world.redis.dbsize() == 0


def test_the_server_waits_for_its_registry_and_sees_what_comes(bare_pod: Pod) -> None:
    """Cold, as a pod starts it: no database, then one without a view, then a view."""
    port = free_port()
    command = [Path(sys.executable).parent / "featureplane", "serve", "--registered", "--host", "0.0.0.0"]
    server = subprocess.Popen(
        [*command, "--port", str(port), str(bare_pod.file)],
        env=bare_pod.environment,
        cwd=bare_pod.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "there is no registry at" in server.stdout.readline()
        bare_pod.register()
        # What it waits for meanwhile, and that no view is there, depends on when it looks.
        said = next(line for line in iter(server.stdout.readline, "") if line.startswith("serving"))
        assert said == f"serving feast at http://0.0.0.0:{port}\n"
        bare_pod.register(a_feature_view())
        bare_pod.ran()
        body = {"features": [f"{VIEW}:price"], "entities": {"commodity": ["gold"]}}

        def answered() -> httpx.Response | None:
            answer = httpx.post(f"http://127.0.0.1:{port}/get-online-features", json=body, timeout=PATIENCE)
            return answer if answer.is_success else None

        answer = until(answered)
        assert answer.json()["results"][1]["values"] == [1.5]
        family = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        assert server.wait(PATIENCE) == 128 + signal.SIGTERM
        assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
        assert not (bare_pod.folder / ".featureplane").exists()
    finally:
        server.kill()


def test_a_refresh_that_fails_is_not_the_servers_last() -> None:
    """Feast's own timer ends with the first that raises."""

    class Store:
        def refresh_registry(self) -> None:
            raise OSError("the registry is gone")

    store = Store()
    _outlive_outages(store)
    store.refresh_registry()


@pytest.fixture
def warm_servers(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote servers are forks of the zygote too."""
    names = {name: getattr(subprocess, name) for name in ("PIPE", "DEVNULL", "TimeoutExpired")}
    monkeypatch.setattr(serving_process, "subprocess", SimpleNamespace(Popen=zygote.popen, **names))


@pytest.mark.usefixtures("warm_servers")
class TestRemoteRegistry:
    @pytest.fixture
    def address(self, pod: Pod) -> Iterator[str]:
        pod.register(a_feature_view(), a_service())
        with remote("registry", pod.world.declarations(pod.project).project, pod.world.stores, pod.folder) as server:
            yield server.address

    @staticmethod
    def client(address: str) -> Any:
        from feast import FeatureStore, RepoConfig

        registry = {"registry_type": "remote", "path": address}
        return FeatureStore(config=RepoConfig(project="feast", provider="local", registry=registry, online_store=None,
                                              entity_key_serialization_version=3))  # fmt: skip

    def test_feasts_sdk_reads_and_cannot_write(self, pod: Pod, address: str) -> None:
        from feast.errors import FeastPermissionError
        from feast.infra.infra_object import Infra

        store = self.client(address)
        (view,) = store.list_feature_views()
        assert (view.name, store.get_feature_service("price_model").name) == (VIEW, "price_model")
        store.refresh_registry()
        before = pod.world.feasts_rows()
        view.description = "planted"
        for write_ in (
            lambda: store.apply([view]),
            lambda: store.registry.apply_feature_view(view, "feast"),
            lambda: store.delete_feature_view(VIEW),
            lambda: store.registry.apply_materialization(view, "feast", NOW, NOW),
            lambda: store.registry.update_infra(Infra(), "feast"),
        ):
            with pytest.raises(FeastPermissionError, match="this registry server only reads"):
                write_()
        assert pod.world.feasts_rows() == before

    def test_every_call_is_either_known_to_read_or_refused(self) -> None:
        from feast.protos.feast.registry import RegistryServer_pb2

        methods = {method.name for method in RegistryServer_pb2.DESCRIPTOR.services_by_name["RegistryServer"].methods}
        assert methods >= READS
        refused = {name for name in methods if not is_let_through(f"/feast.registry.RegistryServer/{name}")}
        verbs = ("Apply", "Delete", "Create", "Update", "Commit", "GetDataset", "ListDatasetJobs")
        assert all(name.startswith(verbs) for name in refused)
        assert not any(name.startswith(verbs) for name in READS)
        assert not is_let_through("/other.Service/GetFeatureView")

    def test_it_is_healthy_and_no_two_share_a_port(self, pod: Pod, address: str) -> None:
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        with grpc.insecure_channel(address) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest()).status == 1
        project, port = pod.world.declarations(pod.project).project, int(address.rpartition(":")[2])
        with (
            pytest.raises(FeatureplaneError, match="ended before it was ready"),
            remote("registry", project, pod.world.stores, pod.folder, ("127.0.0.1", port)),
        ):
            pass


@pytest.mark.usefixtures("warm_servers")
def test_feasts_sdk_gets_training_data_from_the_offline_server(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast.errors import FeastPermissionError

    from feast import FeatureStore, RepoConfig

    pod.register(a_feature_view())
    with remote("offline", pod.world.declarations(pod.project).project, pod.world.stores, pod.folder) as server:
        host, _, port = server.address.rpartition(":")
        config = pod.world.sdk().config.model_dump(by_alias=True)
        offline = {"type": "remote", "host": host, "port": int(port)}
        registry = {**config["registry"], "registry_type": "sql"}
        store = FeatureStore(config=RepoConfig(project="feast", provider="local", registry=registry, online_store=None,
                                               offline_store=offline, entity_key_serialization_version=3))  # fmt: skip
        entities = pd.DataFrame({"commodity": ["gold"], "event_timestamp": [NOW]})
        rows = store.get_historical_features(entities, [f"{VIEW}:price"]).to_df()
        assert rows["price"].tolist() == [1.5]
        # The client may still be sending when it is refused: then it is pyarrow that says so.
        refused = (FeastPermissionError, pa.flight.FlightServerError)
        with pytest.raises(refused, match="takes no SQL"):
            store.get_historical_features("SELECT 1", [f"{VIEW}:price"]).to_df()
        view = store.get_feature_view(VIEW)
        table = pa.table({"commodity": ["x"], "price": [1.0], "event_timestamp": [NOW]})
        with pytest.raises(refused, match="only reads training data"):
            store._get_provider().offline_store.offline_write_batch(store.config, view, table, None)  # noqa: SLF001


HISTORY = {"api": "get_historical_features", "project": "feast", "feature_refs": ["a:b"]}


@pytest.mark.parametrize(
    ("command", "columns", "why"),
    [
        (HISTORY, ["commodity", "event_timestamp"], ""),
        ({**HISTORY, "feature_refs": ["Driver-Stats@v2:trips_today"]}, [], ""),
        ({}, [], "only reads training data"),
        ({**HISTORY, "api": "persist"}, [], "only reads training data"),
        ({**HISTORY, "api": "offline_write_batch"}, [], "only reads training data"),
        ({**HISTORY, "api": "get_table_column_names_and_types_from_data_source"}, [], "only reads training data"),
        ({**HISTORY, "entity_df_sql": "SELECT 1"}, [], "takes no SQL"),
        ({**HISTORY, "project": "another"}, [], "is for the project 'feast' alone"),
        ({**HISTORY, "feature_refs": ['a:b" FROM x --']}, [], "is no feature"),
        (HISTORY, ['x" FROM y --'], "is no column's name"),
        ({"api": "pull_all_from_table_or_query", "join_key_columns": ['x"']}, [], "is no column's name"),
        ({"api": "pull_all_from_table_or_query", "timestamp_field": "a--b"}, [], "is no column's name"),
    ],
)
def test_the_offline_server_answers_for_what_is_registered_alone(
    command: dict[str, Any], columns: list[str], why: str
) -> None:
    found = refusal(command, columns, "feast")
    assert why in found
    assert bool(found) == bool(why)


@pytest.mark.parametrize("kind", ["registry", "offline"])
def test_no_remote_server_starts_on_a_registry_with_code(pod: Pod, kind: Any, tmp_path: Path) -> None:
    pod.register(a_feature_view("harmless"))
    plant(pod.world, "on_demand_feature_views", "planted", on_demand_view(tmp_path / "it-ran"))
    project = pod.world.declarations(pod.project).project
    with pytest.raises(UntrustedRegistry), remote(kind, project, pod.world.stores, pod.folder):
        pass
    assert not (tmp_path / "it-ran").exists()
