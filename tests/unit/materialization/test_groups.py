"""Which views are copied together."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featureplane.materialization import groups
from featureplane.materialization.columnar_views import ColumnarView
from featureplane.materialization.copying import WriteOptions
from featureplane.materialization.rows import View
from featureplane.materialization.windows import BEGINNING, Task

SIZES = {"nothing": None, "empty": None, "small": 1000, "half": 300_000_000, "large": 900_000_000}


def view(name: str, path: str, key: str, kind: str = "file") -> ColumnarView:
    source = {"type": kind, "path": path, "format": "parquet", "field_mapping": {}}
    return ColumnarView(View("p", name, ((key, "Int64"),), (("f", "Int64"),), source), WriteOptions())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(SIZES)), st.sampled_from("ab"), st.booleans()), max_size=12))
def test_every_task_is_in_one_group(tmp_path: Path, drawn: list[tuple[str, str, bool]]) -> None:
    (tmp_path / "empty").mkdir(exist_ok=True)
    for name in ("small", "half", "large"):
        with (tmp_path / f"{name}.parquet").open("wb") as file:
            file.truncate(SIZES[name])
    paths = {"empty": "empty", "nothing": "nothing*.parquet"}
    known = {
        f"v{number}": view(f"v{number}", paths.get(size, f"{size}.parquet"), key)
        for number, (size, key, is_known) in enumerate(drawn)
        if is_known
    }
    tasks = [Task(f"v{number}", BEGINNING, BEGINNING, "job") for number in range(len(drawn))]
    found = groups.grouped(tasks, known, tmp_path)
    assert sorted((task for group in found for task in group), key=tasks.index) == tasks
    for group in found:
        assert group
        if len(group) > 1:
            assert len({known[task.view].view.keys for task in group}) == 1
            sizes = [SIZES[drawn[tasks.index(task)][0]] for task in group]
            assert all(size is not None and size <= 64_000_000 for size in sizes)


def test_small_views_of_one_entity_go_together(tmp_path: Path) -> None:
    (tmp_path / "small.parquet").write_bytes(b"x")
    known = {name: view(name, "small.parquet", key) for name, key in (("a", "k"), ("b", "other"), ("c", "k"))}
    tasks = [Task(name, BEGINNING, BEGINNING, "job") for name in known]
    assert groups.grouped(tasks, known, tmp_path) == [[tasks[0], tasks[2]], [tasks[1]]]
