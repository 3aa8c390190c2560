"""What is remembered of a judge's words, for how long, and how often it is asked."""

import asyncio
import time

import pytest

from featureplane.serving.access import access as module
from featureplane.serving.access.access import Access, NotLetIn
from featureplane.serving.access.judge import JudgeAway, Verdict
from featureplane.serving.http.guard import act_of

WHY = "you may not"


class Judge:
    """Says what a test told it to, and counts; it has the clock, too."""

    def __init__(self, verdict=None) -> None:
        self.verdict = verdict or Verdict()
        self.asked: list[tuple[str, str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.now = 1000.0

    def clock(self):
        return self.now

    async def judge(self, token, act):
        self.asked.append((token, act))
        await self.may_answer.wait()
        if isinstance(self.verdict, JudgeAway):
            raise self.verdict
        return self.verdict

    async def close(self):
        pass


def running(test):
    """An asynchronous test, with a judge."""

    def run():
        async def inner():
            await asyncio.wait_for(test(Judge()), 10)

        asyncio.run(inner())

    run.__name__ = test.__name__
    return run


async def refusal(access, header="Bearer t", act="read"):
    with pytest.raises(NotLetIn) as raised:
        await access.check(header, act)
    return raised.value


@running
async def test_a_judge_is_asked_once_for_many_requests(judge):
    access = Access(judge, judge.clock)
    for _ in range(5):
        await access.check("Bearer t", "read")
        await access.check("bearer  t ", "read")
    await access.check("Bearer t", "write")
    await access.check("Bearer u", "read")
    assert judge.asked == [("t", "read"), ("t", "write"), ("u", "read")]


@running
async def test_who_guesses_does_not_keep_others_out(judge):
    access = Access(judge, judge.clock)
    judge.may_answer.clear()
    guesses = [
        asyncio.create_task(access.check(f"Bearer {number}", "read", "10.0.0.1"))
        for number in range(module.MOST_ASKED_BY_ONE)
    ]
    await asyncio.sleep(0.01)
    with pytest.raises(NotLetIn, match="too many new tokens are being checked; try again") as raised:
        await access.check("Bearer more", "read", "10.0.0.1")
    assert (raised.value.status, raised.value.headers) == (503, ((b"retry-after", b"1"),))
    other = asyncio.create_task(access.check("Bearer more", "read", "10.0.0.2"))
    await asyncio.sleep(0.01)
    judge.may_answer.set()
    await asyncio.gather(other, *guesses)
    await access.check("Bearer still more", "read", "10.0.0.1")  # nothing of them is left


@running
async def test_tokens_of_many_addresses_have_a_bound_too(judge):
    access = Access(judge, judge.clock)
    judge.may_answer.clear()
    guesses = [
        asyncio.create_task(access.check(f"Bearer {number}", "read", f"10.0.0.{number}"))
        for number in range(module.MOST_ASKED)
    ]
    await asyncio.sleep(0.05)
    with pytest.raises(NotLetIn, match="too many new tokens"):
        await access.check("Bearer more", "read", "10.1.0.1")
    judge.may_answer.set()
    await asyncio.gather(*guesses)


@running
async def test_requests_at_the_same_time_wait_for_one_answer(judge):
    access = Access(judge, judge.clock)
    judge.may_answer.clear()
    waiting = [asyncio.create_task(access.check("Bearer t", "read")) for _ in range(50)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()  # who asked first leaves
    await asyncio.sleep(0.01)
    judge.may_answer.set()
    await asyncio.gather(*waiting[1:])
    assert judge.asked == [("t", "read")]


@running
async def test_what_was_allowed_is_asked_again_after_seconds(judge):
    access = Access(judge, judge.clock)
    await access.check("Bearer t", "read")
    judge.verdict = Verdict(403, WHY)
    await access.check("Bearer t", "read")
    judge.now += module.ALLOWED_SECONDS
    assert (await refusal(access)).status == 403
    judge.verdict = Verdict()
    assert (await refusal(access)).status == 403
    judge.now += module.REFUSED_SECONDS
    await access.check("Bearer t", "read")


@running
async def test_a_token_is_not_remembered_for_longer_than_it_lives(judge):
    access = Access(judge, judge.clock)
    judge.verdict = Verdict(until=time.time() + 0.05)
    await access.check("Bearer t", "read")
    judge.verdict = Verdict(401, "the token has expired")
    judge.now += 0.06
    assert (await refusal(access)).status == 401


@running
async def test_nobody_is_let_in_while_nobody_can_say(judge):
    access = Access(judge, judge.clock)
    await access.check("Bearer known", "read")
    judge.verdict = JudgeAway("the API server at 10.0.0.1 is away")
    found = await refusal(access)
    assert (found.status, found.headers) == (503, ((b"retry-after", b"1"),))
    assert "10.0.0.1" not in str(found)
    assert access.problem == "the API server at 10.0.0.1 is away"
    await access.check("Bearer known", "read")
    judge.now += module.AWAY_SECONDS
    judge.verdict = Verdict()
    await access.check("Bearer t", "read")
    assert access.problem == ""


def test_refusals_do_not_push_out_what_is_allowed(monkeypatch):
    monkeypatch.setattr(module, "MOST_REMEMBERED", 10)

    @running
    async def guessing(judge):
        access = Access(judge, judge.clock)
        await access.check("Bearer t", "read")
        judge.verdict = Verdict(401, "guessed")
        for number in range(30):
            await refusal(access, f"Bearer {number}")
        judge.asked.clear()
        await access.check("Bearer t", "read")
        await refusal(access, "Bearer 29")
        assert judge.asked == []
        await refusal(access, "Bearer 0")  # as long ago as it is, it was forgotten
        assert judge.asked == [("0", "read")]

    guessing()


@running
async def test_no_token_is_a_challenge_and_asks_nobody(judge):
    access = Access(judge, judge.clock)
    for header in ("", "Bearer", "Bearer ", "Basic dXNlcjpwYXNzd29yZA==", "t"):
        found = await refusal(access, header)
        assert (found.status, found.headers) == (401, ((b"www-authenticate", b"Bearer"),))
    for header in (f"Bearer {'x' * 20_000}", "Bearer a\x00b", "Bearer gänse"):
        found = await refusal(access, header)
        assert (found.status, found.headers) == (401, ((b"www-authenticate", b'Bearer error="invalid_token"'),))
    assert judge.asked == []


@running
async def test_nothing_that_is_remembered_is_a_token(judge):
    access = Access(judge, judge.clock)
    await access.check("Bearer a-very-secret-token", "read")
    assert "a-very-secret-token" not in repr(vars(access)).replace(repr(judge.asked), "")


@pytest.mark.parametrize(
    ("method", "path", "act"),
    [
        ("POST", "/get-online-features", "read"),
        ("POST", "/get-online-features/", "read"),
        ("POST", "/search", "read"),
        ("POST", "/v1/vector_stores/products/search", "read"),
        ("GET", "/v1/vector_stores", "read"),
        ("POST", "/v1/vector_stores/products", "write"),
        ("POST", "/push", "write"),
        ("POST", "/write-to-online-store", "write"),
        ("POST", "/materialize", "write"),
        ("POST", "/a-route-of-the-next-release", "write"),
        ("DELETE", "/search", "read"),
        ("PUT", "/", "write"),
    ],
)
def test_what_is_not_known_to_read_takes_the_right_to_write(method, path, act):
    assert act_of(method, path) == act
