"""An example as a user has it: a copy of its files, its data, its own stores, and on wish a server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.commands import ROOT, Place
from featureplane.local.stores import embedded_stores


@contextmanager
def an_example(name: str, folder: Path) -> Iterator[Place]:
    """Its files lie in `files`, its data in `data`; its stores run while the block does."""
    source = ROOT / "examples" / name
    shutil.copytree(source, folder / "files", ignore=shutil.ignore_patterns("data", "generate.py"))
    subprocess.run(
        [sys.executable, source / "generate.py", "--out", folder / "data"], check=True, stdout=subprocess.DEVNULL
    )
    made = Place(folder, {"FEATUREPLANE_DATA_ROOT": str(folder / "data")})
    made.state.mkdir()
    with embedded_stores(made.state / "stores", search_path=os.environ["PATH"]):
        yield made


def put_online(place: Place) -> None:
    """Register the example and copy its rows."""
    for command in ("apply", "materialize"):
        ran = place(command, "files")
        assert ran.status == 0, ran.err


@contextmanager
def serving(place: Place) -> Iterator[str]:
    """The address of its feature server."""
    with place.running("serve", "files", "--port", "0") as running:
        found = re.search(r"http://[^\s;]+", running.said(" at "))
        assert found, running.text
        yield found[0]
