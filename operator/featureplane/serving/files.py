"""Files that somebody else replaces while a server runs."""

from pathlib import Path

Signature = tuple[int, int, int]


def signature(path: Path) -> Signature:
    """What differs once a file is replaced or written to. Raises OSError."""
    # Links are followed: Kubernetes replaces the folder that the files of a mounted Secret link to.
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size
