"""A folder of real files for each test."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from sources_of_tests import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
