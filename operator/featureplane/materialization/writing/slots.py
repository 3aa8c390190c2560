"""The slots of many keys."""

from binascii import crc_hqx

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featureplane.online.slots import SLOTS, hashed


def slots_of(keys: pa.BinaryArray) -> NDArray[np.int64]:
    """The slot of each key, int of n."""
    return np.fromiter((crc_hqx(hashed(key), 0) for key in keys.to_pylist()), np.int64, len(keys)) % SLOTS
