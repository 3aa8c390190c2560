"""Build the image with docker, podman or buildah, whichever is there: `make image`, and the tests on a whole cluster.

    python tools/image.py [--tag NAME] [--base IMAGE]

pip's settings (PIP_CONFIG_FILE, /etc/pip.conf) and the certificate authorities of this machine are lent to the build as
secrets, so that it works behind a mirror or an inspecting proxy and neither ends up in the image.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class NoBuilderError(Exception):
    """Nothing here builds images; the text says what would."""


def builder() -> str:
    """The first of docker, podman and buildah that works. Raises NoBuilderError."""
    for name, question in (("docker", "info"), ("podman", "info"), ("buildah", "version")):
        if shutil.which(name) and subprocess.run([name, question], check=False, capture_output=True).returncode == 0:
            return name
    raise NoBuilderError(
        "No docker that answers, no podman and no buildah: one of them builds the image. "
        "On Debian: apt-get install buildah"
    )


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def command(tool: str, tag: str, base: str | None) -> list[str]:
    """How `tool` builds the image."""
    build = [tool, "bud", "--layers"] if tool == "buildah" else [tool, "build"]
    arguments = {"VERSION": version(), "REVISION": _revision(), **({"BASE_IMAGE": base} if base else {})}
    return [
        *build,
        "--network=host",
        *(f"--secret=id={name},src={path}" for name, path in _lent(os.environ).items()),
        *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        f"--tag={tag}",
        str(ROOT),
    ]


def size(tool: str, tag: str) -> int:
    """Bytes of all layers, unpacked."""
    asked = [tool, "inspect", "--type=image", "--format={{.Size}}", tag]
    if tool == "buildah":
        asked = [tool, "images", "--format={{.Size}}", tag]
    said = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    number, _, unit = said.partition(" ")
    return int(float(number) * {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])


def build(tag: str, base: str | None = None) -> str:
    """Build it and return the tool that did. Raises NoBuilderError, CalledProcessError."""
    tool = builder()
    subprocess.run(command(tool, tag, base), check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return tool


def _lent(environ: Mapping[str, str]) -> dict[str, Path]:
    """Files of this machine that the build may read, by the name that the Dockerfile has for them."""
    named = {"pip": Path(environ.get("PIP_CONFIG_FILE") or "/etc/pip.conf"), "authorities": AUTHORITIES}
    return {name: path for name, path in named.items() if path.is_file()}


def _revision() -> str:
    asked = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    said = subprocess.run(asked, check=False, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tag", default=f"ghcr.io/featureplane/featureplane:{version()}")
    parser.add_argument("--base", help="in place of the official slim Python of the Dockerfile")
    options = parser.parse_args()
    try:
        tool = build(options.tag, options.base)
    except NoBuilderError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: {error.cmd[0]} could not build the image; what it said stands above\n")
        return 1
    sys.stdout.write(f"{options.tag}: {size(tool, options.tag) / 1e6:.0f} MB, built with {tool}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
