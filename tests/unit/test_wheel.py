"""What is installed is what lies here."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "featureplane"


def test_the_wheel_has_every_file_of_the_package_and_what_goes_with_it(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(ZipFile(wheel).namelist())
    expected = {
        f"featureplane/{file.relative_to(PACKAGE)}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {f"featureplane/serving/page/page.{kind}" for kind in ("html", "css", "js")} < expected
    assert expected <= names
    assert {f"featureplane/crds/{file.name}" for file in (ROOT / "crds").iterdir()} <= names
    assert "featureplane/feature_repo/feature_store.yaml" in names
