"""`stores.json`: where the running stores of a folder are, for a second process that wants to share them.

Its writer holds a lock on the very file that it publishes, taken before the file gets its name. So whoever opens
`stores.json` and finds it locked knows that its writer lives and that the content is true; a file left by a crash is
never locked, and never believed. The same text, on one line, is the guardian's answer to its parent.
"""

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path

from featureplane.errors import LocalStoreError
from featureplane.settings import PostgresAddress, RedisAddress, Stores


def encode(stores: Stores) -> str:
    """Both addresses as one line of JSON; it holds the password of Redis."""
    return json.dumps({"postgres": dict(stores.postgres.keywords), "redis": asdict(stores.redis)})


def decode(text: str) -> Stores:
    """The reverse of `encode`; raises LocalStoreError with the guardian's words where it reports a failure."""
    content = json.loads(text)
    if "error" in content:
        raise LocalStoreError(content["error"])
    return Stores(PostgresAddress(content["postgres"]), RedisAddress(**content["redis"]))


def encode_error(message: str) -> str:
    return json.dumps({"error": message})


def publish(path: Path, stores: Stores) -> int:
    """Write the record and return its locked descriptor: the record is true until that is closed."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, encode(stores).encode())
    draft.rename(path)
    return descriptor


def read_live(path: Path) -> Stores | None:
    """The stores that a living guardian published in `path`; None when there is no record or a stale one."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return decode(file.read())
    except FileNotFoundError:
        pass
    return None
