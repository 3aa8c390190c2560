"""Object stores as file systems of Arrow's: opening one, saying what is wrong with it, and moving whole files.

Where an S3 store is, and what it is reached with, stand in the environment: a FeastProject's `dataRoot.s3` is put
there (see `settings.ObjectStore`), and credentials come by a Secret, a cloud's role or the user's own profile.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pyarrow import fs

from featureplane.errors import FeatureplaneError
from featureplane.settings import ObjectStore, Settings

URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/]*)/*(?P<path>.*)", re.DOTALL)
S3_SCHEMES = frozenset({"s3", "s3a"})

# What a store's client says, Arrow's or Delta Lake's, where the credentials are at fault.
_REFUSED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID|EXPIRED_TOKEN"
    r"|UNRECOGNIZED_CLIENT|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|ExpiredToken|InvalidToken"
    r"|HTTP status 40[13]|40[13] (?:Forbidden|Unauthorized)"
)
_MISSING = re.compile(r"loading credentials|169\.254\.169\.254|provider \w+ was not able to load credentials")
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|NoSuchBucket")
_AWAY = re.compile(
    r"Could not (?:resolve|connect)[^:;]*|Failed to connect[^:;]*|SSL connect error|Timeout was reached|timed? ?out"
    r"|dns error|Connection refused|tcp connect error|error sending request|NETWORK_CONNECTION",
    re.IGNORECASE,
)


def open_bucket(scheme: str, authority: str) -> tuple[Any, str]:
    """The file system of an object store, and the path of its bucket. Nothing is asked of the store yet.

    With an endpoint, buckets stand in a URL's path; without one, Amazon's are part of the host's name.
    """
    if scheme in S3_SCHEMES and (found := _environment()).says_where:
        given = {"endpoint_override": found.endpoint, "region": found.region}
        return fs.S3FileSystem(**{name: value for name, value in given.items() if value}), authority
    if scheme in S3_SCHEMES and not authority:
        return fs.S3FileSystem(), ""
    opened: tuple[Any, str] = fs.FileSystem.from_uri(f"{scheme}://{authority}")
    return opened


def delta_options(scheme: str) -> dict[str, str]:
    """Delta Lake's storage options: what it would not find in the environment by itself."""
    return _environment().environment() if scheme in S3_SCHEMES else {}


def has_bucket(filesystem: Any, scheme: str, bucket: str) -> bool:
    """Whether an S3 store has the bucket; True for what is no S3 store."""
    if scheme not in S3_SCHEMES:
        return True
    (info,) = filesystem.get_file_info([bucket])
    return bool(info.type != fs.FileType.NotFound)


def no_bucket(address: str) -> str:
    """That the bucket of an address is not there, and what to do."""
    return f"there is no bucket {_bucket(address)!r} at {_environment()}; make it, or correct the URI"


def trouble(address: str, said: str, *, wanted: str = "read and list") -> str | None:
    """What a client's words about an S3 address mean, and what to do; None for what is about something else.

    `wanted` is what should be allowed there. The client's words are not repeated: they may hold parts of keys.
    """
    if not address.startswith(tuple(f"{scheme}://" for scheme in S3_SCHEMES)):
        return None
    store = _environment()
    if _NO_BUCKET.search(said):
        return no_bucket(address)
    if refused := _REFUSED.search(said):
        reason = refused[0].replace("_", " ").lower() if refused[0].isupper() else refused[0]
        return (
            f"{store} refuses {store.credentials} ({reason}); correct {_KEYS} there, "
            f"or allow them to {wanted} the bucket {_bucket(address)!r}"
        )
    if _MISSING.search(said):
        return f"there are no credentials for {store}; give {_KEYS} by {store.credentials}"
    if away := _AWAY.search(said):
        remedy = "correct spec.offlineStore.dataRoot.s3.endpoint, or see to the store"
        return f"{store} does not answer ({away[0]}); {remedy}"
    return None


def is_address(place: str) -> bool:
    """Whether it is the URI of an object store, and no path here."""
    return URI.fullmatch(place) is not None


def check_store(address: str) -> None:
    """Raises FeatureplaneError where nothing could be written: there is no such store or bucket, or it is refused."""
    uri = _parts(address)
    with _asking(address, "written", "write to"):
        filesystem, base = open_bucket(uri["scheme"], uri["authority"])
        if not has_bucket(filesystem, uri["scheme"], base):
            raise FeatureplaneError(f"{address} cannot be written: {no_bucket(address)}")


@contextmanager
def delivered(address: str) -> Iterator[Path]:
    """A path to write a file to, which is at `address` when the block ends, whole, and not at all where it raises.

    What was there before stays until then. Raises FeatureplaneError where it cannot be put there.
    """
    uri = _parts(address)
    with TemporaryDirectory(prefix="featureplane-") as folder:
        written = Path(folder) / Path(uri["path"]).name
        try:
            yield written
        except OSError as error:
            raise FeatureplaneError(f"{address} cannot be written: {error.strerror or error}") from error
        with _asking(address, "written", "write to"):
            filesystem, base = open_bucket(uri["scheme"], uri["authority"])
            _copy(written, fs.LocalFileSystem(), f"{base}/{uri['path']}", filesystem)


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """The file at `address` as one here, of the same name, gone with the block.

    Raises FeatureplaneError where there is none, or it cannot be read.
    """
    uri = _parts(address)
    with TemporaryDirectory(prefix="featureplane-") as folder:
        here = Path(folder) / Path(uri["path"]).name
        with _asking(address, "read", "read and list"):
            filesystem, base = open_bucket(uri["scheme"], uri["authority"])
            (info,) = filesystem.get_file_info([f"{base}/{uri['path']}"])
            if info.type != fs.FileType.File:
                there = has_bucket(filesystem, uri["scheme"], base)
                why = "there is no file; correct the URI" if there else no_bucket(address)
                raise FeatureplaneError(f"{address} cannot be read: {why}")
            _copy(info.path, filesystem, here, fs.LocalFileSystem())
        yield here


@contextmanager
def _asking(address: str, done: str, wanted: str) -> Iterator[None]:
    """Say what is wrong with a store in our words."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        reason = trouble(address, str(error), wanted=wanted) or line
        raise FeatureplaneError(f"{address} cannot be {done}: {reason}") from error


def _copy(source: str | Path, source_system: Any, target: str | Path, target_system: Any) -> None:
    fs.copy_files(str(source), str(target), source_filesystem=source_system, destination_filesystem=target_system)


def _parts(address: str) -> re.Match[str]:
    uri = URI.fullmatch(address)
    if uri is None or not uri["authority"]:
        raise FeatureplaneError(f"{address!r} names no bucket; write s3://BUCKET/FILE")
    return uri


def _environment() -> ObjectStore:
    return Settings.from_env().object_store


def _bucket(address: str) -> str:
    uri = URI.fullmatch(address)
    return uri["authority"] if uri else ""
