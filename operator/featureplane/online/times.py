"""Event times as all of it computes with them: whole microseconds since 1970, as Arrow's timestamp[us] has them."""

from typing import Final

MICROSECONDS_PER_SECOND: Final = 1_000_000
