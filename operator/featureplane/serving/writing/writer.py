"""Rows of a request into Redis: all checked, then written by the script of the runs, so that the newest event wins.

A row of the stored event time is written again; what Redis then has is what was sent last. So to send a request again
does no harm, and that is what its answer says when Redis failed in the middle of it: rows of several entities are no
transaction.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import hiredis

from featureplane.online.expiry import Expiry, plan_for
from featureplane.online.layout import Keys
from featureplane.online.replies import code_of, first_line, unwrapped
from featureplane.online.scripts import NEWEST
from featureplane.online.times import MICROSECONDS_PER_SECOND
from featureplane.serving.catalogue.served import Catalogue
from featureplane.serving.catalogue.writable import Writing
from featureplane.serving.reading.link import command
from featureplane.serving.reading.refusals import ForFeast, Refused, no_view
from featureplane.serving.reading.store import RowStore
from featureplane.serving.writing.calls import calls
from featureplane.serving.writing.misfits import WrongColumn
from featureplane.serving.writing.outcome import NotTaken, Outcome
from featureplane.serving.writing.request import WriteRequest
from featureplane.serving.writing.view import Rows, ViewPlan

# Rows that are checked, and written by one call, before others get their turn.
_AT_ONCE = 250
_ROWS_A_CALL = 50
_TRIES = 3
# Bytes of rows as Redis gets them: of one request, less than may be under way to a server, and of all.
MOST_BYTES = 12 << 20
_MOST_OF_ALL = 64 << 20
# A server that lost our script was started anew, and may be another release than before.
_UNPREPARED = ("NOSCRIPT ", "ERR Unknown Redis command")
_WHY = {
    "OOM": "it is full",
    "MISCONF": "it cannot save its data",
    "NOREPLICAS": "too few replicas follow it",
    "READONLY": "it is a replica",
    "BUSY": "a script keeps it busy",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What a request is for, as it was registered when it came: views of ours, and whether Feast has to write it,
    because it is for others as well, or not everybody may.
    """

    writing: Writing
    views: Sequence[ViewPlan]
    is_feasts: bool


Checked = Sequence[tuple[ViewPlan, Rows]]
# Of each view the newest row of each entity: its time and words, by its key.
_Newest = dict[ViewPlan, dict[bytes, tuple[int, bytes]]]


class OnlineWriter:
    """Writes for one project. `catalogue` gives what is registered by now; `note` is told the newest event time of each
    view's rows, in seconds since 1970, once Redis has them or something newer.
    """

    def __init__(
        self, catalogue: Callable[[], Catalogue], store: RowStore, note: Callable[[str, float], object] | None = None
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._note = note
        self._planned_for: Catalogue | None = None
        self._plans: dict[str, ViewPlan] = {}
        self._has_field_expiry: bool | None = None
        self._size = 0

    def target(self, request: WriteRequest) -> Target:
        """Raises Refused, and ForFeast where no view of it is ours."""
        catalogue = self._catalogue()
        if catalogue is not self._planned_for:
            self._planned_for, self._plans = catalogue, {}
        names = _names(catalogue, request)
        views = [plan for name in names if (plan := self._plan(catalogue, name)) is not None]
        if not views:
            raise ForFeast
        writing = catalogue.writing
        # Feast's Permissions, where there are any, say who may write what.
        is_feasts = catalogue.restricted or len(views) < len(names)
        if request.push_source:
            is_feasts |= not writing.left_to_feast.isdisjoint(names)
        return Target(writing, views, is_feasts)

    def columns(self, request: WriteRequest) -> list[str]:
        """What rows for it have, as far as its views are ours. Raises Refused."""
        try:
            views = self.target(request).views
        except ForFeast:
            return []
        return list(dict.fromkeys(name for view in views for name in view.columns))

    def _plan(self, catalogue: Catalogue, name: str) -> ViewPlan | None:
        plan = self._plans.get(name)
        if plan is None and name in catalogue.views and name in catalogue.writing.views:
            checks = catalogue.writing.checks.get(name, {})
            try:
                plan = ViewPlan(catalogue.project, catalogue.views[name], catalogue.writing.views[name], checks)
            except ValueError as error:
                raise Refused(f"Feature view {name} has a check that cannot be asked: {error}", 500) from None
            self._plans[name] = plan
        return plan

    @asynccontextmanager
    async def checked(self, request: WriteRequest, target: Target) -> AsyncIterator[Checked]:
        """The rows of each view, for as long as they are needed. Raises Refused for the first value that is wrong and
        for more than a request may hold, NotTaken while others hold too much.
        """
        found: list[tuple[ViewPlan, Rows]] = []
        size = 0
        try:
            for start in range(0, request.rows, _AT_ONCE):
                if start:
                    await asyncio.sleep(0)
                for view in target.views:
                    try:
                        rows = view.rows(request.columns, start, start + _AT_ONCE)
                    except WrongColumn as wrong:
                        raise Refused(f"{request.place(wrong.column, wrong.row)}: {wrong}") from None
                    size += (taken := rows.size)
                    self._size += taken
                    if size > MOST_BYTES:
                        raise _too_large(request.rows, target)
                    if self._size > _MOST_OF_ALL:
                        raise NotTaken("too many rows are being written at the moment")
                    found.append((view, rows))
            yield found
        finally:
            self._size -= size

    async def write(self, target: Target, checked: Checked) -> Outcome:
        """Raises NotTaken, and Away."""
        outcome = Outcome()
        groups: dict[Keys, _Newest] = {}
        now_ms = int(time.time() * 1000)
        for view, rows in checked:
            does_expire = view.ttl_ms and target.writing.expiry(view.join_keys) is not None
            newest = groups.setdefault(view.join_keys, {}).setdefault(view, {})
            _gather(newest, rows, now_ms - view.ttl_ms if does_expire else None, outcome)
        for keys, group in groups.items():
            await self._write(group, target.writing.expiry(keys), outcome)
            for view, newest in group.items():
                if newest and self._note is not None:
                    self._note(view.name, max(time_ for time_, _ in newest.values()) / MICROSECONDS_PER_SECOND)
        return outcome

    async def _write(self, group: _Newest, expiry: Expiry | None, outcome: Outcome) -> None:
        views = list(group)
        left = {key: [rows[key][1] if key in rows else None for rows in group.values()] for key in _keys(group)}
        for _ in range(_TRIES):
            if not left:
                return
            if self._has_field_expiry is None:
                await self._prepare()
            plan = plan_for(expiry, [view.ttl_ms for view in views], has_field_expiry=bool(self._has_field_expiry))
            made = list(calls(views, plan, left, 1 if self._store.is_spread else _ROWS_A_CALL))
            replies = await self._store.read([call.keys[0] for call in made], [call.command for call in made])
            again: dict[bytes, list[bytes | None]] = {}
            for call, reply in zip(made, replies, strict=True):
                if isinstance(reply, hiredis.ReplyError):
                    _refuse_unless_unprepared(unwrapped(str(reply)))
                    self._has_field_expiry = None
                    again |= {key: left[key] for key in call.keys}
                else:
                    written = reply.count(b"1")
                    outcome.written += written
                    outcome.older += call.parts - written
            left = again
        if left:
            raise NotTaken("it loses our script")

    async def _prepare(self) -> None:
        """Have every server know the script, and ask them whether fields can expire."""
        wanted = [command(b"SCRIPT", b"LOAD", NEWEST.text), command(b"COMMAND", b"INFO", b"HPEXPIREAT")]
        found = True
        for loaded, described in await self._store.ask_all(wanted):
            for reply in (loaded, described):
                if isinstance(reply, hiredis.ReplyError):
                    raise _not_taken(str(reply))
            found &= described[0] is not None
        self._has_field_expiry = found


def _too_large(rows: int, target: Target) -> Refused:
    views = f", for each of {len(target.views)} views" if len(target.views) > 1 else ""
    how = "send fewer rows at a time" if rows > 1 else "its values are too large"
    return Refused(f"the rows take more than {MOST_BYTES >> 20} MiB in Redis{views}; {how}", 413)


def _names(catalogue: Catalogue, request: WriteRequest) -> Sequence[str]:
    """The views that a request is for, of whatever sort. Raises Refused."""
    if request.push_source:
        names = catalogue.writing.push_sources.get(request.push_source)
        if names is None:
            view = request.push_source.removesuffix("_push")
            how = f" Set push.enabled in the FeatureView of {view}." if view in catalogue.views else ""
            text = f"Unable to find push source '{request.push_source}'.{how}"
            raise Refused(text, kind="PushSourceNotFoundException")
        return names
    if request.view not in catalogue.views and ("view", request.view) not in catalogue.left_to_feast:
        raise no_view(request.view, catalogue.project, catalogue.views)
    return (request.view,)


def _gather(newest: dict[bytes, tuple[int, bytes]], rows: Rows, oldest: int | None, outcome: Outcome) -> None:
    """Take the rows that have not outlived their ttl (event times up to `oldest`, in ms since 1970): of an entity's the
    newest, and the last of equal ones.
    """
    for key, time_, words in zip(rows.keys, rows.times, rows.words, strict=True):
        if oldest is not None and time_ // 1000 <= oldest:
            outcome.expired += 1
            continue
        before = newest.get(key)
        if before is not None:
            outcome.older += 1
            if time_ < before[0]:
                continue
        newest[key] = time_, words


def _keys(group: _Newest) -> Iterable[bytes]:
    """The keys of all views, each once."""
    return dict.fromkeys(key for rows in group.values() for key in rows)


def _refuse_unless_unprepared(error: str) -> None:
    if not error.startswith(_UNPREPARED):
        raise _not_taken(error)


def _not_taken(error: str) -> NotTaken:
    logger.warning("Redis refuses rows: %s", first_line(error))
    return NotTaken(_WHY.get(code_of(error), "it refuses them; the server's log says why"))
