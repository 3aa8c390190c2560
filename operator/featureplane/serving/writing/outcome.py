"""What becomes of a request that writes."""

from dataclasses import dataclass

# What is said of a request that Redis failed in the middle of.
SEND_AGAIN = "some of the request's rows may be written; send it again, which does no harm"


class NotTaken(Exception):
    """Redis does not take writes now, or not all of them."""


@dataclass
class Outcome:
    """What became of a request's rows, counted for each view: `older` ones are not written because something newer is
    stored or in the request, `expired` ones because they have outlived the view's ttl.
    """

    written: int = 0
    older: int = 0
    expired: int = 0
