"""Artifacts of Maven Central, fetched by the Ivy that PySpark has; and the Java that they need."""

import os
import re
import shutil
import subprocess
from pathlib import Path

CACHE = Path.home() / ".cache" / "featureplane" / "maven"
OLDEST_JAVA = 17
_PATIENCE = 300


def retrieve(module: str, artifact: str, version: str, folder: Path, *, transitive: bool = False) -> None:
    """Put the artifact's jar into the folder, with `transitive` those of all it needs as well."""
    import pyspark

    into = f"{folder}/[artifact]-[revision](-[classifier]).[ext]"
    (ivy,) = (Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar")
    arguments = ["-cache", f"{folder}/cache", "-dependency", module, artifact, version, "-confs", "default",
                 *([] if transitive else ["-notransitive"]), "-types", "jar", "bundle", "-retrieve", into]  # fmt: skip
    ran = subprocess.run(
        ["java", "-jar", str(ivy), *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    assert (folder / f"{artifact}-{version}.jar").exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
    shutil.rmtree(folder / "cache")


def java_problem(what: str) -> str | None:
    """Why `what`, which is Java, cannot run here, or None."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    needs = f"{what} needs Java {OLDEST_JAVA} or later"
    if java is None:
        return f"{needs}, and there is no java here: install a JRE, or set JAVA_HOME to one"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST_JAVA:
        return f"{needs}, and {java} is: {said.strip()}"
    return None
