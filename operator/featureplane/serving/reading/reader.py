"""Online features of a request: planned, read in one round trip, and laid out in columns."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import perf_counter, time
from typing import Any, NamedTuple

from featureplane.serving.catalogue.served import DUMMY_KEY, Catalogue
from featureplane.serving.reading.answer import Columns, Entities, columns_of, entities_of
from featureplane.serving.reading.deprecated import Deprecated, asked_for
from featureplane.serving.reading.link import Waiter
from featureplane.serving.reading.plan import Plan, plan_features, plan_service
from featureplane.serving.reading.refusals import ForFeast, Refused
from featureplane.serving.reading.request import Request
from featureplane.serving.reading.store import Store

# Plans that are kept, and the features of one: a client may ask for ever other lists.
_MOST_PLANS = 500
_LONG_PLAN = 256
# Entity rows that a request may name, and values that it may ask for: an answer is made in one piece.
MOST_ROWS = 10_000
MOST_VALUES = 1_000_000


class Answer(NamedTuple):
    """What was found for a request; Redis took `read_seconds` for it."""

    plan: Plan
    entities: Entities
    columns: list[Columns]
    read_seconds: float


class Asked(NamedTuple):
    """What Redis is asked for a request."""

    plan: Plan
    entities: Entities
    keys: list[bytes]
    commands: list[bytes]


class OnlineReader:
    """Reads for one project. `catalogue` gives what is registered by now."""

    def __init__(
        self,
        catalogue: Callable[[], Catalogue],
        store: Store,
        *,
        keeps_expired: bool = True,
        by_feast: bool = False,
    ) -> None:
        """Where an online store is only Feast's to read, all is answered `by_feast`."""
        self._catalogue = catalogue
        self._store = store
        self._keeps_expired = keeps_expired
        self._by_feast = by_feast
        self._planned_for: Catalogue | None = None
        self._plans: OrderedDict[tuple[str, tuple[str, ...], bool], Plan] = OrderedDict()

    async def read(self, request: Request) -> Answer:
        """Raises Refused, ForFeast, Away, Undecodable."""
        asked = self.plan(request)
        begun = perf_counter()
        replies = await self._store.read(asked.keys, asked.commands) if asked.commands else []
        return self.found(asked, replies, perf_counter() - begun)

    def at_once(self, asked: Asked, waiter: Waiter) -> bool:
        """Whether it was asked without waiting for anything; the waiter then hears Redis' replies, errors and all."""
        return bool(asked.commands) and self._store.at_once(asked.commands, waiter)

    def plan(self, request: Request) -> Asked:
        """Raises Refused, ForFeast."""
        plan = self._plan(request)
        # Before anything is made of each of them: a body may hold half a million.
        rows = len(next(iter(request.entities.values())))
        if rows > MOST_ROWS:
            raise Refused(f"{rows} entity rows are too many for one request; ask for {MOST_ROWS}", 413)
        if rows * plan.width > MOST_VALUES:
            text = f"{rows} entity rows of {plan.width} features are too many values for one request"
            raise Refused(f"{text}; ask for {MOST_VALUES // plan.width} rows, or for fewer features", 413)
        entities = entities_of(plan, request.entities)
        columns = {**entities.columns, DUMMY_KEY: ("",) * rows}
        keys: list[bytes] = []
        commands: list[bytes] = []
        for read in plan.reads:
            its = read.rows(columns)
            keys += its
            commands += read.commands(its)
        return Asked(plan, entities, keys, commands)

    def deprecated(self, request: Request) -> tuple[Deprecated, ...]:
        """What is deprecated of what a request for Feast's own app asks for."""
        return asked_for(self._catalogue(), request)

    def found(self, asked: Asked, replies: Sequence[Any], read_seconds: float) -> Answer:
        """The answer, by what Redis replied. Raises Undecodable."""
        plan, rows = asked.plan, asked.entities.rows
        shares = [replies[index * rows : (index + 1) * rows] for index in range(len(plan.reads))]
        found = columns_of(plan, shares, time(), keeps_expired=self._keeps_expired)
        return Answer(plan, asked.entities, found, read_seconds)

    def _plan(self, request: Request) -> Plan:
        catalogue = self._catalogue()
        if catalogue.restricted or self._by_feast:
            raise ForFeast
        if catalogue is not self._planned_for:
            self._planned_for = catalogue
            self._plans.clear()
        key = (request.service, () if request.service else request.features, request.full_names)
        plan = self._plans.get(key)
        if plan is None:
            plan = (
                plan_service(catalogue, request.service, full_names=request.full_names)
                if request.service
                else plan_features(catalogue, request.features, full_names=request.full_names)
            )
            if len(key[1]) > _LONG_PLAN:
                return plan
            self._plans[key] = plan
            if len(self._plans) > _MOST_PLANS:
                self._plans.popitem(last=False)
        return plan
