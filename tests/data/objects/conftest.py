"""An S3 server with a project's files, and a folder whose commands reach it."""

import os
from collections.abc import Iterator

import pytest

from cli.commands import Place
from data.objects.lake import fill
from data.objects.moto_server import S3Server, s3_server
from featureplane.local.stores import embedded_stores


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("moto")) as found:
        fill(found)
        yield found


@pytest.fixture(scope="module")
def place(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"), dict(server.credentials))
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]):
        yield made
