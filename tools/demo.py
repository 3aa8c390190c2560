"""`make demo`: the whole path on this machine, once, with the time of each step.

Commodity data are generated, the FeatureViews of examples/commodity are validated, planned and applied, their rows are
copied to Redis with the hourly and the daily window, and two commodities are asked for over HTTP. Nothing stays.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import run

from rich.text import Text

from featureplane.cli.asking import ask
from featureplane.cli.console import complain, counted, out, report
from featureplane.cli.online import rows_of, show
from featureplane.cli.plan import show as show_plan
from featureplane.cli.runs import newest_change, run_tasks, show_runs
from featureplane.cli.workspace import Workspace, definitions, open_workspace, registered, views_of
from featureplane.errors import FeatureplaneError
from featureplane.local.stores import embedded_stores
from featureplane.materialization.windows import Task, scheduled, view_plans
from featureplane.registry.plan import compare
from featureplane.registry.writer import Writer
from featureplane.serving.app import serving
from featureplane.serving.listening import Where
from featureplane.settings import Settings, Stores

EXAMPLE = Path(__file__).parents[1] / "examples" / "commodity"
VIEW = "commodity_price_features"
COMMODITIES = ["crude_oil_wti", "natural_gas"]

_steps: list[tuple[str, float]] = []


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and note how long it took."""
    out.print(Text(f"\n== {name}", style="bold cyan"))
    out.file.flush()  # before what a child prints
    start = time.perf_counter()
    yield
    _steps.append((name, time.perf_counter() - start))


def demo(port: int, folder: Path) -> None:
    """Run every step in order; raises FeatureplaneError at the first that fails."""
    with ExitStack() as stack:
        with step("stores up: PostgreSQL and Redis"):
            embedded = stack.enter_context(embedded_stores(None, search_path=Settings.from_env().search_path))
            stores = Stores(embedded.postgres.with_database("feast"), embedded.redis)
            out.print(f"{stores.postgres}\n{stores.redis}")
        with step("generate commodity data"):
            run([sys.executable, str(EXAMPLE / "generate.py"), "--out", str(folder)], check=True)
        with step("validate"):
            workspace = open_workspace([str(EXAMPLE)], None, folder)
            declared = workspace.declarations
            out.print(f"{counted(len(declared.views), 'view')}, {counted(len(declared.services), 'service')}: right")
        # The server loads Feast while the registry is written: it looks at the registry again every other second.
        writer = stack.enter_context(Writer(declared.project, stores))
        writer.open()
        server = stack.enter_context(serving(declared.project, stores, workspace.repo_path, Where(port=port)))
        register(workspace, stores, writer)
        copy_rows(workspace, stores)
        with step(f"serve at {server.url}"):
            server.wait_until_ready()
        ask_for(server.url)


def register(workspace: Workspace, stores: Stores, writer: Writer) -> None:
    with step("plan"):
        known = registered(stores, workspace.feast_project)
        plan = compare(workspace.feast_project, definitions(workspace), known)
        show_plan(plan)
    with step("apply"):
        result = writer.apply(plan)
        out.print(f"{result['written']} objects registered, each read back")


def copy_rows(workspace: Workspace, stores: Stores) -> None:
    with step("materialize: the hourly and the daily window"):
        now, seen = datetime.now(UTC), newest_change(workspace, stores)
        plans = view_plans(views_of(definitions(workspace)), workspace.declarations.project.spec.schedules)
        tasks = [Task(item.name, *scheduled(now, item.window, None), job=item.schedule) for item in plans]
        runs = run_tasks(workspace, stores, tasks, seen)
        show_runs(runs)
        if any(item.result != "Succeeded" or not item.rows_written for item in runs):
            raise FeatureplaneError("a view has no rows online")


def ask_for(url: str) -> None:
    with step(f"POST {url}/get-online-features"):
        features = ["current_price", "price_change_24h", "ma_7d", "rsi_14d"]
        request = {"features": [f"{VIEW}:{name}" for name in features], "entities": {"commodity_code": COMMODITIES}}
        rows = rows_of(ask(url, request), ["commodity_code", *features])
        show(rows, ["commodity_code"])
        if any(cell["value"] is None for row in rows for cell in row.values()):
            raise FeatureplaneError("the server answered without values")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write a number up to 65535")
    return int(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=_port, default=8080, help="port of the server")
    port = parser.parse_args().port
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="featureplane-demo-") as folder:
        try:
            demo(port, Path(folder))
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
