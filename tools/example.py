"""`make example NAME=fraud`, and `make demo`: an example on this machine, once, with the time of each step.

Its data are generated, and for each of its projects the FeatureViews are validated, planned and applied, their rows are
copied to Redis, and some entities are asked for over HTTP and compared with the source. Nothing stays.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run

from example_source import Entities, compare_with_source, features_of
from rich.text import Text

from featureplane.cli.asking import ask
from featureplane.cli.console import complain, counted, out, report
from featureplane.cli.online import rows_of, show
from featureplane.cli.plan import show as show_plan
from featureplane.cli.runs import newest_change, run_tasks, show_runs
from featureplane.cli.workspace import Workspace, definitions, open_workspace, registered, views_of
from featureplane.errors import FeatureplaneError
from featureplane.local.stores import embedded_stores
from featureplane.materialization.windows import due, view_plans
from featureplane.registry.plan import compare
from featureplane.registry.writer import Writer
from featureplane.serving.app import serving
from featureplane.serving.listening import Where
from featureplane.settings import Settings, Stores

EXAMPLES_FOLDER = Path(__file__).parents[1] / "examples"

_steps: list[tuple[str, float]] = []


@dataclass(frozen=True)
class Part:
    """One project of an example: its folder, and what to ask for when it is served."""

    folder: str
    service: str
    entities: Entities

    @property
    def example(self) -> str:
        return self.folder.partition("/")[0]

    def data(self, root: Path) -> Path:
        """Its part of what the generator wrote into `root`."""
        return root / self.folder.partition("/")[2]


@dataclass(frozen=True)
class Served:
    """A part that is registered and copied, and the server that answers for it."""

    workspace: Workspace
    stores: Stores
    url: str


PARTS = [
    Part("commodity", "price_forecast_v1", {"commodity_code": ["crude_oil_wti", "natural_gas"]}),
    Part("timetable", "scan_quality_v1", {"document": ["doc-00359", "doc-00360"]}),
    Part("products", "recommendations_v1", {"product_id": ["prod-00001", "prod-00002"]}),
    Part("model-platform/model-a", "churn_v1", {"customer_id": ["sub-00001", "sub-00002"]}),
    Part("model-platform/model-b", "default_risk_v1", {"customer_id": [7001, 7002]}),
    Part("fraud", "fraud_detection_v1", {"transaction_id": ["txn-009999", "txn-010000"]}),
]
NAMES = list(dict.fromkeys(part.example for part in PARTS))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and note how long it took."""
    out.print(Text(f"\n== {name}", style="bold cyan"))
    out.file.flush()  # before what a child prints
    start = time.perf_counter()
    yield
    _steps.append((name, time.perf_counter() - start))


def run_example(name: str, port: int, folder: Path) -> None:
    """Run every step in order; raises FeatureplaneError at the first that fails."""
    with ExitStack() as stack:
        with step("stores up: PostgreSQL and Redis"):
            stores = stack.enter_context(stores_up())
            out.print(f"{stores.postgres}\n{stores.redis}")
        generate(name, folder)
        for part in PARTS:
            if part.example == name:
                with served(part, stores, folder, port) as up:
                    ask_for(part, up)


@contextmanager
def stores_up() -> Iterator[Stores]:
    with embedded_stores(None, search_path=Settings.from_env().search_path) as embedded:
        yield Stores(embedded.postgres.with_database("feast"), embedded.redis)


def generate(name: str, folder: Path) -> None:
    with step(f"generate {name} data"):
        run([sys.executable, str(EXAMPLES_FOLDER / name / "generate.py"), "--out", str(folder)], check=True)


@contextmanager
def served(part: Part, stores: Stores, folder: Path, port: int, examples: Path = EXAMPLES_FOLDER) -> Iterator[Served]:
    """From validate to a server that is ready. `folder` has the data, `examples` the definitions."""
    with step(f"validate: {part.folder}"):
        workspace = open_workspace([str(examples / part.folder)], None, part.data(folder))
        declared = workspace.declarations
        out.print(f"{counted(len(declared.views), 'view')}, {counted(len(declared.services), 'service')}: right")
    # The server loads Feast while the registry is written: it looks at the registry again every other second.
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(declared.project, stores))
        writer.open()
        server = stack.enter_context(serving(declared.project, stores, workspace.repo_path, Where(port=port)))
        register(workspace, stores, writer)
        copy_rows(workspace, stores)
        with step(f"serve at {server.url}"):
            server.wait_until_ready()
        yield Served(workspace, stores, server.url)


def register(workspace: Workspace, stores: Stores, writer: Writer) -> None:
    with step(f"plan: {workspace.feast_project}"):
        known = registered(stores, workspace.feast_project)
        plan = compare(workspace.feast_project, definitions(workspace), known)
        show_plan(plan)
    with step(f"apply: {workspace.feast_project}"):
        result = writer.apply(plan)
        out.print(f"{result['written']} objects registered, each read back")


def copy_rows(workspace: Workspace, stores: Stores) -> None:
    with step("materialize: all rows within the ttl of each view"):
        now, seen = datetime.now(UTC), newest_change(workspace, stores)
        plans = view_plans(views_of(definitions(workspace)), workspace.declarations.project.spec.schedules)
        runs = run_tasks(workspace, stores, due(plans, now, {}), seen)
        show_runs(runs)
        if any(item.result != "Succeeded" or not item.rows_written for item in runs):
            raise FeatureplaneError("a view has no rows online")


def ask_for(part: Part, up: Served) -> None:
    references = features_of(up.workspace.declarations, part.service)
    with step(f"POST {up.url}/get-online-features"):
        answer = ask(up.url, {"feature_service": part.service, "entities": part.entities})
        rows = rows_of(answer, [*part.entities, *(name for _, name in references)])
        show(rows, list(part.entities))
    with step("compare with the source"):
        count = compare_with_source(up.workspace, references, part.entities, rows)
        out.print(f"{counted(count, 'value')} served: each is that of the newest row in its file")


def _name(text: str) -> str:
    if text not in NAMES:
        said = f"{text!r} is no example" if text else "an example has to be named"
        raise argparse.ArgumentTypeError(f"{said}; write NAME= and one of {', '.join(NAMES)}")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number up to 65535")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, usage="make example NAME=NAME [PORT=8080]")
    parser.add_argument("name", type=_name, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--port", type=_port, default=8080, help="port of the server")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="featureplane-example-") as folder:
        try:
            run_example(options.name, options.port, Path(folder))
        except FeatureplaneError as error:
            report(error)
            return 2
        except KeyboardInterrupt:
            complain("interrupted")
            return 130
    out.print(Text("\n== how long each step took", style="bold cyan"))
    for name, seconds in [*_steps, ("all", time.perf_counter() - start)]:
        out.print(f"{seconds:7.2f} s  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
