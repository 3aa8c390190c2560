"""Iceberg for Spark: its jar, which Spark loads by `spark.jars`, and the configuration of a catalog in a folder."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pyspark

VERSION = "1.10.1"
SHA256 = "2192a0881ed0f5773b5a83a8820d2b0b2069beec203028643a1c338551007f09"
JAR = f"iceberg-spark-runtime-4.0_2.13-{VERSION}.jar"
CACHE = Path.home() / ".cache" / "featureplane" / "maven"
_OLDEST_JAVA = 17
_PATIENCE = 300


def jar() -> Path:
    """The jar in the cache, fetched when it is not there (47 MB) by the Ivy that PySpark has, from Maven Central."""
    file = CACHE / JAR
    if not file.exists():
        (ivy,) = (Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar")
        module, artifact = "org.apache.iceberg", JAR.removesuffix(f"-{VERSION}.jar")
        with TemporaryDirectory() as folder:
            arguments = ["-cache", f"{folder}/cache", "-dependency", module, artifact, VERSION, "-notransitive",
                         "-types", "jar", "-retrieve", f"{folder}/[artifact]-[revision].[ext]"]  # fmt: skip
            ran = subprocess.run(
                ["java", "-jar", str(ivy), *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE
            )
            assert (Path(folder) / JAR).exists(), ran.stdout[-2000:] + ran.stderr[-2000:]
            CACHE.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f"{JAR}.{os.getpid()}.unfinished")
            shutil.copyfile(Path(folder) / JAR, unfinished)
            unfinished.replace(file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found == SHA256, f"{file} is not {JAR}: its SHA-256 is {found}; remove it"
    return file


def java_problem() -> str | None:
    """Why Spark cannot run here, or None."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        return "Spark needs Java 17 or later, and there is no java here: install a JRE, or set JAVA_HOME to one"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _OLDEST_JAVA:
        return f"Spark needs Java 17 or later, and {java} is: {said.strip()}"
    return None


def catalog(name: str, folder: Path) -> dict[str, str]:
    """What a session must be told to have the catalog; small and quiet, for a test's machine."""
    return {
        "spark.master": "local[2]",
        "spark.driver.memory": "1g",
        "spark.jars": str(jar()),
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        f"spark.sql.catalog.{name}": "org.apache.iceberg.spark.SparkCatalog",
        f"spark.sql.catalog.{name}.type": "hadoop",
        f"spark.sql.catalog.{name}.warehouse": str(folder / name),
    }
