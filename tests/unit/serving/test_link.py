"""Replies of Redis, told to whoever waits for them."""

import asyncio
from typing import Any, NoReturn
from unittest.mock import Mock

import pytest

from featureplane.serving.reading.link import Link, LinkLost


class Failing:
    """Who cannot do anything with what he is told."""

    def done(self) -> bool:
        return False

    def set_result(self, _: list[Any]) -> NoReturn:
        raise RuntimeError("nobody there")

    def set_exception(self, _: BaseException) -> NoReturn:
        raise RuntimeError("nobody there")


def test_who_fails_with_a_reply_is_in_nobodys_way() -> None:
    async def ask() -> None:
        link = Link()
        link.connection_made(Mock())
        link.ask_for(Failing(), b"", 1)
        after = link.ask(b"", 1)
        link.data_received(b":1\r\n:2\r\n")
        assert await after == [2]
        assert (link.is_lost, link.unanswered) == (False, 0)

    asyncio.run(ask())


def test_who_fails_with_the_end_of_the_link_keeps_it_from_nobody() -> None:
    async def ask() -> None:
        link, lost = Link(), asyncio.Event()
        link.on_lost = lambda _: lost.set()
        link.connection_made(Mock())
        link.ask_for(Failing(), b"", 1)
        after = link.ask(b"", 1)
        link.connection_lost(None)
        with pytest.raises(LinkLost):
            await after
        assert lost.is_set()

    asyncio.run(ask())
