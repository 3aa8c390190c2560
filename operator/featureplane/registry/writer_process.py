"""The process that writes Feast's registry: the only one of ours that imports Feast to do so.

Started by `writer.Writer`, one for a project. It takes the project's epoch when it opens, so an older one is fenced
from then on, and writes only what it is asked to, in batches: Feast's apply, a look at what is there now, our rows.
A batch is one transaction, Feast's part of it included: it is there as a whole or not at all.
"""

import atexit
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Engine

from featureplane.errors import ReadBackMismatch
from featureplane.registry import audit, catalogue, channel, fence, ledger, schema, version_history
from featureplane.registry.actor import Actor
from featureplane.registry.channel import Message
from featureplane.registry.database import answering, begin, engine_for, ensure_database
from featureplane.registry.one_transaction import OneTransaction, once_for_all
from featureplane.registry.own_objects import without_cache
from featureplane.registry.plan import closure
from featureplane.registry.trust import untrusted
from featureplane.registry.work import Window, Written, batches, joined
from featureplane.rendering.definitions import Definition, Key
from featureplane.rendering.repo import feature_repo
from featureplane.settings import PostgresAddress, Settings

# A source that is replaced shows which views hold an old copy of it; then both are as they should be.
_ROUNDS = 3

Progress = Callable[[Message], None]


class Session:
    """One project, opened: its epoch, its Feast store and what the registry holds."""

    def __init__(self, request: Message) -> None:
        self.project: str = request["project"]
        self.feature_store: dict[str, Any] = request["feature_store"]
        self.trusts_code: bool = request["trust_user_defined_functions"]
        self.purge_after = timedelta(seconds=request["purge_after_seconds"])
        self.address: PostgresAddress = Settings.from_env().postgres
        if request["create_database"]:
            ensure_database(self.address)
        self.engine: Engine = engine_for(self.address, fence.application_name(self.project))
        schema.migrate(self.engine, self.address)
        # Before the epoch is taken: a refused writer must not fence one that works.
        self.refuse_code()
        with answering(self.address):
            self.epoch = fence.take(self.engine, self.project, f"{socket.gethostname()}/{os.getpid()}", request["held"])
        fence.guard(Engine, self.project, self.epoch)
        self.joined = OneTransaction()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A fenced transaction of which everything is a part that Feast's registry does meanwhile."""
        registry = self.store.registry  # loads Feast and makes its tables, outside of this transaction
        with (
            begin(self.engine, self.address) as connection,
            self.joined.over(connection),
            once_for_all(registry, self.project),
        ):
            yield connection

    def refuse_code(self) -> None:
        """Feast executes what it finds in the project's rows: look before it does. It never loads others' here."""
        if self.trusts_code:
            return
        with begin(self.engine, self.address) as connection:
            found = catalogue.python_code(connection, self.project)
        if found:
            raise untrusted(self.address, found)

    @cached_property
    def store(self) -> Any:
        """Feast's store on this registry; without an online store or an engine of the project's: they have no part."""
        from feast.infra.registry.sql import SqlRegistry

        from feast import FeatureStore, RepoConfig

        registry = {
            **self.feature_store["registry"],
            # Feast would read the whole registry again after every object it writes.
            "cache_mode": "thread",
            "cache_ttl_seconds": 0,
            "serve_features_while_materializing": False,
        }
        config = RepoConfig(
            **{
                **self.feature_store,
                "registry": registry,
                "online_store": None,
                "offline_store": {"type": "featureplane.plugins.nothing.NothingOfflineStore"},
                "batch_engine": {"type": "local"},
                "auth": {"type": "no_auth"},
            }
        )
        store = FeatureStore(config=config)
        with answering(self.address), without_cache(SqlRegistry):
            feasts = store.registry  # makes Feast's tables
        # Feast stops a timer at exit that its registry never started without a time to live.
        atexit.unregister(feasts._exit_handler)  # noqa: SLF001
        feasts.write_engine.dispose()
        feasts.write_engine = feasts.read_engine = self.joined
        return store

    @cached_property
    def build(self) -> Callable[..., dict[Key, Any]]:
        """The constant loader's `build`: the one place that makes Feast objects of definitions."""
        import importlib.util

        path = str(feature_repo() / "featureplane_loader.py")
        spec = importlib.util.spec_from_file_location("featureplane_loader", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.build  # type: ignore[no-any-return]

    def apply(self, request: Message, progress: Progress) -> Message:
        """Write changed objects, then remove; `context` are the unchanged definitions that they refer to."""
        self.refuse_code()
        changes = [(row["action"], _definition(row["definition"])) for row in request["changes"]]
        adopted = [_definition(row) for row in request["adopted"]]
        removals = [_definition(row) for row in request["removed"]]
        by = {(kind, name): Actor(**actor) for kind, name, actor in request["by"]}
        context = {item.key: item for item in (*map(_definition, request["context"]), *(item for _, item in changes))}
        keys = {item.key for item in (*closure(context, [item for _, item in changes]), *removals, *adopted)}
        with begin(self.engine, self.address) as connection:
            before = catalogue.read(connection, self.project, keys)
        written = Written(before, [item for _, item in changes])
        # A repeated request finds done what the first one did before it broke off.
        left = [(ledger.action_of(action, item, before), item) for action, item in changes if not written.already(item)]
        removed = [item for item in removals if item.key in before.definitions or item.key in before.owned]
        total = len(changes) + len(removals)
        done = total - len(left) - len(removed)
        for batch in batches(left):
            items = [item for _, item in batch]
            with self.transaction() as connection:
                for name in written.replaced(items):
                    self.store.registry.delete_data_source(name, self.project)
                self._apply(connection, [item for item in items if written.by_feast(item)], context)
                ledger.record(connection, self.project, self.epoch, batch)
                audit.note(connection, self.project, self.epoch, before, batch, by)
                ledger.schedule_purges(connection, self.project, before, items, [], self.purge_after)
            done += len(batch)
            progress({"done": done, "total": total})
        for gone in batches(removed):
            with self.transaction() as connection:
                self._remove(connection, gone)
                ledger.forget(connection, self.project, self.epoch, gone)
                audit.note(connection, self.project, self.epoch, before, [("remove", item) for item in gone], by)
                ledger.schedule_purges(connection, self.project, before, [], gone, self.purge_after)
            done += len(gone)
            progress({"done": done, "total": total})
        with begin(self.engine, self.address) as connection:
            notes = [("adopt", item) for item in adopted if not written.noted(item)]
            ledger.record(connection, self.project, self.epoch, notes)
            audit.note(connection, self.project, self.epoch, before, notes, by)
        return {"written": len(changes), "removed": len(removals), "adopted": len(adopted), "epoch": self.epoch}

    def _objects(self, context: Mapping[Key, Definition], wanted: Sequence[Definition]) -> dict[Key, Any]:
        """Feast objects of what is wanted and of all it refers to, directly or not."""
        rows = [{"kind": item.kind, "spec": item.spec} for item in closure(context, wanted)]
        return self.build(rows)

    def _apply(
        self,
        connection: Connection,
        items: Sequence[Definition],
        context: Mapping[Key, Definition],
    ) -> None:
        """Let Feast write the objects, then compare the registry with what was asked for."""
        if not items:
            return
        objects = self._objects(context, items)
        views = [item.name for item in items if item.kind == "feature_view"]
        version_history.forget_lost(connection, self.project, views)
        self.store.apply([objects[item.key] for item in items], partial=True)
        keys = [item.key for item in closure(context, items)]
        for _ in range(_ROUNDS):
            wrong = self._mismatches(connection, items, keys)
            if not wrong:
                return
            self._overwrite(wrong, objects)
        names = ", ".join(f"{item.kind} {item.name}" for item in wrong[:5])
        raise ReadBackMismatch(f"Feast's registry holds something else than what was applied: {names}")

    def _mismatches(
        self, connection: Connection, items: Iterable[Definition], keys: Collection[Key]
    ) -> list[Definition]:
        now = catalogue.read(connection, self.project, keys).definitions
        return [item for item in items if item.key not in now or now[item.key].spec_digest != item.spec_digest]

    def _overwrite(self, items: Iterable[Definition], objects: Mapping[Key, Any]) -> None:
        """Replace rows that Feast took for unchanged: its comparison knows nothing of a PostgreSQL source's table."""
        registry = self.store.registry
        for item in items:
            wanted = objects[item.key]
            if item.kind == "data_source":
                registry.delete_data_source(item.name, self.project)
                registry.apply_data_source(wanted, self.project)
            elif item.kind == "feature_service":
                registry.delete_feature_service(item.name, self.project)
                registry.apply_feature_service(wanted, self.project)
            elif item.kind == "feature_view":
                current = registry.get_feature_view(item.name, self.project)
                wanted.materialization_intervals = current.materialization_intervals
                registry.delete_feature_view(item.name, self.project)
                registry.apply_feature_view(wanted, self.project)

    def _remove(self, connection: Connection, items: Sequence[Definition]) -> None:
        registry = self.store.registry
        remove: dict[str, Callable[..., Any]] = {
            "feature_service": registry.delete_feature_service,
            "feature_view": registry.delete_feature_view,
            "data_source": registry.delete_data_source,
            "entity": registry.delete_entity,
        }
        there = catalogue.read(connection, self.project, [item.key for item in items]).definitions
        for item in items:
            if item.key in there:
                remove[item.kind](item.name, self.project)

    def fold(self, _request: Message, _: Progress) -> Message:
        """Tell Feast which windows were materialized, so that its own materialize-incremental goes on from there."""
        self.refuse_code()
        with begin(self.engine, self.address) as connection:
            runs = ledger.unfolded(connection, self.project)
        for batch in batches(runs):
            with self.transaction() as connection:
                views = sorted({run.view for run in batch})
                there = catalogue.read(connection, self.project, [("feature_view", name) for name in views])
                for name in there.features:
                    self._fold(name, [(run.window_start, run.window_end) for run in batch if run.view == name])
                ledger.mark_folded(connection, [run.id for run in batch])
        return {"folded": len(runs)}

    def _fold(self, name: str, windows: list[Window]) -> None:
        """Put the windows into Feast's view, joined where they overlap: Feast itself keeps one for every run."""
        registry = self.store.registry
        view = registry.get_feature_view(name, self.project)
        view.materialization_intervals = joined([*view.materialization_intervals, *windows])
        view.state = type(view.state).AVAILABLE_ONLINE
        registry.apply_feature_view(view, self.project)

    def held(self, _request: Message, _: Progress) -> Message:
        """The epoch, which is still ours."""
        with begin(self.engine, self.address):
            return {"epoch": self.epoch}


def _definition(row: Mapping[str, Any]) -> Definition:
    return Definition(row["kind"], row["name"], row["spec"], row["extras"], row["owner"])


def main() -> None:
    session: list[Session] = []

    def answer(request: Message, progress: Progress) -> Message:
        if request["op"] == "open":
            session.append(Session(request))
            return {"epoch": session[0].epoch}
        handlers = {"epoch": session[0].held, "apply": session[0].apply, "fold": session[0].fold}
        return handlers[request["op"]](request, progress)

    channel.serve(answer)


if __name__ == "__main__":
    main()
