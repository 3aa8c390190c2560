"""A child process that is Feast's remote offline server (Arrow Flight), for training data and nothing else.

Feast's server also writes to sources, saves results wherever a registered source points to, runs SQL that a client
sends, and opens any source a client describes, class path included. Here it answers for registered views and sources,
and every name that Feast puts into a query has to look like one.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from featureplane.serving.child import Announcement, bracketed, read_request, when_parent_ends
from featureplane.serving.discretion import keep_passwords_out

# What a client may ask for, each by name. `feast.offline_server.OfflineServer` also has offline_write_batch,
# write_logged_features, persist, validate_data_source and get_table_column_names_and_types_from_data_source.
READS = frozenset({"get_historical_features", "pull_all_from_table_or_query", "pull_latest_from_table_or_query"})
# Feast quotes a name in a query but does not escape it, and not every offline store quotes it.
_NAME = re.compile(r"\w+(-\w+)*")
_REFERENCE = re.compile(r"\w+(-\w+)*(@\w+)?:\w+(-\w+)*")


def refusal(command: Mapping[str, Any], columns: Iterable[str], project: str) -> str:
    """Why a request is not answered; nothing when it is. `columns` are those of the rows that came with it."""
    if command.get("api") not in READS:
        return "this offline server only reads training data of registered views"
    if "entity_df_sql" in command:
        return "this offline server takes no SQL; send the entities as a DataFrame"
    if command.get("project", project) != project:
        return f"this offline server is for the project {project!r} alone"
    for reference in command.get("feature_refs", ()):
        if not _REFERENCE.fullmatch(str(reference)):
            return f"{str(reference)[:100]!r} is no feature; write it as view:feature"
    for name in (*columns, *_names(command)):
        if not _NAME.fullmatch(str(name)):
            return f"{str(name)[:100]!r} is no column's name that this offline server takes"
    return ""


def _names(command: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("join_key_columns", "feature_name_columns"):
        yield from command.get(key) or ()
    yield from (command[key] for key in ("timestamp_field", "created_timestamp_column") if command.get(key))


def make_server(store: Any, host: str, port: int) -> Any:
    """Feast's server, asked by `refusal` first."""
    from feast.arrow_error_handler import arrow_server_error_handling_decorator as in_feasts_form
    from feast.errors import FeastPermissionError
    from feast.offline_server import OfflineServer, _init_auth_manager

    @in_feasts_form  # type: ignore[untyped-decorator]  # Feast publishes no types
    def check(descriptor: Any, reader: Any) -> None:
        command = json.loads(descriptor.command)
        if why := refusal(command if isinstance(command, dict) else {}, reader.schema.names, store.project):
            raise FeastPermissionError(why)

    class ReadingServer(OfflineServer):  # type: ignore[misc]  # Feast publishes no types
        """Both ways into the server: an upload that is fetched later, and the exchange that newer clients use."""

        def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> Any:
            check(descriptor, reader)
            return super().do_put(context, descriptor, reader, writer)

        def do_exchange(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> Any:
            check(descriptor, reader)
            return super().do_exchange(context, descriptor, reader, writer)

    _init_auth_manager(store)
    return ReadingServer(store, location=f"grpc+tcp://{bracketed(host)}:{port}", host=host)


def main() -> None:
    announcement, request = Announcement(), read_request()
    keep_passwords_out()
    from pathlib import Path

    from feast import FeatureStore, RepoConfig

    config = RepoConfig(**request["feature_store"])
    config.repo_path = Path(request["repo_path"])
    server = make_server(FeatureStore(config=config), request["host"], request["port"])
    when_parent_ends(server.shutdown)
    announcement.listening(server.port)
    server.serve()


if __name__ == "__main__":
    main()
