"""A feature server of examples/commodity, for the neighbours of a session."""

from collections.abc import Iterator

import pytest

from cli.commands import Place
from cli.examples import an_example, put_online, serving


@pytest.fixture(scope="session")
def commodity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The example, registered and copied."""
    with an_example("commodity", tmp_path_factory.mktemp("commodity")) as place:
        put_online(place)
        yield place


@pytest.fixture(scope="session")
def feast_server(commodity: Place) -> Iterator[str]:
    with serving(commodity) as url:
        yield url
