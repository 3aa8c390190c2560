"""Released versions of Feast's SDK, each in a virtual environment of its own in the cache folder."""

from pathlib import Path

from data import environments

# What is installed for each version. 0.39 is the first with a remote online store; the version that we pin is tested
# in tests/feast. grpcio is for the remote registry and the stubs. The pins beside it keep away what came later and that
# Feast did not bound: the newest pyarrow wants numpy 2, which Feast 0.39 refuses, and setuptools 81 has no
# pkg_resources.
VERSIONS: dict[str, tuple[str, ...]] = {
    "0.39.0": ("feast[grpcio]==0.39.0", "pyarrow<18", "setuptools<81"),
    "0.50.0": ("feast[grpcio]==0.50.0", "setuptools<81"),
    "0.66.0": ("feast[grpcio]==0.66.0",),
}


def python_with(version: str) -> Path:
    """The interpreter of the environment with this version, which is made when it is not there (about 600 MB)."""
    return environments.python_with(f"feast-sdk/{version}", VERSIONS[version])
