"""Files, folders and standard input to declarations: every problem of every file at once, or all of them."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from featureplane.errors import InputError, Problem
from featureplane.model.declarations import ProjectDeclarations, declare
from featureplane.model.documents import LONGEST_TEXT, Document, read_documents
from featureplane.training.formats import is_record

_SUFFIXES = {".yaml", ".yml", ".json"}


def read_inputs(paths: Sequence[str]) -> list[ProjectDeclarations]:
    """Read everything at `paths` (`-` is standard input). Raises InputError with every problem found."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for name, content in _contents(paths, problems):
        found, wrong = read_documents(content, name)
        documents += found
        problems += wrong
    declarations, wrong = declare(documents)
    problems += wrong
    if not problems and not declarations:
        shown = ", ".join(paths)
        problems.append(
            Problem(
                shown, 0, "", "holds no FeatureView, FeatureService or FeastProject", "name a file or folder that does"
            )
        )
    if problems:
        raise InputError(sorted(set(problems)))
    return declarations


def _contents(paths: Sequence[str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Name and text of every file, once, however often and by whatever path it is named."""
    seen: set[Path] = set()
    for path in paths:
        if path == "-":
            # Standard input that was closed is no object at all.
            yield from _decoded("<stdin>", sys.stdin.buffer.read(LONGEST_TEXT + 1) if sys.stdin else b"", problems)
            continue
        for file in files_at(path, problems):
            if (real := file.resolve()) in seen:
                continue
            seen.add(real)
            try:
                with file.open("rb") as stream:
                    data = stream.read(LONGEST_TEXT + 1)
            except OSError as error:
                problems.append(Problem(str(file), 0, "", f"cannot be read: {error.strerror}", "check its permissions"))
            else:
                yield from _decoded(str(file), data, problems)


def files_at(path: str, problems: list[Problem]) -> list[Path]:
    """The file itself (a pipe such as a shell's `<(...)` too), or every YAML and JSON file below a folder.

    What begins with a dot is passed over, and so is a link to a folder, and the note beside a training set.
    """
    place = Path(path)
    try:
        if not path or not place.exists():
            remedy = "name a file, a folder or - for standard input"
            problems.append(Problem(path or "''", 0, "", "is not there", remedy))
            return []
        if not place.is_dir():
            return [place]
    except OSError as error:
        problems.append(Problem(path, 0, "", f"cannot be read: {error.strerror}", "correct the path"))
        return []
    found, unread = _below(place)
    problems += [Problem(name, 0, "", f"cannot be read: {why}", "check its permissions") for name, why in unread]
    if not found and not unread:
        problems.append(Problem(path, 0, "", "is a folder without any .yaml, .yml or .json file", "name another"))
    return found


def _below(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files of a folder in order, and the folders in it that could not be read, each with the reason."""
    unread: list[tuple[str, str]] = []
    found: list[Path] = []
    for place, folders, files in os.walk(
        folder, onerror=lambda error: unread.append((str(Path(error.filename)), str(error.strerror)))
    ):
        folders[:] = [name for name in folders if not name.startswith(".")]
        named = (Path(place, name) for name in files if not name.startswith(".") and not is_record(name))
        found += [file for file in named if file.suffix in _SUFFIXES and file.is_file()]
    return sorted(found), unread


def _decoded(name: str, data: bytes, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    if len(data) > LONGEST_TEXT:
        problems.append(Problem(name, 0, "", f"is larger than {LONGEST_TEXT // 2**20} MiB", "split the file"))
        return
    try:
        yield name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problems.append(Problem(name, line, "", "is not UTF-8 text", "save it as UTF-8"))
