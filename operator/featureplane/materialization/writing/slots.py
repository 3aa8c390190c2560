"""Which slot of a Redis Cluster a key belongs to (Redis Cluster specification, "Key distribution model"). Pure."""

from binascii import crc_hqx

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SLOTS = 16384


def slots_of(keys: pa.BinaryArray) -> NDArray[np.int64]:
    """The slot of each key, int of n."""
    return np.fromiter((crc_hqx(_hashed(key), 0) for key in keys.to_pylist()), np.int64, len(keys)) % SLOTS


def _hashed(key: bytes) -> bytes:
    """What of a key decides: the text in its first braces, where there is one."""
    start = key.find(b"{")
    if start < 0:
        return key
    end = key.find(b"}", start + 1)
    return key[start + 1 : end] if end > start + 1 else key
