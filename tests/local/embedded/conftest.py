"""Stores for a module, and processes that have some; whatever is left of them is ended."""

import pytest

from local.embedded.at_work import a_process, embedded_stores


@pytest.fixture(scope="module")
def temporary():
    with embedded_stores() as stores:
        yield stores


@pytest.fixture
def processes():
    """Start scripts by this; whatever is left of them at the end of the test is killed."""
    started = []

    def start(*args, **options):
        started.append(a_process(*args, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:  # closes the pipes and waits
            pass
