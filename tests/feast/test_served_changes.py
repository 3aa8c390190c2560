"""A change of the registry is served within seconds, and no request fails meanwhile; nor while PostgreSQL is away."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import feasts
import httpx
import pytest
from sqlalchemy import event
from world import World

from cli.commands import Place
from factories import a_feature, a_feature_view, a_service, an_entity
from featureplane.cli.undeclared import undeclared
from featureplane.local.stores import embedded_stores
from featureplane.serving.app import serving
from featureplane.serving.catalogue.followed import Followed
from featureplane.settings import Stores
from patience import PATIENCE, until

STEADY = {"features": ["drivers:trips"], "entities": {"driver_id": [1]}}


@dataclass
class Asked:
    """A server, and what became of a request that is sent to it again and again."""

    client: httpx.Client
    steady: dict[str, Any]
    failures: list[str] = field(default_factory=list)
    answers: int = 0

    def ask(self, body: dict[str, Any]) -> httpx.Response:
        return self.client.post("/get-online-features", json=body)

    def names(self, body: dict[str, Any]) -> list[str] | int:
        """The columns of an answer, or the status of a refusal."""
        answer = self.ask(body)
        return answer.json()["metadata"]["feature_names"] if answer.is_success else answer.status_code

    def soon(self, seen: Callable[[], bool]) -> None:
        """Wait until a change is served."""
        until(seen, what="the change was never served")

    def problems(self) -> dict[str, str]:
        answer = self.client.get("/ready")
        assert answer.is_success
        return dict(answer.json()["problems"])

    @contextmanager
    def steadily(self) -> Iterator[None]:
        """Ask all the while; every answer must be one."""
        stopped = threading.Event()

        def run() -> None:
            with httpx.Client(base_url=self.client.base_url, trust_env=False, timeout=PATIENCE) as client:
                while not stopped.wait(0.005):
                    answer = client.post("/get-online-features", json=self.steady)
                    self.answers += 1
                    if not answer.is_success:
                        self.failures.append(answer.text)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
            until(lambda: self.answers > 10 or self.failures)
        finally:
            stopped.set()
            thread.join()
        assert self.failures == []


@contextmanager
def asked(world_stores: Stores, project: Any, folder: Path, steady: dict[str, Any]) -> Iterator[Asked]:
    with serving(project, world_stores, folder) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE) as client:
            yield Asked(client, steady)


PRICES = a_feature_view()
MORE = a_feature_view("more", entities=[an_entity("driver", joinKey="driver_id", type="Int64")])


def test_what_our_writer_registers_is_served_within_seconds(world: World) -> None:
    world.apply(PRICES)
    keys = {"entities": {"commodity": ["gold"]}}
    steady = {"features": ["commodity_prices:price"], **keys}
    with asked(world.stores, world.declarations(PRICES).project, world.folder, steady) as server, server.steadily():
        assert server.names({"features": ["more:price"], "entities": {"driver_id": [1]}}) == 404
        world.apply(PRICES, MORE)
        server.soon(lambda: server.ask({"features": ["more:price"], "entities": {"driver_id": [1]}}).is_success)
        longer = a_feature_view(features=[a_feature(), a_feature("volume", "Int64")])
        world.apply(longer, MORE, a_service())
        server.soon(
            lambda: server.names({"feature_service": "price_model", **keys}) == ["commodity", "price", "volume"]
        )
        world.apply(longer, MORE, a_service(views=[{"name": "commodity_prices", "features": ["volume"]}]))
        server.soon(lambda: server.names({"feature_service": "price_model", **keys}) == ["commodity", "volume"])
        world.apply(longer, prune=True)
        server.soon(lambda: server.names({"features": ["more:price"], "entities": {"driver_id": [1]}}) == 404)
        assert server.names({"feature_service": "price_model", **keys}) == 404


@pytest.fixture(scope="module")
def feasts_world(make_bare_world: Callable[..., World]) -> World:
    return make_bare_world()


@pytest.fixture(scope="module")
def repo(feasts_world: World) -> Path:
    folder = feasts.applied(feasts_world)
    feasts.materialize(feasts_world, folder)
    return folder


@pytest.fixture
def feasts_server(feasts_world: World, repo: Path) -> Iterator[Asked]:
    project = undeclared(None, repo, None, trusts_functions=False).workspace.declarations.project
    with asked(feasts_world.stores, project, repo, STEADY) as server:
        yield server


def test_what_feast_applies_is_served_as_soon(feasts_world: World, repo: Path, feasts_server: Asked) -> None:
    server, definitions = feasts_server, repo / "definitions.py"
    original = definitions.read_text()

    def apply(*edits: tuple[str, str]) -> None:
        text = definitions.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        definitions.write_text(text)
        feasts.feast(feasts_world, repo, "apply")

    doors = {"features": ["floors:doors"], "entities": {"floor": [0]}}
    rain = {"features": ["days:rain"], "entities": {"day": [1704067200]}}
    with server.steadily():
        assert server.ask(doors).json()["results"][1]["statuses"] == ["PRESENT"]
        # A view is added, another gets a feature, a service loses one, a key another type, an entity another join key.
        apply(
            ('days = a_view("days"', 'new = a_view("new", [word], word_key, trips)\ndays = a_view("days"'),
            ('name="share", dtype=Float64)', 'name="share", dtype=Float64), Field(name="count", dtype=Int32)'),
            ('drivers[["rate", "trips"]], fresh', 'drivers[["rate"]], fresh'),
            ("value_type=ValueType.INT32", "value_type=ValueType.INT64"),
            ('Field(name="floor", dtype=Int32)', 'Field(name="floor", dtype=Int64)'),
            ('join_keys=["word"]', 'join_keys=["term"]'),
            ('Field(name="word", dtype=String)', 'Field(name="term", dtype=String)'),
        )
        both, driver = {"entities": {"term": ["a"], "driver_id": [1]}}, {"entities": {"driver_id": [1]}}
        server.soon(lambda: server.names({"features": ["new:trips"], **both}) == ["term", "driver_id", "trips"])
        server.soon(lambda: server.names({"features": ["pairs:count"], **both}) == ["term", "driver_id", "count"])
        server.soon(lambda: server.names({"feature_service": "of_drivers", **driver}) == ["driver_id", "rate", "speed"])
        # Feast has the rows under the key's earlier type.
        server.soon(lambda: server.ask(doors).json()["results"][1]["statuses"] == ["NOT_FOUND"])
        server.soon(
            lambda: server.names({"features": ["words:count"], "entities": {"term": ["a"]}}) == ["term", "count"]
        )
        # A view is deleted.
        (line,) = [line for line in definitions.read_text().splitlines() if line.startswith("days = ")]
        apply((f"{line}\n", ""))
        server.soon(lambda: server.names(rain) == 404)
        definitions.write_text(original)
        apply()
        server.soon(lambda: server.ask(rain).is_success)
        server.soon(lambda: server.names({"features": ["words:count"], "entities": {"term": ["a"]}}) == 422)


def test_a_row_that_cannot_be_read_keeps_its_last_good_version(feasts_world: World, feasts_server: Asked) -> None:
    server = feasts_server
    (proto,) = feasts_world.query("SELECT feature_view_proto FROM feature_views WHERE feature_view_name = 'drivers'")[0]
    write = "UPDATE feature_views SET feature_view_proto = %s WHERE feature_view_name = 'drivers'"
    with server.steadily():
        with feasts_world.sql() as connection:
            connection.execute(write, [b"\xff"])
        server.soon(lambda: "the feature view 'drivers' cannot be read" in server.problems().get("registry", ""))
        with feasts_world.sql() as connection:
            connection.execute(write, [proto])
        server.soon(lambda: server.problems() == {})


@pytest.fixture
def followed(world: World) -> Iterator[Followed]:
    world.apply(PRICES)
    made = Followed(world.stores.postgres, "feast")
    made.refresh()
    yield made
    made.close()


def test_nothing_is_read_while_nobody_writes(followed: Followed) -> None:
    statements: list[str] = []
    event.listen(followed._engine, "before_cursor_execute", lambda *about: statements.append(about[2]))  # noqa: SLF001 - what is asked is the matter
    for _ in range(3):
        assert not followed.refresh()
    assert statements == []


def test_a_connection_that_was_cut_is_made_again_and_there_is_no_second_one(world: World, followed: Followed) -> None:
    for _ in range(3):
        assert not followed.refresh()
        with world.sql() as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'featureplane-server'"
            ).fetchall()
            assert len(ended) == 1
            connection.execute("DELETE FROM feature_views WHERE feature_view_name = 'nothing'")
    with world.sql() as connection:
        connection.execute("DELETE FROM feature_views")
    assert followed.refresh(thoroughly=True)
    assert not followed.refresh()


def test_where_we_write_what_others_write_is_found_by_the_thorough_look(world: World, followed: Followed) -> None:
    with world.sql() as connection:
        connection.execute("DELETE FROM feature_views")
    assert not followed.refresh()
    assert followed.refresh(thoroughly=True)
    assert followed.catalogue.views == {}


def test_a_write_elsewhere_in_the_database_is_no_change(world: World, followed: Followed) -> None:
    catalogue = followed.catalogue
    with world.sql() as connection:
        connection.execute("CREATE TABLE elsewhere (); DROP TABLE elsewhere")
    assert not followed.refresh(thoroughly=True)
    assert followed.catalogue is catalogue


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A path that a socket may have."""
    folder = Path(tempfile.mkdtemp(prefix="fp-"))
    yield folder
    shutil.rmtree(folder)


def test_postgresql_may_be_away_at_the_start_and_later(
    servers: Stores, make_bare_world: Callable[..., World], short_folder: Path, tmp_path: Path
) -> None:
    with embedded_stores(short_folder) as stores:
        world = World(Stores(stores.postgres.with_database("away"), servers.redis), make_bare_world().zygote, tmp_path)
        folder = feasts.applied(world)
        feasts.materialize(world, folder)
        world.close()
    command = ["serve", "--registered", "--project", feasts.PROJECT, "--port", "0"]
    with Place(tmp_path).running(*command, env=world.stores.environment()) as running, ExitStack() as postgresql:
        running.said("does not answer")
        postgresql.enter_context(embedded_stores(short_folder))
        url = running.said(f"serving {feasts.PROJECT} at ").partition(" at ")[2]
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
            server = Asked(client, STEADY)
            assert server.problems() == {}
            with server.steadily():
                postgresql.close()
                until(lambda: "does not answer" in server.problems().get("registry", ""))
                shown = (server.problems()["registry"], client.get("/status").json()["registry"]["problem"])
                assert set(shown) == {"the registry does not answer; the server's log says why"}
                postgresql.enter_context(embedded_stores(short_folder))
                until(lambda: server.problems() == {})
        assert running.interrupt() == 0
