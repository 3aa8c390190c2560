"""The images of a run, as archives that a node takes: the product, the trial stores, what holds a pod's network."""

import subprocess
import sys
import tomllib
from pathlib import Path

from e2e import previous
from e2e.paths import ROOT
from kube import debian, node_files

_PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# As the chart names it, so that nothing needs to be told where it is.
_REPOSITORY = "ghcr.io/featureplane/featureplane"
PRODUCT = f"{_REPOSITORY}:{_PYPROJECT['project']['version']}"
PREVIOUS = f"{_REPOSITORY}:{previous.VERSION}"
STORES = "localhost/featureplane-stores:e2e"
# A pod's network needs a process to belong to, and any will do.
_PAUSE = f'FROM {debian.BASE}\nENTRYPOINT ["sleep", "infinity"]\n'


def product(base: str | None = None) -> None:
    """Build the image under test, by whatever builds images here. Raises CalledProcessError."""
    _run([sys.executable, str(ROOT / "tools" / "image.py"), f"--tag={PRODUCT}", *([f"--base={base}"] if base else [])])


def archives(folder: Path) -> list[Path]:
    """Build all of them with buildah, and write those archives that are not in `folder` yet."""
    base = debian.base_image()
    product(base)
    stores = ROOT / "tests" / "e2e" / "stores"
    _run([*_BUILD, "--network=host", f"--build-arg=BASE_IMAGE={base}", f"--tag={STORES}", str(stores)])
    _run([*_BUILD, f"--tag={node_files.PAUSE}", "--file=-", str(stores)], given=_PAUSE)
    folder.mkdir(parents=True, exist_ok=True)
    written = [_archive(tag, folder) for tag in (node_files.PAUSE, STORES, PRODUCT)]
    for old in set(folder.iterdir()) - set(written):
        old.unlink()
    return written


_BUILD = ["buildah", "bud", "--quiet", "--layers"]


def _archive(tag: str, folder: Path) -> Path:
    """Not compressed: it is read once, on this machine."""
    asked = ["buildah", "inspect", "--type=image", "--format={{.FromImageID}}", tag]
    number = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    path = folder / f"{number[:16]}.tar"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        _run(["buildah", "push", "--quiet", tag, f"docker-archive:{unfinished}:{tag}"])
        unfinished.rename(path)
    return path


def _run(command: list[str], given: str | None = None) -> None:
    subprocess.run(command, check=True, input=given, text=True, stdout=sys.stderr)
