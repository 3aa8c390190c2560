"""Which files a source's path means, here or in an object store, and whether they are still the same later."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from featureplane.errors import SourceChanged, SourceError
from featureplane.object_store import URI, has_bucket, no_bucket, open_bucket

# What a name may hold that DuckDB takes for a pattern.
_PATTERN = re.compile(r"[\[?*]")
# Writers leave marks like _SUCCESS and _delta_log, and editors their own, beside the data.
_NO_DATA = ("_", ".")


@dataclass(frozen=True)
class Files:
    """Files in the order of their paths, as one file system knows them; `scheme` is empty for this machine's."""

    filesystem: Any
    scheme: str
    paths: tuple[str, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each file with its scheme."""
        return tuple(f"{self.scheme}://{path}" for path in self.paths) if self.scheme else self.paths

    @property
    def patterns(self) -> tuple[str, ...]:
        """Each file as DuckDB opens it: a pattern that nothing but the file matches."""
        return tuple(_PATTERN.sub(r"[\g<0>]", address) for address in self.addresses)

    def stamps(self) -> tuple[tuple[Any, ...], ...]:
        """What differs once a file is replaced. Raises FileNotFoundError for one that is gone."""
        if not self.scheme:
            return tuple((found.st_ino, found.st_size, found.st_mtime_ns) for found in map(os.stat, self.paths))
        found = self.filesystem.get_file_info(list(self.paths))
        missing = [info.path for info in found if info.type == fs.FileType.NotFound]
        if missing:
            raise FileNotFoundError(missing[0])
        return tuple((info.size, info.mtime_ns) for info in found)


class Unchanged:
    """Files that must stay as they were when they were first looked at."""

    def __init__(self, files: Files, place: str) -> None:
        self._files = files
        self._place = place
        self._stamps = files.stamps()

    def check(self) -> None:
        """Raises SourceChanged for a file that was replaced, written to or deleted."""
        try:
            same = self._files.stamps() == self._stamps
        except FileNotFoundError:
            same = False
        if not same:
            raise SourceChanged(
                f"{self._place} was replaced while it was read; run again, and write new files beside the old ones"
            )


def find_files(repo_path: Path, source: Mapping[str, Any]) -> list[str]:
    """The files of a source of Parquet files: that of its path, all below a folder, or those that a `*` matches.

    A relative path is below `repo_path`; those in an object store come with their scheme. Empty where there is none.
    Raises SourceError for one that lies elsewhere, see `check_inside`; OSError from the file system.
    """
    path = str(source["path"])
    files = _files(path, repo_path)
    check_inside(files, path, repo_path)
    return list(files.addresses)


def open_files(path: str, root: Path) -> Files:
    """The files of `find_files`, with where they are. Raises SourceError also where there is none."""
    files = _files(path, root)
    if not files.paths:
        filesystem, scheme, place = place_of(path, root)
        if scheme and not has_bucket(filesystem, scheme, place.partition("/")[0]):
            raise SourceError(f"{path} cannot be read: {no_bucket(path)}")
        raise SourceError(f"there is nothing at {path if scheme else place}; correct spec.source.file.path")
    return files


def check_inside(files: Files, path: str, root: Path) -> None:
    """Raises SourceError where `path` lies below `root` and a file that it leads to, through a link, does not."""
    base = os.path.realpath(root)
    below = (str(root.absolute()), base)
    if files.scheme or not any(_is_below(place_of(path, root)[2], each) for each in below):
        return
    for found in files.paths:
        if not _is_below(os.path.realpath(found), base):
            raise SourceError(
                f"{found} is a link to a file outside of the data root {base}; put the file there itself, "
                "or write its own absolute path into spec.source.file.path"
            )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _files(path: str, root: Path) -> Files:
    filesystem, scheme, place = place_of(path, root)
    found = [name for name in _matching(filesystem, place) if not _is_beside(name, place)]
    return Files(filesystem, scheme, tuple(sorted(found)))


def place_of(path: str, root: Path) -> tuple[Any, str, str]:
    """The file system of a path, its scheme and the path in it."""
    uri = URI.fullmatch(path)
    if uri is None:
        return fs.LocalFileSystem(), "", str(root.absolute() / path)
    if uri["scheme"] == "file":
        return fs.LocalFileSystem(), "", f"/{uri['path']}"
    filesystem, base = open_bucket(uri["scheme"], uri["authority"])
    return filesystem, uri["scheme"], f"{base}/{uri['path']}".rstrip("/")


def _matching(filesystem: Any, place: str) -> Iterator[str]:
    """Every file that the path means, a folder's being those below it."""
    if "*" not in place:
        yield from _files_at(filesystem, place)
        return
    fixed = place[: place.index("*")].rpartition("/")[0]
    pattern = re.compile("[^/]*".join(re.escape(part) for part in place.rstrip("/").split("*")) + "(?:/.*)?", re.DOTALL)
    yield from (name for name in _files_at(filesystem, fixed) if pattern.fullmatch(name))


def _files_at(filesystem: Any, place: str) -> Sequence[str]:
    (info,) = filesystem.get_file_info([place])
    if info.type == fs.FileType.File:
        return [info.path]
    below = filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True, recursive=True))
    return [info.path for info in below if info.type == fs.FileType.File]


def _is_beside(name: str, place: str) -> bool:
    """Whether a file that was found is none of the data, nor in a folder of it, and the path does not name it so."""
    named = place.split("/")
    return any(
        part.startswith(_NO_DATA) and "=" not in part and not (depth < len(named) and named[depth].startswith(_NO_DATA))
        for depth, part in enumerate(name.split("/"))
    )
