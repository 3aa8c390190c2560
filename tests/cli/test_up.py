"""`featureplane up`: it comes up, follows the files, keeps serving whatever they hold, and leaves nothing behind."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.commands import Place
from featureplane.cli.inputs import read_inputs
from featureplane.local import record
from featureplane.registry.writer import Writer
from featureplane.settings import Stores
from patience import PATIENCE, until

VIEW = """\
apiVersion: featureplane.dev/v1alpha1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  entities: [{{name: driver, joinKey: driver_id, type: Int64}}]
  features: [{{name: {feature}, type: Int64}}]
  ttl: 2d
  source: {{file: {{path: drivers.parquet}}, timestampField: event_timestamp}}
"""
TRIPS = VIEW.format(name="trips", feature="trips_today")
RATINGS = VIEW.format(name="ratings", feature="rating")
PROJECT = """\
apiVersion: featureplane.dev/v1alpha1
kind: FeastProject
metadata: {name: feast}
spec: {project: feast}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("up"))
    (place.folder / "data").mkdir()
    then = [datetime.now(UTC) - timedelta(minutes=1)] * 2
    columns = {"driver_id": [1001, 1002], "trips_today": [7, 12], "rating": [4, 5], "event_timestamp": then}
    pq.write_table(pa.table(columns), place.folder / "data" / "drivers.parquet")
    place.write("files/trips.yaml", TRIPS)
    place.write("files/project.yaml", PROJECT)
    return place


@pytest.fixture(scope="module")
def up(place):
    """One `up` for the whole module: its tests are steps, in order, and leave the files as they found them."""
    with place.running("up", "files", "--port", "0") as running:
        yield running
    place.wait_until_nothing_runs()


@pytest.fixture(scope="module")
def url(up):
    return up.said("serving feast at ").split(" at ")[1].split(";")[0]


def ask(url, feature):
    request = {"features": [feature], "entities": {"driver_id": [1001, 1002]}}
    answer = httpx.post(f"{url}/get-online-features", json=request, trust_env=False, timeout=30)
    answer.raise_for_status()
    columns = dict(zip(answer.json()["metadata"]["feature_names"], answer.json()["results"], strict=True))
    return columns[feature.partition(":")[2]]["values"]


def test_it_comes_up_registers_copies_and_serves(up, url):
    lines = up.text.splitlines()
    assert lines[0] == "feast: 4 to add, 0 to change, 0 to remove"
    assert any(line.split()[:4] == ["trips", "initial", "2d", "2"] for line in lines), up.text
    assert ask(url, "trips:trips_today") == [7, 12]


def test_it_writes_what_feasts_own_cli_needs(place, up, url):
    """The environment that leads to its stores, here for a command of ours, and a repo."""
    up.said("the server's log is .featureplane/server.log")
    up.said("for Feast's own CLI and SDK: . .featureplane/env && cd .featureplane/feature_repo")
    sourced = ["sh", "-c", '. .featureplane/env && exec "$@"', "sh"]
    ran = place("plan", "files", prefix=sourced, env={"FEATUREPLANE_STORES": "environment"})
    assert (ran.status, ran.out) == (0, "feast: nothing to change\n")
    names = ["definitions.json", "feature_store.yaml", "featureplane_loader.py"]
    assert sorted(path.name for path in (place.state / "feature_repo").iterdir()) == names


def test_another_command_joins_its_stores_and_its_server(place, up, url):
    ran = place("plan", "files")
    assert (ran.status, ran.out) == (0, "feast: nothing to change\n")
    ran = place("get-online-features", "files", "-f", "trips", "-e", "driver_id=1002", "--json")
    (row,) = json.loads(ran.out)
    assert (ran.status, row["driver_id"]["value"], row["trips_today"]["value"]) == (0, 1002, 12)


def test_its_port_is_taken(place, up, url):
    ran = place("up", "files", "--port", url.rpartition(":")[2])
    assert ran.status == 2
    assert "Address already in use" in ran.err


def test_a_changed_file_is_applied(place, up, url):
    place.edit("files/trips.yaml", "ttl: 2d", "ttl: 3d")
    up.said("the files changed")
    up.said("feast: 0 to add, 1 to change, 0 to remove")
    up.said("ttl_seconds: 172800 -> 259200")
    until(lambda: "259200" in (place.state / "feature_repo" / "definitions.json").read_text())


def test_a_new_view_is_registered_copied_and_served(place, up, url):
    place.write("files/ratings.yaml", RATINGS)
    up.said("+ feature_view ratings")
    assert up.said("ratings  initial").split()[-1] == "Succeeded"
    until_served(url, "ratings:rating", [4, 5])


def until_served(url, feature, values):
    """The server looks at the registry every other second."""

    def served():
        try:
            return ask(url, feature) == values
        except httpx.HTTPStatusError:
            return False

    until(served)


def test_a_file_with_a_problem_is_reported_and_what_was_registered_stays(place, up, url):
    place.edit("files/ratings.yaml", "type: Int64}]\n  ttl", "type: Int63}]\n  ttl")
    place.write("files/broken.yaml", "a: [\n")
    up.said("files/broken.yaml:1: is not YAML")
    up.said("files/ratings.yaml:6: spec.features[0].type: 'Int63' is no type of Feast's")
    up.said("what was registered stays")
    assert ask(url, "trips:trips_today") == [7, 12]
    assert ask(url, "ratings:rating") == [4, 5]
    (place.folder / "files" / "broken.yaml").unlink()


def test_a_change_that_is_never_made_in_place_is_reported_and_what_was_registered_stays(place, up, url):
    place.edit("files/ratings.yaml", "type: Int63", "type: Float64")
    up.said("the type of 'rating' is immutable (Int64 is registered, Float64 declared)")
    up.said("what was registered stays")
    assert ask(url, "ratings:rating") == [4, 5]


def test_a_view_that_leaves_the_files_leaves_the_registry(place, up, url):
    (place.folder / "files" / "ratings.yaml").unlink()
    up.said("- feature_view ratings")
    up.said("- data_source ratings_source")
    assert place("plan", "files", "--prune").status == 0
    assert ask(url, "trips:trips_today") == [7, 12]


def test_another_project_in_the_files_is_not_taken_for_this_one(place, up, url):
    place.edit("files/project.yaml", "project: feast", "project: other")
    up.said("the files are of the project 'other' now and not of 'feast'; what was registered stays")
    place.edit("files/project.yaml", "project: other", "project: feast")
    up.said("feast: nothing to change")
    assert ask(url, "trips:trips_today") == [7, 12]


def test_a_registry_that_another_command_took_is_taken_over_again(place, up, url):
    stores = record.read_live(place.state / "stores" / "stores.json")
    stores = Stores(stores.postgres.with_database("feast"), stores.redis)
    (theirs,) = read_inputs([str(place.folder / "files" / "project.yaml")])
    with Writer(theirs.project, stores) as writer:  # as `featureplane apply` does
        writer.open()
    place.edit("files/trips.yaml", "ttl: 3d", "ttl: 2d")
    up.said("another command has written to the registry since; taking over again")
    up.said("ttl_seconds: 259200 -> 172800")
    place.write("files/note.txt", "not read")
    place.edit("files/trips.yaml", "ttl: 2d", "ttl: 2d # the same")
    up.said("feast: nothing to change")
    assert ask(url, "trips:trips_today") == [7, 12]


def test_ctrl_c_ends_it_and_everything_it_started(place, up, url):
    assert up.interrupt() in {0, 130}
    up.close()
    assert "stopping" in up.text
    place.wait_until_nothing_runs()
    assert not (place.state / "server.json").exists()
    with pytest.raises(httpx.ConnectError):
        ask(url, "trips:trips_today")


def test_killed_without_warning_it_leaves_nothing_running_and_what_it_did_stays(place):
    with place.running("up", "files", "--port", "0") as killed:
        killed.said("serving feast at ")
        place.wait_for("redis-server", "postgres", "featureplane.serving.worker_process")
        killed.process.kill()
        killed.process.wait()
        place.wait_until_nothing_runs()
    ran = place("plan", "files", "--prune")
    assert (ran.status, ran.out) == (0, "feast: nothing to change\n")
    place.wait_until_nothing_runs()


@pytest.mark.parametrize(
    ("command", "name", "pid_file", "log"),
    [
        ("up", "Redis", "redis/redis.pid", "redis.log"),
        ("serve", "PostgreSQL", "postgres/postmaster.pid", "postgres.log"),
    ],
)
def test_an_embedded_store_that_ends_ends_the_command_which_says_so(place, command, name, pid_file, log):
    stores = place.state / "stores"
    with place.running(command, "files", "--port", "0") as running:
        running.said("serving feast at ")
        os.kill(int((stores / pid_file).read_text().split()[0]), signal.SIGKILL)
        assert running.said(f"{name} in ").endswith(
            f" ended on its own with code -9; the end of {stores.resolve() / log}:"
        )
        assert running.process.wait(PATIENCE) == 2
    place.wait_until_nothing_runs()


def test_a_command_that_shares_stores_ends_with_them(place):
    with place.running("up", "files", "--port", "0") as owner:
        owner.said("serving feast at ")
        with place.running("serve", "files", "--port", "0") as guest:
            guest.said("serving feast at ")
            owner.interrupt()
            guest.said("the embedded PostgreSQL and Redis in ")
            assert guest.process.wait(PATIENCE) == 2
    place.wait_until_nothing_runs()
