"""An example as a user has it: a copy of its files, its data, its own stores, and on wish a server."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from cli.commands import ROOT, Place
from featureplane.local.stores import embedded_stores
from featureplane.model.feast_project import FeastProject
from featureplane.settings import Stores


def project_of(name: str) -> FeastProject:
    return FeastProject.model_validate(yaml.safe_load((ROOT / "examples" / name / "project.yaml").read_text()))


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


@contextmanager
def named_stores(place: Place) -> Iterator[Stores]:
    """Its stores, which every command from here on finds in its environment, and so do programs that are not ours."""
    with embedded_stores(place.state / "stores", search_path=os.environ["PATH"]) as stores:
        place.variables |= {**stores.environment(), "FEATUREPLANE_STORES": "environment"}
        yield stores


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
