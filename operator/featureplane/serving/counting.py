"""What is counted of requests, for those who answer them. `meter` does it; importing that makes files, and waits until
a worker knows where.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from featureplane.serving.reading.deprecated import Deprecated
from featureplane.serving.reading.reader import Answer

# What Feast's metrics call a request for online features, over HTTP and over gRPC.
ONLINE_FEATURES: Final = "/get-online-features"
GRPC_ONLINE_FEATURES: Final = "GetOnlineFeatures"


class Counts(Protocol):
    """Takes note of each answer."""

    def answered(self, endpoint: str, answer: Answer, seconds: float) -> None:
        """Features were found, and written down `seconds` after they were asked for."""
        ...

    def refused(self, endpoint: str, *, away: bool = False) -> None:
        """A request was answered with an error; `away` where Redis is the reason."""
        ...

    def pushed(self, push_source: str, to: str) -> None:
        """Rows for a push source were taken, for the store or stores that `to` names."""
        ...

    def passed_on(self, endpoint: str, status: int, seconds: float) -> None:
        """Something else than the fast path answered, with this status of HTTP."""
        ...

    def asked_of_feast(self, deprecated: Sequence[Deprecated]) -> None:
        """Feast's own app answered a request for these."""
        ...
