"""Writing files whole: a reader sees the old file or the new one, never half of one."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from featureplane.errors import FeatureplaneError


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write every file (name below `folder` to text), making folders. Raises FeatureplaneError where it cannot."""
    for name, text in files.items():
        try:
            write_file(folder / name, text)
        except OSError as error:
            raise FeatureplaneError(f"cannot write {folder / name}: {_reason(error, folder)}") from error


def _reason(error: OSError, folder: Path) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):  # the system says `File exists` and not which
        return f"{folder} is not a folder, or something in it is not"
    return str(error.strerror or error)


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` by `text` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
