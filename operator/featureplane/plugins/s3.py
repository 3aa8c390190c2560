"""S3 for Feast's own readers, which ask fsspec for it: by Arrow, as ours, where the package s3fs is not installed."""

from importlib.util import find_spec
from typing import Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper

from featureplane.object_store import open_bucket


class ArrowS3(ArrowFSWrapper):  # type: ignore[misc]  # fsspec publishes no types
    """The store that the environment names. Options are Feast's for s3fs, and none of ours."""

    protocol = "s3"
    # An instance is a connection of its time: the environment may name another store next.
    cachable = False

    def __init__(self, **_: Any) -> None:
        filesystem, _bucket = open_bucket("s3", "")
        super().__init__(filesystem)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return str(path).removeprefix("s3://").rstrip("/")


def lend_s3() -> None:
    """Let fsspec open s3:// in this process."""
    if find_spec("s3fs") is None:
        fsspec.register_implementation("s3", ArrowS3, clobber=True)
