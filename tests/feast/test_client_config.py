"""The feature_store.yaml of a notebook is one that Feast takes, and leads to its remote classes."""

from pathlib import Path

import pytest
import yaml

from factories import project_model
from featureplane.manifests.client import client_feature_store


@pytest.fixture(autouse=True, scope="module")
def warm_children():
    """No child process is started here: no server of the other tests is needed."""


def config_of(folder: Path, **changes):
    from feast.repo_config import load_repo_config

    (folder / "feature_store.yaml").write_text(client_feature_store(project_model(namespace="ml", **changes)))
    return load_repo_config(folder, folder / "feature_store.yaml")


def test_feast_takes_the_configuration_of_a_notebook(tmp_path):
    config = config_of(tmp_path)
    assert config.project == "feast"
    assert config.entity_key_serialization_version == 3
    assert (type(config.registry).__name__, config.registry.path) == (
        "RemoteRegistryConfig",
        "feast-registry.ml.svc:6570",
    )
    assert (type(config.online_store).__name__, config.online_store.path) == (
        "RemoteOnlineStoreConfig",
        "http://feast-server.ml.svc:8080",
    )
    offline = config.offline_store
    assert (type(offline).__name__, offline.host, offline.port) == (
        "RemoteOfflineStoreConfig",
        "feast-offline.ml.svc",
        8815,
    )
    assert config.auth_config.type == "no_auth"


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"type": "kubernetes"}, "KubernetesAuthConfig"),
        ({"type": "oidc", "oidc": {"issuer": "https://id", "audience": "feast"}}, "OidcClientAuthConfig"),
    ],
)
def test_a_client_shows_who_it_is_in_the_way_the_project_asks_for(tmp_path, auth, expected):
    assert type(config_of(tmp_path, server={"auth": auth}).auth_config).__name__ == expected


def test_a_store_made_of_it_needs_no_password(tmp_path):
    from feast import FeatureStore

    config_of(tmp_path)
    store = FeatureStore(repo_path=str(tmp_path))
    assert type(store.registry).__name__ == "RemoteRegistry"
    assert "password" not in yaml.safe_load((tmp_path / "feature_store.yaml").read_text())
