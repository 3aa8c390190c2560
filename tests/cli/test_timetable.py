"""examples/timetable from its files to its values: pushed views, text and bytes, a source that is missing for once."""

import json
from datetime import timedelta

import pytest

from cli.newest import newest_rows, times

EXAMPLE = "timetable"
VIEWS = {
    "document_features": ("documents.parquet", timedelta(days=365)),
    "ocr_features": ("ocr.parquet", timedelta(days=365)),
    "timetable_features": ("timetables.parquet", timedelta(days=180)),  # gone when rows are copied
}
COPIED = ["document_features", "ocr_features"]
KEY = "document"


@pytest.fixture(scope="module")
def registered(example):
    """Validated, planned and applied; what each said."""
    return {name: example(name, "files") for name in ("validate", "plan", "apply")}


@pytest.fixture(scope="module")
def answers(example, registered):
    """What was copied without one of the files, and what a server for the moment answers for every document."""
    (example.folder / "data" / "timetables.parquet").rename(example.folder / "kept")
    copied = example("materialize", "files")
    (example.folder / "kept").rename(example.folder / "data" / "timetables.parquet")
    documents = list(expected(example, "ocr_features"))
    features = [word for view in VIEWS for word in ("-f", view)]
    asked = example("get-online-features", "files", *features, "-e", f"{KEY}={','.join(documents)}", "--json")
    return copied, asked


def expected(example, view):
    file, ttl = VIEWS[view]
    return newest_rows(example.folder / "data" / file, KEY, ttl)


def test_it_is_right_planned_and_registered(example, registered):
    assert {name: ran.status for name, ran in registered.items()} == {"validate": 0, "plan": 1, "apply": 0}
    assert registered["validate"].out == "timetable: project timetable, 3 views, 3 services; sources checked\n"
    assert "  + data_source ocr_features_push" in registered["plan"].out
    ran = example("plan", "files")
    assert (ran.status, ran.out) == (0, "timetable: nothing to change\n")


def test_a_missing_source_fails_its_own_view_and_no_other(example, answers):
    copied, _ = answers
    assert copied.status == 1
    lines = [line.split() for line in copied.out.splitlines()]
    assert lines[0] == ["VIEW", "RUN", "READ", "WRITTEN", "SKIPPED", "REJECTED", "NEWEST", "EVENT", "TIME", "RESULT"]
    assert {line[0]: (line[1:3], line[4:7], line[-1]) for line in lines[1:]} == {
        **{view: (["initial", "365d"], [str(len(expected(example, view))), "0", "0"], "Succeeded") for view in COPIED},
        "timetable_features": (["initial", "180d"], ["-", "-", "-"], "Failed"),
    }
    assert "timetable_features: there is nothing at " in copied.err
    assert "timetable-features.yaml:33: spec.source.file.path: there is nothing at " in copied.err


@pytest.mark.parametrize("view", VIEWS)
def test_what_is_online_is_the_newest_row_of_the_file(example, answers, view):
    _, asked = answers
    assert asked.status == 0, asked.err
    rows = json.loads(asked.out)
    wanted = expected(example, view)
    columns = [name for name in next(iter(wanted.values())) if name not in {KEY, "event_timestamp", "created"}]
    assert {row[KEY]["value"] for row in rows} >= wanted.keys()
    for row in rows:
        cells = {name: row[name] for name in columns}
        source = wanted[row[KEY]["value"]] if view in COPIED else dict.fromkeys(columns)
        assert {name: cell["value"] for name, cell in cells.items()} == {name: source[name] for name in columns}
        if view in COPIED:
            assert {times(cell) for cell in cells.values()} == {source["event_timestamp"]}


def test_a_pruned_service_goes_and_everything_else_stays(example, registered):
    text = (example.folder / "files" / "services.yaml").read_text()
    example.write("fewer/services.yaml", text[: text.rindex("---")])
    for name in ("project", "document-features", "ocr-features", "timetable-features"):
        example.write(f"fewer/{name}.yaml", (example.folder / "files" / f"{name}.yaml").read_text())
    ran = example("apply", "fewer", "--prune", "--json")
    assert ran.status == 0, ran.err
    (plan,) = json.loads(ran.out)
    changes = [(change["action"], change["kind"], change["name"]) for change in plan["changes"]]
    assert changes == [("remove", "feature_service", "scan_quality_v1")]
    ran = example("plan", "fewer", "--prune")
    assert (ran.status, ran.out) == (0, "timetable: nothing to change\n")
