"""Each `NAME.in.yaml` here is rendered; the files of its repos are those in the folder `NAME`.

`pytest tests/golden --update-golden` writes what is rendered now: read the difference before you commit it.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = sorted(HERE.glob("*.in.yaml"))
        metafunc.parametrize("case", cases, ids=[case.name.removesuffix(".in.yaml") for case in cases])


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
