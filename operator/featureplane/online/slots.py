"""Which slot of a Redis Cluster a key belongs to (Redis Cluster specification, "Key distribution model"). Pure."""

SLOTS = 16384


def hashed(key: bytes) -> bytes:
    """What of a key decides: the text in its first braces, where there is one. Its CRC16 (XMODEM) is the slot."""
    start = key.find(b"{")
    if start < 0:
        return key
    end = key.find(b"}", start + 1)
    return key[start + 1 : end] if end > start + 1 else key
