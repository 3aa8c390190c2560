"""What all tests share: hypothesis's profiles, and the flag that rewrites the golden files."""

import pytest
from hypothesis import HealthCheck, settings

usual = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("usual", usual)
settings.register_profile("thorough", usual, max_examples=3000)  # --hypothesis-profile thorough
settings.load_profile("usual")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is rendered now over tests/golden")
