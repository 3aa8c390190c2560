"""Whatever a user gets wrong before a store is asked: one clear text on standard error, status 2, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    "validate", "render", "plan", "apply", "materialize", "serve", "up", "doctor", "get-online-features", "import",
    "row-history", "roll-back", "delete-rows",
]  # fmt: skip
VIEWS = """\
apiVersion: featureplane.dev/v1alpha1
kind: FeatureView
metadata: {name: trips}
spec:
  entities: [{name: driver, joinKey: driver_id, type: Int64}]
  features: [{name: trips_today, type: Int64}]
  source: {file: {path: trips.parquet}, timestampField: event_timestamp}
---
apiVersion: featureplane.dev/v1alpha1
kind: FeatureView
metadata: {name: archived}
spec:
  online: false
  entities: [{name: driver, joinKey: driver_id, type: Int64}]
  features: [{name: trips_ever, type: Int64}]
  source: {file: {path: trips.parquet}, timestampField: event_timestamp}
"""
OTHER_PROJECT = """\
---
apiVersion: featureplane.dev/v1alpha1
kind: FeastProject
metadata: {name: feast}
spec: {project: feast}
---
apiVersion: featureplane.dev/v1alpha1
kind: FeastProject
metadata: {name: second}
spec: {project: other_name}
"""
ONE_PROJECT = "is not one of the files' projects; they hold feast (feast)"
TWO_PROJECTS = "the files hold the projects feast (feast), second (other_name); choose one with --project"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "views.yaml").write_text(VIEWS)
    return tmp_path / "files"


def test_the_help_of_every_command_fits_80_columns_and_has_no_boxes(featureplane):
    for command in ("", *COMMANDS):
        ran = featureplane(*command.split(), "--help")
        assert (ran.status, ran.err) == (0, "")
        assert max(map(len, ran.out.splitlines())) <= 80, ran.out
        assert ran.out.isascii()
        assert "..." not in ran.out.replace("[ARGS]...", "").replace("[PATH]...", "").replace("}...", "").replace(
            "[,VALUE...]", ""
        ), ran.out


def test_without_a_command_the_help_is_shown(featureplane):
    ran = featureplane()
    assert ran.status == 2
    assert all(f"  {command} " in ran.out + ran.err for command in COMMANDS)


def test_the_version(featureplane):
    ran = featureplane("--version")
    assert ran.status == 0
    assert ran.out.startswith("featureplane ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["plan"], "Missing argument 'PATH'"),
        (["plan", "files", "--nonsense"], "No such option: --nonsense"),
        (["render", "files"], "Missing option '--out'"),
        (["get-online-features", "files"], "Missing option '--entity'"),
        (["serve", "files", "--port", "65536"], "Invalid value for '--port'"),
        (["serve", "files", "--port", "http"], "Invalid value for '--port'"),
        (["serve", "files", "--grpc-port", "65536"], "Invalid value for '--grpc-port'"),
        (["serve", "files", "--tls-cert", "a.crt"], "--tls-cert and --tls-key go together; give both or neither"),
        (["serve", "files", "--host", " "], "it is empty; name an address, like 127.0.0.1"),
        (["up", "files", "missing"], "missing: is not there; name a file, a folder or - for standard input"),
        (["up", "-"], "- can be read only once, and up reads again; name a file or a folder"),
        (["plan", "files", "--data-root", "missing"], "the data root missing is not a folder; name one that is there"),
        (["render", "files", "--out", "new", "--project", "x"], f"--project 'x' {ONE_PROJECT}"),
        (["materialize", "files", "--project", "[red]x\x1b"], f"--project '[red]x\\x1b' {ONE_PROJECT}"),
        (["materialize", "files", "--window", "soon"], "--window 'soon' is not a duration; write days, hours, minutes"),
        (["materialize", "files", "--window", "0h"], "--window '0h' is no time at all"),
        (["materialize", "files", "--schedule", "x"], "--schedule 'x' is not one of the project's; its schedules are"),
        (["materialize", "files", "--view", "x"], "--view 'x' is not one of the files' views; they hold archived,"),
        (["materialize", "files", "--view", "archived"], "--view 'archived' has online: false, so none of its rows go"),
        (["get-online-features", "files", "-e", "driver_id=1"], "name features with --feature, or a feature service"),
        (["import", "--out", "new"], "name the folder of a Feast repo, or a project of the registry with --project"),
        (["import", "files", "--out", "new", "--project", "x"], "name the folder of a Feast repo, or a project of the"),
        (["import", "files", "--out", "new"], "files holds no feature_store.yaml; name the folder of a Feast repo"),
        (["import", "files", "--out", "files"], "files is there and not empty; name another folder with --out"),
        (["render", "files", "--out", "files/views.yaml"], "files/views.yaml is not a folder"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line(featureplane, files, arguments, said):
    ran = featureplane(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())
    assert "\x1b" not in ran.err


@pytest.mark.parametrize(
    "command", ["render --out new", "materialize", "serve", "up", "get-online-features -f x -e y=1"]
)
def test_files_of_two_projects_need_a_choice(featureplane, files, command):
    (files / "project.yaml").write_text(OTHER_PROJECT)
    ran = featureplane(*command.split(), "files")
    assert (ran.status, ran.err) == (2, f"{TWO_PROJECTS}\n")


def test_a_source_that_is_not_there_is_a_problem_with_file_and_line(featureplane, files):
    ran = featureplane("validate", "files")
    lines = ran.err.splitlines()
    assert ran.status == 2
    assert lines[0].startswith("files/views.yaml:7: spec.source.file.path: there is nothing at ")
    assert lines[0].endswith("/data/trips.parquet; correct the path, or name another --data-root")
    assert lines[-1] == "2 problems; nothing was done"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FEATUREPLANE_STORES", "cluster", "FEATUREPLANE_STORES: 'cluster' is not known; write one of local,"),
        ("FEATUREPLANE_REDIS_PORT", "tcp://10.0.0.1:1", "FEATUREPLANE_REDIS_PORT: 'tcp://10.0.0.1:1' is not allowed"),
        ("FEATUREPLANE_DATA_ROOT", "nowhere", "the data root nowhere is not a folder; name one that is there with"),
    ],
)  # fmt: skip
def test_a_variable_with_a_value_that_cannot_be(featureplane, files, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    ran = featureplane("plan", "files")
    assert ran.status == 2
    assert said in ran.err


ASKS_THE_REGISTRY = [
    "plan", "apply", "materialize", "doctor", "serve --port 0", "up --port 0", "import --project x --out new",
    "get-online-features -f trips -e driver_id=1",
]  # fmt: skip


@pytest.mark.parametrize("command", ASKS_THE_REGISTRY)
def test_a_registry_that_does_not_answer_is_named_without_its_password(featureplane, files, monkeypatch, command):
    source = files.parent / "data" / "trips.parquet"
    source.parent.mkdir()
    write_trips(source)
    secret = "do-not-show"
    here = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "u", "PGDATABASE": "d", "PGPASSWORD": secret}
    redis = {"HOST": "127.0.0.1", "PORT": "1", "PASSWORD": secret}
    for name, value in [*here.items(), *((f"FEATUREPLANE_REDIS_{name}", value) for name, value in redis.items())]:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FEATUREPLANE_STORES", "environment")
    name, *options = command.split()
    ran = featureplane(name, *options, *([] if name == "import" else ["files"]))
    assert ran.status == 2
    said = ran.out + ran.err
    assert "the registry at postgresql://127.0.0.1:1/d does not answer: " in said
    assert "Connection refused" in said
    assert secret not in said
    if name == "doctor":  # goes on to the other store
        assert "Redis at redis://127.0.0.1:1/0 does not answer" in said


def write_trips(path):
    import datetime as dt

    import pyarrow as pa
    import pyarrow.parquet as pq

    time = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    columns = {"driver_id": [1], "trips_today": [1], "trips_ever": [1], "event_timestamp": time}
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("state", ["file/below", "file"])
def test_a_state_folder_that_cannot_be_one_is_named_with_the_way_out(featureplane, files, monkeypatch, state):
    (files.parent / "file").write_text("")
    write_trips(files / "trips.parquet")
    monkeypatch.setenv("FEATUREPLANE_STATE_DIR", state)
    ran = featureplane("plan", "files", "--data-root", "files")
    assert ran.status == 2
    assert ran.err.startswith(f"the state folder {state} cannot be used: ")
    assert ran.err.endswith("; set FEATUREPLANE_STATE_DIR to a folder of yours\n")


def test_render_writes_a_repo_and_writes_it_again_but_never_over_another(featureplane, files):
    for _ in range(2):
        ran = featureplane("render", "files", "--out", "repo", "--data-root", "files")
        assert (ran.status, ran.err) == (0, "")
    names = ["definitions.json", "feature_store.yaml", "featureplane_loader.py"]
    assert sorted(path.name for path in (files.parent / "repo").iterdir()) == names
    theirs = files.parent / "repo" / "feature_store.yaml"
    theirs.write_text("project: mine\n")
    ran = featureplane("render", "files", "--out", "repo", "--data-root", "files")
    assert (ran.status, theirs.read_text()) == (2, "project: mine\n")
    assert ran.err == "repo holds a Feast repo that is not of Featureplane's making; name another --out\n"


def test_a_reader_that_goes_away_gets_no_traceback_and_no_answer_of_plan(place, files):
    write_trips(files / "trips.parquet")
    for options in ("", "--json"):
        script = f"featureplane validate files --data-root files {options} 2>err | true; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], cwd=place.folder, env=place.environment(),
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert done.stdout in {"141\n", "0\n"}  # 0: it was done before its reader went
        assert (place.folder / "err").read_text() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_is_no_traceback(place, files):
    write_trips(files / "trips.parquet")
    ran = place("validate", "files", "--data-root", "files", prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert (ran.status, ran.err) == (2, "the system refused: [Errno 28] No space left on device\n")


def test_the_operator_does_not_load_what_only_other_commands_need():
    """It lives for weeks, and that would be a third of its memory."""
    program = (
        "import sys; sys.argv = ['featureplane', 'operator', '--help']\n"
        "from featureplane.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted(set(sys.modules) & {'numpy', 'pyarrow', 'redis'}), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"


@pytest.mark.parametrize("path", ["my repo", ".", "my repo/feature_store.yaml"])
@pytest.mark.parametrize("command", ["serve", "validate", "plan"])
def test_a_feast_repo_in_place_of_objects_is_told_what_takes_it(featureplane, command, path):
    repo = Path("my repo")
    repo.mkdir()
    (repo / "feature_store.yaml").write_text("project: shop\nprovider: local\n")
    ran = featureplane(command, path)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines()[0] == (
        "my repo/feature_store.yaml:1: is the configuration of a Feast repo and no object; featureplane serve "
        "--feast-repo 'my repo' serves it, featureplane import 'my repo' --out NEW converts it"
    )
