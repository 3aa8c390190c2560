"""The shortest way through a worker, for online features that anybody may ask for: no task, no ASGI, no future.

A short request that came whole is planned where the parser ends it, and answered where Redis' replies come in. Whatever
is not that simple is the application's (`app`): it then answers as if nobody had tried, and has all errors to itself.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from featureplane.serving.counting import ONLINE_FEATURES, Counts
from featureplane.serving.http.cycle import Cycle
from featureplane.serving.reading.as_json import as_json
from featureplane.serving.reading.reader import Asked, OnlineReader
from featureplane.serving.reading.request import from_json

# Bytes of a request's body: as many as there are connections may wait for their ends.
MOST_BYTES = 8 << 10
Otherwise = Callable[[Cycle], None]


class Lane:
    """See the module. `in_progress` counts requests that wait for Redis."""

    def __init__(self, reader: OnlineReader, meter: Counts) -> None:
        self.reader, self.meter = reader, meter
        self.in_progress = 0

    def take(self, cycle: Cycle, otherwise: Otherwise) -> bool:
        """Whether the request, with its body whole, is answered here; if that fails later, `otherwise` is called."""
        begun = perf_counter()
        try:
            request = from_json(cycle.body)
            asked = self.reader.plan(request)
            is_asked = not request.with_versions and self.reader.at_once(
                asked, _Turn(self, cycle, otherwise, asked, begun)
            )
        except Exception:  # noqa: BLE001 - the application meets it again, and answers for it
            return False
        self.in_progress += is_asked
        return is_asked


class _Turn:
    """One request, as it waits for Redis: a `link.Waiter`."""

    __slots__ = ("_asked", "_begun", "_cycle", "_lane", "_otherwise", "_sent")

    def __init__(self, lane: Lane, cycle: Cycle, otherwise: Otherwise, asked: Asked, begun: float) -> None:
        self._lane, self._cycle, self._otherwise, self._asked = lane, cycle, otherwise, asked
        self._begun, self._sent = begun, perf_counter()

    def done(self) -> bool:
        return False

    def set_result(self, replies: list[Any]) -> None:
        lane, cycle = self._lane, self._cycle
        lane.in_progress -= 1
        try:
            answer = lane.reader.found(self._asked, replies, perf_counter() - self._sent)
            said = as_json(answer.entities, answer.columns)
        except Exception:  # noqa: BLE001 - the application meets it again, and answers for it
            self._otherwise(cycle)
            return
        if cycle.answer(said, answer.plan.head):
            lane.meter.answered(ONLINE_FEATURES, answer, perf_counter() - self._begun)
        else:
            self._otherwise(cycle)

    def set_exception(self, _: BaseException) -> None:
        self._lane.in_progress -= 1
        self._otherwise(self._cycle)
