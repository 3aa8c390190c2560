"""The look into file sources before anything is registered; real files."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from factories import a_feature, a_feature_view, a_postgres_source, a_project, a_source, an_entity, declared
from featureplane.materialization.sources import inspect

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = {"commodity": ["gold"], "event_timestamp": [NOW], "price": [1.5]}


def problems(root, view, *more):
    (project,) = declared(view, *more)
    return [str(problem) for problem in inspect(project, root)]


def write(root, rows, name="prices.parquet"):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(rows), root / name)


def test_a_source_in_order_has_no_problem(tmp_path):
    write(tmp_path, ROWS)
    assert problems(tmp_path, a_feature_view()) == []


def test_a_source_that_is_not_there_is_named_with_file_line_and_place(tmp_path):
    (problem,) = problems(tmp_path, a_feature_view())
    assert problem.startswith("features.yaml:")
    assert f"spec.source.file.path: there is nothing at {tmp_path / 'prices.parquet'}" in problem


def test_a_glob_and_a_folder_are_looked_into(tmp_path):
    write(tmp_path, ROWS, "parts/day=1.parquet")
    for path in ("parts/*.parquet", "parts"):
        assert problems(tmp_path, a_feature_view(source=a_source(file={"path": path}))) == []
    assert "nothing at" in problems(tmp_path, a_feature_view(source=a_source(file={"path": "other/*.parquet"})))[0]


def test_a_delta_table_is_looked_into(tmp_path):
    write_deltalake(str(tmp_path / "prices"), pa.table(ROWS))
    source = a_source(file={"path": "prices", "format": "delta"})
    assert problems(tmp_path, a_feature_view(source=source)) == []
    (problem,) = problems(tmp_path, a_feature_view(source=source, features=[a_feature("volume")]))
    assert "has no column 'volume'" in problem


def test_a_file_that_is_no_parquet_is_a_problem_and_no_crash(tmp_path):
    (tmp_path / "prices.parquet").write_text("price\n1\n")
    (problem,) = problems(tmp_path, a_feature_view())
    assert "cannot be read" in problem


def test_every_missing_column_is_listed_with_its_field(tmp_path):
    write(tmp_path, {"x": [1]})
    found = problems(tmp_path, a_feature_view(source=a_source(createdTimestampColumn="created")))
    paths = [problem.split(": ")[1] for problem in found]
    assert paths == [
        "spec.source.timestampField",
        "spec.source.createdTimestampColumn",
        "spec.entities[0].joinKey",
        "spec.features[0].name",
    ]


def test_a_mapped_column_is_looked_for_under_its_own_name(tmp_path):
    write(tmp_path, {"commodity": ["gold"], "event_timestamp": [NOW], "px": [1.5]})
    assert problems(tmp_path, a_feature_view(source=a_source(fieldMapping={"px": "price"}))) == []


@pytest.mark.parametrize(
    ("kind", "column", "fits"),
    [
        ("Float64", pa.array([1]), True),
        ("Int64", pa.array([1.5]), True),  # which rows are no whole numbers is for the run to say
        ("Int64", pa.nulls(1), True),
        ("Int64", pa.array(["1"]), False),
        ("String", pa.array(["a"]), True),
        ("String", pa.array([1]), True),
        ("String", pa.array([1.5]), False),
        ("Bytes", pa.array([b"a"]), True),
        ("Bool", pa.array([1]), False),
        ("UnixTimestamp", pa.array([NOW]), True),
        ("Array(Float32)", pa.array([[1.5]]), True),
        ("Array(Float32)", pa.array([1.5]), False),
        ("Map", pa.array([1]), True),  # not judged: Feast takes maps in several forms
    ],
)
def test_types_that_cannot_be_read_as_declared_are_a_problem(tmp_path, kind, column, fits):
    write(tmp_path, {**ROWS, "price": column})
    found = problems(tmp_path, a_feature_view(features=[a_feature(type=kind)]))
    assert (found == []) == fits
    assert fits or f"which is no {kind}" in found[0]


def test_a_time_that_is_text_is_a_problem(tmp_path):
    write(tmp_path, {**ROWS, "event_timestamp": ["2026-03-01"]})
    (problem,) = problems(tmp_path, a_feature_view())
    assert "not a timestamp" in problem


def test_a_join_key_of_another_type_is_a_problem(tmp_path):
    write(tmp_path, ROWS)
    (problem,) = problems(tmp_path, a_feature_view(entities=[an_entity(type="Int64")]))
    assert "spec.entities[0].joinKey" in problem


def test_a_database_is_not_asked(tmp_path):
    project = a_project(offlineStore={"type": "postgres"})
    assert problems(tmp_path, a_feature_view(source=a_postgres_source()), project) == []
