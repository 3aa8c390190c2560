"""One project on stores of its own, and what a test does with it."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import yaml
from redis import Redis
from zygote import Zygote

from factories import Object, a_project, declared
from featureplane.model.feast_project import FeastProject
from featureplane.names import FEATURE_STORE_FILE
from featureplane.registry import catalogue
from featureplane.registry.database import begin, engine_for, ensure_database
from featureplane.registry.plan import Plan, compare
from featureplane.registry.state import Registered
from featureplane.registry.writer import Writer
from featureplane.rendering.definitions import Definition, Key, define
from featureplane.rendering.repo import feature_store, render
from featureplane.settings import Stores, child_environment

PROJECT = "feast"

Rows = Mapping[str, list[tuple[Any, ...]]]


class World:
    def __init__(self, stores: Stores, zygote: Zygote, folder: Path) -> None:
        self.stores = stores
        self.zygote = zygote
        self.folder = folder
        self._writers: list[Writer] = []

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
        if "engine" in self.__dict__:
            self.engine.dispose()
        if "redis" in self.__dict__:
            self.redis.close()
        self._writers.clear()

    @cached_property
    def engine(self) -> Any:
        return engine_for(self.stores.postgres)

    @cached_property
    def redis(self) -> Redis:
        address = self.stores.redis
        return Redis(address.host, address.port, address.db, password=address.password or None)

    # --- what is declared and registered

    def declarations(self, *objects: Object) -> Any:
        """The one project of these objects; without one among them, one whose offline store reads the sources."""
        projects = [item for item in objects if item["kind"] == "FeastProject"]
        reads = "postgres" if any("postgres" in item["spec"].get("source", {}) for item in objects) else "file"
        (found,) = declared(*(objects if projects else (a_project(offlineStore={"type": reads}), *objects)))
        return found

    def registered(self) -> Registered:
        ensure_database(self.stores.postgres)
        with begin(self.engine, self.stores.postgres) as connection:
            return catalogue.read(connection, PROJECT)

    def definitions(self, *objects: Object) -> list[Definition]:
        return define(self.declarations(*objects))

    def plan(self, *objects: Object, prune: bool = False) -> Plan:
        return compare(PROJECT, self.definitions(*objects), self.registered(), prune=prune)

    # --- writing

    def writer(self, project: FeastProject | None = None, **options: Any) -> Writer:
        made = Writer(project or self.declarations().project, self.stores, **options)
        self._writers.append(made)
        return made

    def of(self, stores: Stores, **options: Any) -> Writer:
        """A writer that reaches the stores in another way."""
        made = Writer(self.declarations().project, stores, **options)
        self._writers.append(made)
        return made

    @cached_property
    def the_writer(self) -> Writer:
        return self.writer()

    def apply(self, *objects: Object, prune: bool = False) -> Plan:
        """Plan and apply with the test's one writer; returns the plan."""
        plan = self.plan(*objects, prune=prune)
        self.the_writer.apply(plan)
        return plan

    def spec(self, kind: str, name: str) -> Mapping[str, Any]:
        return self.registered().definitions[kind, name].spec  # type: ignore[index]

    def registered_keys(self) -> set[Key]:
        return set(self.registered().definitions)

    def assert_nothing_is_half_done(self) -> None:
        """What our tables call registered stands in Feast's registry, just so."""
        registered = self.registered()
        assert not registered.lost
        assert not registered.drifted
        assert registered.owned <= registered.definitions.keys()

    # --- Feast

    def sdk(self, *objects: Object, online: bool = False) -> Any:
        """Feast's own store on this registry, in this process; for its online store the environment must name Redis."""
        from feast import FeatureStore, RepoConfig

        config = {**feature_store(self.declarations(*objects).project)}
        postgres = self.stores.postgres
        url = f"postgresql+psycopg://{postgres.keywords['user']}@/{postgres.dbname}?host={postgres.keywords['host']}"
        registry = {**config["registry"], "path": url}
        online_store = config["online_store"] if online else None
        return FeatureStore(config=RepoConfig(**{**config, "registry": registry, "online_store": online_store}))

    def repo(self, *objects: Object, name: str = "repo") -> Path:
        """The rendered folder of these objects."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        declarations = self.declarations(*objects)
        files = render(declarations.project, define(declarations))
        if declarations.project.spec.offline_store.type == "spark":
            # Feast would load pyspark, which is not installed here, and has no use for it.
            config = {**feature_store(declarations.project), "offline_store": {"type": "file"}, "batch_engine": "local"}
            files[FEATURE_STORE_FILE] = yaml.safe_dump(config)
        for file, text in files.items():
            (folder / file).write_text(text)
        return folder

    def feast(self, *args: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Feast's command line in a folder."""
        return self.zygote.feast(*args, env=child_environment(self.stores), folder=folder)

    # --- rows

    @contextmanager
    def sql(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(autocommit=True, **self.stores.postgres.keywords) as connection:
            yield connection

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.sql() as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def feasts_rows(self) -> Rows:
        """Every row of Feast's tables."""
        return {name: rows for name, rows in self.rows().items() if name.startswith("public.")}

    def rows(self) -> Rows:
        """Every row of every table, Feast's and ours."""
        tables = self.query(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'featureplane') ORDER BY 1, 2"
        )
        with self.sql() as connection:
            return {
                f"{schema}.{table}": sorted(
                    connection.execute(f'SELECT * FROM {schema}."{table}"').fetchall(), key=repr
                )
                for schema, table in tables
            }
