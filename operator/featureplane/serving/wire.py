"""Protobuf's base 128 (protobuf.dev, "Encoding"), for messages that are put together from parts."""

from functools import lru_cache

_LOW = 0x7F
_WIDTH = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A number of 64 bits; a negative one takes ten bytes."""
    if 0 <= number <= _LOW:
        return bytes((number,))
    number &= _WIDTH
    low = bytearray()
    while number > _LOW:
        low.append(number & _LOW | _LOW + 1)
        number >>= 7
    low.append(number)
    return bytes(low)


@lru_cache(4096)
def length(number: int) -> bytes:
    """A length: a few of them occur again and again."""
    return varint(number)
