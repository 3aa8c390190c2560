"""`make bench-apply`: registering views, ours against `feast apply`, on the same PostgreSQL in one run.

1,000 views of 8 features; one changed view among 1,000; nothing changed; the plan alone; memory of the writer.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from harness import Result, a_view, median_seconds, report, seconds

from featureplane.local.stores import embedded_stores
from featureplane.model.declarations import ProjectDeclarations, declare
from featureplane.model.documents import Document
from featureplane.registry import catalogue
from featureplane.registry.database import begin, engine_for, ensure_database
from featureplane.registry.plan import Plan, compare
from featureplane.registry.writer import Writer
from featureplane.rendering import repo
from featureplane.rendering.definitions import define
from featureplane.settings import Settings, Stores, child_environment

CHANGES = 10


def declarations(views: int, changed: int | None = None, run: int = 0) -> ProjectDeclarations:
    """`views` views of one entity; the one with the number `changed` has another description."""
    documents = [Document("", a_view(number, run if number == changed else 0), {}) for number in range(views)]
    found, problems = declare(documents)
    assert not problems, problems[:3]
    return found[0]


class Bench:
    """One registry of ours and one of Feast's, on one server."""

    def __init__(self, stores: Stores, views: int) -> None:
        self.views = views
        self.ours = Stores(stores.postgres.with_database("ours"), stores.redis)
        self.theirs = Stores(stores.postgres.with_database("theirs"), stores.redis)
        self.engine = engine_for(self.ours.postgres)

    def plan(self, declared: ProjectDeclarations) -> Plan:
        project = declared.project.spec.project
        with begin(self.engine, self.ours.postgres) as connection:
            return compare(project, define(declared), catalogue.read(connection, project))

    def measure(self) -> list[Result]:
        declared = declarations(self.views)
        with Writer(declared.project, self.ours) as writer:
            writer.open()
            create = seconds(lambda: writer.apply(self.plan(declared)))
            assert self.plan(declared).is_empty
            unchanged = median_seconds(lambda: self.plan(declared), 5)
            changes = [declarations(self.views, changed=7, run=run + 1) for run in range(CHANGES)]
            change = sorted(seconds(lambda one=one: writer.apply(self.plan(one))) for one in changes)  # type: ignore[misc]
            memory = self._memory(writer)
        feast_create, feast_unchanged = self._feast(declared)
        return [
            Result("create_s", create, "s"),
            Result("create_feast_s", feast_create, "s"),
            Result("create_ratio", feast_create / create, "x"),
            Result("change_one_median_s", change[CHANGES // 2], "s", "at most 1"),
            Result("change_one_worst_s", change[-1], "s"),
            Result("unchanged_plan_s", unchanged, "s"),
            Result("unchanged_feast_s", feast_unchanged, "s"),
            Result("unchanged_ratio", feast_unchanged / unchanged, "x"),
            Result("writer_memory_mb", memory, "MB"),
        ]

    def _memory(self, writer: Writer) -> float:
        assert writer.pid is not None
        return float(psutil.Process(writer.pid).memory_full_info().pss) / 2**20

    def _feast(self, declared: ProjectDeclarations) -> tuple[float, float]:
        """`feast apply` of the same definitions into an empty database, and again with nothing changed."""
        ensure_database(self.theirs.postgres)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in repo.render(declared.project, define(declared)).items():
                Path(folder, name).write_text(text, encoding="utf-8")
            command = [str(Path(sys.executable).with_name("feast")), "-c", folder, "apply", "--skip-source-validation"]
            environment = child_environment(self.theirs)

            def apply() -> None:
                subprocess.run(command, env=environment, check=True, capture_output=True)

            return seconds(apply), seconds(apply)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=1000)
    views = parser.parse_args().views
    with embedded_stores(None, search_path=Settings.from_env().search_path) as stores:
        bench = Bench(stores, views)
        ensure_database(bench.ours.postgres)
        report("apply", bench.measure())


if __name__ == "__main__":
    main()
