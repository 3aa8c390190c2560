"""What files of rows are called, and the note beside one: known without reading any, for Arrow takes long to import."""

from pathlib import PurePath

# By the extension; `.feather` and `.ipc` are Arrow's own for the same.
FORMATS = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
EXTENSIONS = ".parquet, .csv or .arrow"
_RECORD = ".json"


def record_place(out: str) -> str:
    """`OUT.json`: what a training set was made of (see `record`)."""
    return f"{out}{_RECORD}"


def is_record(name: str) -> bool:
    """Whether a file is called as what stands beside a training set."""
    path = PurePath(name)
    return path.suffix == _RECORD and PurePath(path.stem).suffix.lower() in FORMATS
