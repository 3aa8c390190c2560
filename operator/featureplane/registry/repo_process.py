"""A child process that imports a Feast repo, the user's own Python, and answers with its objects' messages."""

import base64
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from featureplane.errors import FeatureplaneError
from featureplane.registry import channel
from featureplane.registry.channel import Message

_LISTS = (
    ("entity", "entities"),
    ("data_source", "data_sources"),
    ("feature_view", "feature_views"),
    ("feature_service", "feature_services"),
)
_OTHERS = (
    ("on_demand_feature_view", "on_demand_feature_views"),
    ("stream_feature_view", "stream_feature_views"),
    ("label_view", "label_views"),
    ("permission", "permissions"),
)


def read_repo(request: Message, _: object) -> Message:
    """The objects of the repo at `path`, inferred as `feast apply` would, as base64 of their messages by kind."""
    from feast.inference import update_data_sources_with_inferred_event_timestamp_col as infer_times
    from feast.inference import update_feature_views_with_inferred_features_and_entities as infer_features
    from feast.repo_config import load_repo_config
    from feast.repo_operations import parse_repo

    from feast import FeatureStore

    folder = Path(request["path"])
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # Feast imports the repo's files by their names below it
    try:
        config = load_repo_config(folder, folder / "feature_store.yaml")
        contents: Any = parse_repo(folder)
        with tempfile.TemporaryDirectory(prefix="featureplane-import-") as scratch:
            store = FeatureStore(config=_with_registry_in(config, scratch))
            infer_times(contents.data_sources, config)
            infer_features(store._get_provider(), contents.feature_views, contents.entities, config)  # noqa: SLF001
        for service in contents.feature_services:
            service.infer_features({view.name: view for view in contents.feature_views})
    except Exception as error:
        raise FeatureplaneError(f"Feast cannot read the repo at {folder}: {type(error).__name__}: {error}") from error
    messages = [
        [kind, base64.b64encode(item.to_proto().SerializeToString()).decode()]
        for kind, attribute in _LISTS
        for item in getattr(contents, attribute)
    ]
    others = [[kind, item.name] for kind, attribute in _OTHERS for item in getattr(contents, attribute, [])]
    messages += [
        ["project", base64.b64encode(item.to_proto().SerializeToString()).decode()] for item in contents.projects
    ]
    offline = getattr(config.offline_store, "type", "file")
    return {"project": config.project, "offline_store": offline, "messages": messages, "others": others}


def _with_registry_in(config: Any, folder: str) -> Any:
    """The same configuration with a registry file of its own: reading a repo touches nobody's stores."""
    copy = config.model_copy()
    copy.registry_config = str(Path(folder) / "registry.db")
    copy._registry = None  # noqa: SLF001
    return copy


if __name__ == "__main__":
    channel.serve(read_repo)
