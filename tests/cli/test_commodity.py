"""examples/commodity from its files to its values, one command after the other."""

import json
import os
import shutil
import socket
import threading
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.newest import newest_rows, times
from featureplane.cli.serve import announced, log_of_its_own
from featureplane.cli.workspace import open_workspace
from featureplane.errors import FeatureplaneError, PlanRefused
from featureplane.serving.app import NotReady
from featureplane.serving.listening import Where

EXAMPLE = "commodity"
PROJECT = "254carbon"
VIEWS = {
    "commodity_price_features": ("commodity_prices.parquet", "commodity_code", timedelta(days=2)),
    "economic_features": ("economic_indicators.parquet", "country", timedelta(days=7)),
    "weather_features": ("weather.parquet", "region", timedelta(hours=6)),
}
WROTE = "wrote 3 views, 3 services and their FeastProject to"
SERVICES = ["price_forecast_v1", "price_forecast_v2", "supply_risk_v1"]


@pytest.fixture(scope="module")
def first_plan(example):
    """The plan before anything is registered, for people and for scripts."""
    return SimpleNamespace(text=example("plan", "files"), json=example("plan", "files", "--json"))


@pytest.fixture(scope="module")
def applied(example, first_plan):
    return example("apply", "files")


@pytest.fixture(scope="module")
def materialized(example, applied):
    return example("materialize", "files", "--json")


@pytest.fixture(scope="module")
def server(example, materialized):
    with example.running("serve", "files", "--port", "0") as running:
        url = running.said("serving 254carbon at ").split(" at ")[1].split(";")[0]
        yield url
        assert (example.state / "server.json").exists()
        running.said("the server's log is .featureplane/server.log")
        assert running.interrupt() == 0
        assert running.text.endswith("stopped\n")
    assert not (example.state / "server.json").exists()


@pytest.fixture
def here(example, applied, featureplane, monkeypatch):
    """Commands in this process, on the module's stores; the working folder is the test's own."""
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(example.state))
    monkeypatch.setenv("FEATUREPLANE_DATA_ROOT", str(example.folder / "data"))
    shutil.copytree(example.folder / "files", "files")
    return featureplane


def test_validate(example):
    ran = example("validate", "files")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "feast: project 254carbon, 3 views, 3 services; sources checked\n"
    expected = {"feast": {"project": PROJECT, "views": 3, "services": 3, "sources": "checked", "warnings": []}}
    assert json.loads(example("validate", "files", "--json").out) == expected


def test_the_first_plan_adds_everything_and_says_so_with_status_1(first_plan):
    ran = first_plan.text
    assert (ran.status, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[0] == "254carbon: 13 to add, 0 to change, 0 to remove"
    assert "  + feature_view weather_features" in lines
    assert "      a first run copies its rows online, then the schedule 'hourly'" in lines


def test_a_plan_in_json_has_a_form_that_scripts_can_rely_on(first_plan):
    ran = first_plan.json
    assert (ran.status, ran.err) == (1, "")
    (plan,) = json.loads(ran.out)
    assert list(plan) == ["project", "changes", "adopted", "kept", "refused", "warnings"]
    assert (plan["project"], plan["adopted"], plan["kept"], plan["refused"]) == (PROJECT, [], [], [])
    assert all(list(change) == ["action", "kind", "name", "owner", "fields", "effects"] for change in plan["changes"])
    assert [(change["kind"], change["name"]) for change in plan["changes"]] == [
        ("project", PROJECT),
        *(("entity", name) for name in ("commodity", "country", "region")),
        *(("data_source", f"{name}_source") for name in VIEWS),
        *(("feature_view", name) for name in VIEWS),
        *(("feature_service", name) for name in SERVICES),
    ]


def test_apply_registers_it_and_then_there_is_nothing_to_change(example, applied):
    assert applied.status == 0
    assert applied.out.splitlines()[0] == "254carbon: 13 to add, 0 to change, 0 to remove"
    assert applied.out.splitlines()[-1] == "254carbon: registered"
    ran = example("plan", "files", "--json")
    assert (ran.status, json.loads(ran.out)) == (0, [nothing_to_change()])
    again = example("apply", "files")
    assert (again.status, again.out) == (0, "254carbon: nothing to change\n")


def nothing_to_change():
    return {"project": PROJECT, "changes": [], "adopted": [], "kept": [], "refused": [], "warnings": []}


def test_standard_input_is_as_good_as_a_folder(example, applied):
    text = "\n---\n".join(path.read_text() for path in sorted((example.folder / "files").glob("*.yaml")))
    ran = example("plan", "-", stdin=text)
    assert (ran.status, ran.out, ran.err) == (0, "254carbon: nothing to change\n", "")


def test_every_view_is_materialized(example, materialized):
    assert materialized.status == 0
    runs = {run["view"]: run for run in json.loads(materialized.out)}
    assert list(runs) == list(VIEWS)
    for name, (file, key, ttl) in VIEWS.items():
        rows = newest_rows(example.folder / "data" / file, key, ttl)
        assert runs[name]["result"] == "Succeeded", runs[name]
        assert runs[name]["job"] == "initial"
        assert runs[name]["rows_written"] == len(rows) > 0
        newest = max(row["event_timestamp"] for row in rows.values())
        assert runs[name]["max_event_time"] == newest.isoformat()


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_served_is_the_newest_row_of_the_file(here, example, server, view):
    file, key, ttl = VIEWS[view]
    expected = newest_rows(example.folder / "data" / file, key, ttl)
    ran = here("get-online-features", "files", "-f", view, "-e", f"{key}={','.join(expected)}", "--json")
    assert ran.status == 0, ran.err
    rows = json.loads(ran.out)
    assert [row[key]["value"] for row in rows] == list(expected)
    for row in rows:
        wanted = expected[row.pop(key)["value"]]
        assert {name: cell["value"] for name, cell in row.items()} == {name: wanted[name] for name in row}
        assert {times(cell) for cell in row.values()} == {wanted["event_timestamp"]}
        assert list(row) == [name for name in wanted if name not in {key, "event_timestamp", "created"}]


def test_a_service_is_served_in_the_order_it_was_written_in(here, server):
    keys = ["-e", "commodity_code=gold", "-e", "country=US", "-e", "region=us_gulf_coast"]
    ran = here("get-online-features", "files", "-s", "price_forecast_v2", *keys)
    assert ran.status == 0, ran.err
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[0] == ["commodity_code", "country", "region", "FEATURE", "VALUE", "EVENT", "TIME", "STATUS"]
    assert lines[1][:4] == ["gold", "US", "us_gulf_coast", "current_price"]
    names = [lines[1][3], *(line[0] for line in lines[2:])]
    prices = ["price_change_1h", "price_change_24h", "volume_24h", "volatility_7d", "ma_7d", "ma_30d", "rsi_14d"]
    others = ["interest_rate", "industrial_production", "temperature_avg", "storm_index"]
    assert names == ["current_price", *prices, *others]


def test_an_entity_that_is_not_there_has_no_values_and_its_name_is_printed_as_it_is(here, server):
    for name in ("nobody", "[/]", "[red]x[/red]", ":gold:", "\\", "a\x1b[31mb"):
        options = ["-f", "weather_features:wind_speed", "-e", f"region={name}"]
        ran = here("get-online-features", "files", *options)
        shown = name.replace("\x1b", r"\x1b")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.splitlines()[1].split()[:4] == [shown, "wind_speed", "-", "-"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-f nowhere -e region=x", "the feature view 'nowhere' is not registered; registered are commodity_price"),
        ("-f weather_features:snow -e region=x", "the feature view 'weather_features' has no feature 'snow'; it has"),
        ("-s nowhere -e region=x", "the feature service 'nowhere' is not registered; registered are price_forecast_v1"),
        ("-f weather_features -e area=x", "'area' is no join key of a registered entity; they are commodity_code, "),
        ("-f weather_features -e x", "--entity 'x' is not KEY=VALUE; write for example"),
        ("-f weather_features -e country=US", "the feature view 'weather_features' needs the join key 'region'"),
        ("-f weather_features -e region=x -e country=US", "--entity 'country' belongs to none of the features asked"),
        ("-s price_forecast_v2 -e commodity_code=x", "the feature view 'economic_features' needs the join key"),
        ("-f weather_features -f economic_features -e region=a,b -e country=US", "every --entity needs as many values"),
        ("-f weather_features -e region=x --server localhost", "'localhost' is no URL of a server; write it like http://"),
        ("-f weather_features -e region=x --server http://127.0.0.1:1", "no server answers at http://127.0.0.1:1: "),
        ("-f weather_features -e region=x --server http://[x", "no server answers at http://[x: "),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_answered(here, options, said):
    files = [] if "--server" in options else ["files"]
    ran = here("get-online-features", *files, *options.split())
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_a_server_is_asked_from_a_folder_with_nothing_in_it(featureplane, server):
    def ask(*options):
        ran = featureplane("get-online-features", "--server", server, *options, "--json")
        assert not list(Path().iterdir())
        return ran

    ran = ask("-f", "weather_features", "-e", "region=us_gulf_coast")
    assert (ran.status, ran.err) == (0, "")
    (row,) = json.loads(ran.out)
    assert list(row) == ["region", "temperature_avg", "precipitation", "wind_speed", "storm_index"]
    assert {cell["status"] for cell in row.values()} == {"PRESENT"}
    # An entity's name is taken for its join key, which is what the answer has.
    keys = ["-e", "commodity=gold", "-e", "country=US", "-e", "region=us_gulf_coast"]
    ran = ask("-s", "price_forecast_v2", *keys)
    assert (ran.status, ran.err) == (0, "")
    assert list(json.loads(ran.out)[0])[-2:] == ["storm_index", "commodity_code"]
    for options, said in [
        (["-f", "nowhere", "-e", "region=x"], "answered 404: "),
        (["-f", "weather_features", "-e", "area=x"], "answered 422: "),
    ]:
        ran = ask(*options)
        assert (ran.status, ran.out) == (2, "")
        assert said in ran.err


@contextmanager
def answering(text, status=200):
    """A server that always says the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("<html>", 200, "is no feature server"),
        ("[]", 200, "has not the form of Feast's; is it a feature server?"),
        ('{"metadata": {"feature_names": ["a"]}, "results": []}', 200, "has not the form of Feast's"),
        ('{"metadata": {"feature_names": ["a"]}, "results": [{"values": 1}]}', 200, "has not the form of Feast's"),
        ("\x1b[31mno\n[/]", 500, r"answered 500: \x1b[31mno\n[/]"),
        ('{"message": "Redis cannot be read: gone", "request_id": "ab12"}', 503,
         "answered 503: Redis cannot be read: gone (request ab12)\n"),
        (json.dumps(json.dumps({"message": "no view a\x1bb"})), 404, r"answered 404: no view a\x1bb" + "\n"),
        ('{"detail": "this server takes no writes"}', 403, "answered 403: this server takes no writes\n"),
        ('{"message": {"a": 1}}', 500, 'answered 500: {"message": {"a": 1}}\n'),
    ],
)  # fmt: skip
def test_a_server_that_is_none(here, text, status, said):
    with answering(text, status) as url:
        ran = here("get-online-features", "-f", "weather_features", "-e", "region=x", "--server", url)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_the_statuses_of_an_answer_are_explained(here):
    names = ["region", "temperature_avg", "precipitation", "wind_speed", "storm_index"]
    cells = [("x", "PRESENT"), (1.5, "PRESENT"), (None, "PRESENT"), (2.5, "OUTSIDE_MAX_AGE"), (None, "NOT_FOUND")]
    answer = {
        "metadata": {"feature_names": names},
        "results": [
            {"values": [value], "statuses": [status], "event_timestamps": ["2026-01-10T12:00:00Z"]}
            for value, status in cells
        ],
    }
    with answering(json.dumps(answer)) as url:
        ran = here("get-online-features", "-f", "weather_features", "-e", "region=x", "--server", url)
    assert (ran.status, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines()]
    assert [line[-3:] for line in lines[1:5]] == [
        ["1.5", "2026-01-10T12:00:00Z", "PRESENT"],
        ["null", "2026-01-10T12:00:00Z", "PRESENT"],
        ["2.5", "2026-01-10T12:00:00Z", "OUTSIDE_MAX_AGE"],
        ["-", "2026-01-10T12:00:00Z", "NOT_FOUND"],
    ]
    assert ran.out.splitlines()[5:] == [
        "OUTSIDE_MAX_AGE: the row is older than the ttl of its view",
        "NOT_FOUND: nothing is stored for this entity and feature",
    ]


def test_what_the_server_says_of_a_missing_entity_is_shown(here, server):
    ran = here("get-online-features", "files", "-f", "weather_features:wind_speed", "-e", "region=nobody")
    assert ran.out.splitlines()[1].split() == ["nobody", "wind_speed", "-", "-", "NOT_FOUND"]
    assert ran.out.splitlines()[2].startswith("NOT_FOUND: nothing is stored")


def test_doctor_finds_all_well(here):
    ran = here("doctor", "files")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["WHAT", "STATE", "MS", "DETAIL"]
    assert all(" ok " in line for line in lines[1:]), ran.out
    assert "3 views registered, 0 objects of Feast's alone" in ran.out
    assert "weather.parquet: 1 file, " in ran.out
    findings = json.loads(here("doctor", "files", "--json").out)
    assert [list(finding) for finding in findings] == [["what", "state", "detail", "milliseconds"]] * 7


def test_doctor_names_a_source_that_is_not_there(here):
    Path("elsewhere").mkdir()
    ran = here("doctor", "files", "--data-root", "elsewhere")
    assert ran.status == 2
    assert ran.out.count("fail") == 3
    assert "there is nothing at" in ran.out


def test_three_files_with_problems_are_all_shown_and_nothing_is_applied(here):
    shutil.copytree("files", "right")
    edit("commodity-price-features.yaml", "type: Float64", "type: Flaot64")
    edit("economic-features.yaml", "ttl: 7d", "ttl: a week")
    edit("services.yaml", "name: supply-risk-v1", "name: Supply Risk")
    edit("weather-features.yaml", "ttl: 6h", "ttl: 5h")  # right, and not applied either
    ran = here("apply", "files")
    assert (ran.status, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert sum("commodity-price-features.yaml:" in line and "'Flaot64' is no type" in line for line in lines) == 8
    assert (
        sum("economic-features.yaml:" in line and "spec.ttl: 'a week' is not a duration" in line for line in lines) == 1
    )
    assert sum("services.yaml:" in line and "metadata.name: 'Supply Risk'" in line for line in lines) == 1
    assert lines[-1].endswith(" problems; nothing was done")
    assert json.loads(here("plan", "right", "--json").out) == [nothing_to_change()]


def test_a_change_that_is_never_made_in_place_is_refused_by_plan_and_apply(here):
    edit("weather-features.yaml", "name: storm_index\n      type: Float64", "name: storm_index\n      type: Int64")
    said = "the type of 'storm_index' is immutable (Float64 is registered, Int64 declared)"
    make_integers("weather.parquet", "storm_index")
    ran = here("plan", "files", "--data-root", "data")
    assert ran.status == 2
    assert f"  ! feature view 'weather_features': {said}" in ran.out
    ran = here("apply", "files", "--data-root", "data")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def edit(name, old, new):
    file = Path("files", name)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def make_integers(name, column):
    """A copy of the data whose column is of whole numbers, so that only the registry objects."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    source = os.environ["FEATUREPLANE_DATA_ROOT"]
    shutil.copytree(source, "data")
    table = pq.read_table(f"data/{name}")
    index = table.schema.get_field_index(column)
    pq.write_table(table.set_column(index, column, pc.round(table[column]).cast(pa.int64())), f"data/{name}")


def test_hostile_text_is_planned_harmlessly(here):
    edit("weather-features.yaml", "description: Weather of", 'description: "\\e[31m[red]x[/red]\\r\\n+ made up"  # ')
    ran = here("plan", "files")
    assert ran.status == 1
    assert "\x1b" not in ran.out
    assert r"\x1b[31m[red]x[/red]\r\n+ made up" in ran.out
    assert not any(line.startswith("+ made up") for line in ran.out.splitlines())


def test_what_is_not_declared_stays_unless_it_is_pruned(here):
    Path("files/services.yaml").unlink()
    ran = here("plan", "files")
    assert (ran.status, ran.out.splitlines()[0]) == (0, "254carbon: nothing to change")
    assert "stays, not declared; --prune removes it" in ran.out
    ran = here("plan", "files", "--prune")
    assert (ran.status, ran.out.splitlines()[0]) == (1, "254carbon: 0 to add, 0 to change, 3 to remove")
    assert "  - feature_service supply_risk_v1" in ran.out


def test_an_imported_project_plans_to_nothing(here):
    ran = here("import", "--project", PROJECT, "--out", "imported")
    assert (ran.status, ran.out) == (0, f"{WROTE} imported\nnext: featureplane plan imported\n")
    ran = here("plan", "imported", "--json")
    (plan,) = json.loads(ran.out)
    assert (ran.status, plan["changes"], plan["kept"], plan["refused"]) == (0, [], [], [])
    ran = here("import", "--project", "nobody", "--out", "other")
    assert ran.status == 2
    assert ran.err.endswith("holds no project 'nobody'\n")
    assert not Path("other").exists()


def test_a_view_that_is_not_registered_is_named_when_it_is_meant(here):
    edit("weather-features.yaml", "  name: weather-features", "  name: storms")
    Path("files/services.yaml").unlink()
    ran = here("materialize", "files")
    assert (ran.status, ran.err) == (2, "not registered yet: storms; run featureplane apply first\n")


def test_a_project_without_a_registered_view_is_not_served(here):
    edit("project.yaml", "project: 254carbon", "project: unknown")
    ran = here("serve", "files", "--port", "0")
    assert ran.status == 2
    assert ran.err == "no view of the project 'unknown' is registered yet; run featureplane apply first\n"


def test_a_port_in_use_is_named(here):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = here("serve", "files", "--port", str(port))
    assert ran.status == 2
    assert ran.err.startswith(f"cannot listen on 127.0.0.1:{port} (Address already in use)")


def test_a_server_that_cannot_start_leaves_the_log_of_another_alone(tmp_path):
    log = tmp_path / "server.log"
    with log_of_its_own(log) as of_another:
        of_another.write("what it said\n")
        of_another.flush()
        with log_of_its_own(log) as words:
            words.write("cannot listen\n")
    assert log.read_text() == "what it said\ncannot listen\n"
    with log_of_its_own(log):
        assert log.read_text() == ""


@pytest.mark.parametrize(
    ("is_running", "error"), [(False, FeatureplaneError("the server ended")), (True, NotReady("not ready"))]
)
def test_a_server_that_fails_is_said_to_have_a_log(example, tmp_path, monkeypatch, is_running, error):
    """Other errors of a command whose server runs on have nothing to do with it."""
    monkeypatch.setattr("featureplane.cli.serve.serving", lambda *_: nullcontext(server))
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", str(tmp_path))
    server = SimpleNamespace(is_running=is_running, url="http://127.0.0.1:1")
    workspace = open_workspace([str(example.folder / "files")], None, None, look_at_sources=False)

    def fail(failure):
        with announced(workspace, None, Where()):
            raise failure

    with pytest.raises(FeatureplaneError, match=rf"^{error}; what it said is in \S*server\.log$"):
        fail(error)
    server.is_running = True
    with pytest.raises(PlanRefused, match=r"^no$"):
        fail(PlanRefused(["no"]))
