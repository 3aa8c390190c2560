"""Which views of a run are copied together: small ones of one entity, so that each of its keys is written once.

Joining views costs reading all of them before the first row is written, and space for them meanwhile: that pays for
small files, of which there are often many, and not for large ones.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from featureplane.errors import SourceError
from featureplane.materialization.columnar_views import ColumnarView
from featureplane.materialization.readers.files import find_files
from featureplane.materialization.windows import Task

# Bytes of a view's files up to which it is small, and of all files of a group.
_SMALL = 64_000_000
_TOGETHER = 512_000_000


def grouped(tasks: Iterable[Task], known: Mapping[str, ColumnarView], repo_path: Path) -> list[list[Task]]:
    """The tasks in their order, those that go together where the first of them stands."""
    groups: list[list[Task]] = []
    open_groups: dict[object, tuple[list[Task] | None, int]] = {}
    for task in tasks:
        found = known.get(task.view)
        size = _size(found, repo_path) if found else None
        if found is None or size is None or size > _SMALL:
            groups.append([task])
            continue
        kind = (found.view.keys, found.options)
        group, total = open_groups.get(kind, (None, 0))
        if group is None or total + size > _TOGETHER or task.view in {other.view for other in group}:
            group, total = [], 0
            groups.append(group)
        group.append(task)
        open_groups[kind] = (group, total + size)
    return groups


def _size(found: ColumnarView, repo_path: Path) -> int | None:
    """Bytes of a view's files; None where it does not go with others."""
    source = found.view.source
    limits_nulls = any("maxNullFraction" in check for check in found.view.checks.values())
    if source["type"] != "file" or source["format"] != "parquet" or "://" in source["path"] or limits_nulls:
        return None
    try:
        sizes = [Path(file).stat().st_size for file in find_files(repo_path, source)]
    except (OSError, SourceError):  # the view's own run says what is wrong
        return None
    return sum(sizes) if sizes else None
