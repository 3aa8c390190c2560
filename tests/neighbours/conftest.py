"""A feature server of examples/commodity, for the neighbours of a session."""

from collections.abc import Iterator

import pytest

from cli.commands import Place
from cli.examples import an_example, named_stores, put_online, serving
from featureplane.settings import Stores


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with an_example("commodity", tmp_path_factory.mktemp("commodity")) as place:
        yield place


@pytest.fixture(scope="session")
def stores(files: Place) -> Iterator[Stores]:
    with named_stores(files) as found:
        yield found


@pytest.fixture(scope="session")
def commodity(files: Place, stores: Stores) -> Place:
    """The example, registered and copied."""
    put_online(files)
    return files


@pytest.fixture(scope="session")
def feast_server(commodity: Place) -> Iterator[str]:
    with serving(commodity) as url:
        yield url
