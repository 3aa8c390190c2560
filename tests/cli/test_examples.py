"""`make example` and `make demo`; and what each example's server answers, beside its files and Feast's own server."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cli.commands import PATIENCE, ROOT, clean_environment
from featureplane.cli.online import rows_of
from featureplane.cli.workspace import definitions, registered
from featureplane.rendering.repo import render

sys.path.append(str(ROOT / "tools"))

import example as tool
from example_source import compare_with_source, features_of, newest_rows

MOST_ENTITIES = 100
MOST_LABELS = 40
# A row must not outlive its ttl while it is compared.
SLACK = timedelta(minutes=5)


def command(*arguments):
    return subprocess.run([sys.executable, ROOT / "tools" / "example.py", *arguments], env=clean_environment(),
                          capture_output=True, text=True, timeout=3 * PATIENCE, check=False)  # fmt: skip


@pytest.mark.timeout(400)
def test_the_demo_runs_to_its_end():
    done = command("commodity", "--port", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    headings = [
        line.removeprefix("== ").split(":")[0].split(" at ")[0]
        for line in done.stdout.splitlines()
        if line[:3] == "== "
    ]
    assert headings == [
        "stores up", "generate commodity data", "validate", "plan", "apply", "materialize", "serve", "POST http",
        "compare with the source", "how long each step took",
    ]  # fmt: skip
    assert done.stdout.count("Succeeded") == 3
    assert re.search(r"crude_oil_wti +current_price +\d+\.\d+ ", done.stdout)
    assert "12 values served: each is that of the newest row in its file" in done.stdout


@pytest.mark.parametrize(("name", "said"), [("", "an example has to be named"), ("frud", "'frud' is no example")])
def test_a_name_that_is_none_is_told_all_that_are(name, said):
    done = command(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{said}; write NAME= and one of {', '.join(tool.NAMES)}" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_folder_of_the_examples_can_be_run_and_has_a_page():
    assert {path.parent.name for path in (ROOT / "examples").glob("*/generate.py")} == set(tool.NAMES)
    assert {str(path.parent.relative_to(ROOT / "examples")) for path in (ROOT / "examples").rglob("project.yaml")} == {
        part.folder for part in tool.PARTS
    }
    pages = {path.stem for path in (ROOT / "docs" / "systems").glob("*.md")}
    assert pages == {*tool.NAMES, "README"}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", tool.NAMES)
def test_what_an_example_serves_is_what_its_files_and_feasts_server_say(name, tmp_path, monkeypatch):
    with tool.stores_up() as stores:
        tool.generate(name, tmp_path / "data")
        seen = {}
        for part in [part for part in tool.PARTS if part.example == name]:
            with tool.served(part, stores, tmp_path / "data", 0) as up:
                tool.ask_for(part, up)
                with monkeypatch.context() as patch:
                    for variable, value in stores.environment().items():
                        patch.setenv(variable, value)
                    store = feasts_store(up, tmp_path / part.folder)
                    compare_views(up, store)
                    compare_training_set(up, store, part)
            seen[up.workspace.feast_project] = registered(stores, up.workspace.feast_project).definitions
        # A project that came later has changed none of those before.
        assert seen == {project: registered(stores, project).definitions for project in seen}


def feasts_store(up, folder):
    """Feast's SDK in the rendered repo; the environment must name the stores."""
    from feast import FeatureStore

    folder.mkdir(parents=True)
    project = up.workspace.declarations.project
    for file, text in render(project, definitions(up.workspace)).items():
        (folder / file).write_text(text)
    return FeatureStore(repo_path=str(folder))


def compare_views(up, store):
    """Every view, for many entities: ours as the files have it, and letter by letter as Feast."""
    from feast.feature_server import get_app
    from starlette.testclient import TestClient

    with TestClient(get_app(store, registry_ttl_sec=0)) as feast:
        for view in up.workspace.declarations.views:
            entities = fresh_entities(up.workspace, view)
            names = [feature.name for feature in view.spec.features]
            body = {"features": [f"{view.feast_name}:{feature}" for feature in names], "entities": entities}
            ours = httpx.post(f"{up.url}/get-online-features", json=body, trust_env=False, timeout=PATIENCE).json()
            rows = rows_of(ours, [*entities, *names])
            references = [(view.feast_name, feature) for feature in names]
            (asked,) = entities.values()
            assert compare_with_source(up.workspace, references, entities, rows) == len(asked) * len(names)
            assert {cell["status"] for row in rows for cell in row.values()} == {"PRESENT"}
            theirs = feast.post("/get-online-features", json=body)
            assert by_name(ours) == by_name(json.loads(theirs.text)), view.feast_name


def fresh_entities(workspace, view):
    """Entities whose newest rows are still good for a while."""
    source, (entity,) = view.spec.source, view.spec.entities
    keys = pq.read_table(workspace.local_root / source.file.path)[entity.key].unique().to_pylist()
    newest = newest_rows(workspace, view, {entity.key: keys})
    oldest = datetime.now(UTC) - view.spec.ttl + SLACK
    fresh = [key for key, row in newest.items() if row[source.timestamp_field] > oldest]
    assert fresh
    return {entity.key: fresh[-MOST_ENTITIES:]}


def by_name(answer):
    return dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))


def compare_training_set(up, store, part):
    """Where there are labels, Feast joins to some of them what the files had at their moments, and nothing later."""
    file = up.workspace.local_root / "labels.parquet"
    if not file.exists():
        return
    labels = pd.read_parquet(file).sample(MOST_LABELS, random_state=1)
    made = store.get_historical_features(labels, features=store.get_feature_service(part.service)).to_df()
    assert len(made) == MOST_LABELS
    views = {view.feast_name: view for view in up.workspace.declarations.views}
    histories = {name: history_of(up.workspace, view) for name, view in views.items()}
    for row in made.to_dict("records"):
        for view, feature in features_of(up.workspace.declarations, part.service):
            (entity,) = views[view].spec.entities
            known = known_at(histories[view][row[entity.key]], row["event_timestamp"], views[view].spec.ttl)
            assert same(row[feature], known[feature]), (view, feature, row, known)


def history_of(workspace, view):
    """Rows of each entity, with their times first."""
    found = defaultdict(list)
    for row in pq.read_table(workspace.local_root / view.spec.source.file.path).to_pylist():
        found[row[view.spec.entities[0].key]].append((row[view.spec.source.timestamp_field], row))
    return found


def known_at(history, moment, ttl):
    return max((time, row) for time, row in history if moment - ttl <= time <= moment)[1]


def same(ours, source):
    return pd.isna(ours) if source is None else ours == source
