"""Tokens of an issuer: which are taken, and when its keys are fetched."""

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from hashlib import sha256

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from featureplane.serving.access import issuer_keys
from featureplane.serving.access.issuer_keys import IssuerKeys
from featureplane.serving.access.judge import JudgeAway, Verdict
from featureplane.serving.access.oidc import Policy, Tokens, roles_of
from patience import PATIENCE
from unit.access.issuer import AUDIENCE, an_issuer

SECRET = "a secret that both sides have, and more"


@pytest.fixture(scope="module")
def shared():
    with an_issuer() as issuer:
        for kid, algorithm in {"ec": "ES256", "ed": "EdDSA", "ps": "PS256", "long": "RS512"}.items():
            issuer.rotate(kid, algorithm)
        yield issuer


@pytest.fixture
def issuer():
    with an_issuer() as made:
        yield made


def judge_of(issuer, called=None, **policy):
    keys = IssuerKeys(issuer.discovery, issuer.url if called is None else called)
    return Tokens(Policy(issuer.url, AUDIENCE, **policy), keys)


def judged(issuer, token, act="read", **policy) -> Verdict:
    return asyncio.run(judge_of(issuer, **policy).judge(token, act))


@pytest.mark.parametrize("kid", ["first", "ec", "ed", "ps", "long"])
def test_a_token_of_each_algorithm_is_taken(shared, kid):
    verdict = judged(shared, shared.token(kid))
    assert verdict.is_yes
    assert verdict.until == pytest.approx(time.time() + 630, abs=60)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1_000_000_000}, "the token has expired"),
        ({"exp": None}, "the token is not valid"),
        ({"exp": "soon"}, "the token is not valid"),
        ({"nbf": 4_000_000_000}, "the token is not valid yet"),
        ({"aud": "another"}, "the token is for another audience"),
        ({"aud": ["another", "third"]}, "the token is for another audience"),
        ({"aud": None}, "the token is not valid"),
        ({"iss": "https://another"}, "the token is of another issuer"),
        ({"iss": None}, "the token is not valid"),
    ],
)
def test_a_token_with_other_claims_is_not(shared, claims, why):
    assert judged(shared, shared.token(**claims)) == Verdict(401, why)


def test_an_audience_may_be_one_of_several(shared):
    assert judged(shared, shared.token(aud=["account", AUDIENCE])).is_yes


@pytest.mark.parametrize(("late", "status"), [(10, 200), (60, 401)])
def test_clocks_may_differ_a_little(shared, late, status):
    assert judged(shared, shared.token(exp=int(time.time()) - late)).status == status


def public_pem(issuer, kid="first"):
    public = issuer.keys[kid][1].public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def forged_with_the_public_key(issuer):
    """By hand, for PyJWT refuses to sign with it."""

    def part(data):
        return urlsafe_b64encode(data).rstrip(b"=")

    header = {"alg": "HS256", "kid": "first"}
    body = b".".join(part(json.dumps(each).encode()) for each in (header, issuer.claims()))
    return (body + b"." + part(hmac.new(public_pem(issuer), body, sha256).digest())).decode()


FORGED = {
    "no signature": lambda issuer: jwt.encode(issuer.claims(), "", "none", headers={"kid": "first"}),
    "the public key as a secret": forged_with_the_public_key,
    "another key": lambda issuer: jwt.encode(
        issuer.claims(), issuer.keys["long"][1], "RS256", headers={"kid": "first"}
    ),
    "an algorithm of another sort of key": lambda issuer: jwt.encode(
        issuer.claims(), issuer.keys["ec"][1], "ES256", headers={"kid": "first"}
    ),
    "a key of its own": lambda issuer: jwt.encode(
        issuer.claims(), issuer.keys["long"][1], "RS256", headers={"kid": "unknown", "jku": "http://127.0.0.1:9/keys"}
    ),
    "no kid among many keys": lambda issuer: jwt.encode(issuer.claims(), issuer.keys["first"][1], "RS256"),
    "a signature of something else": lambda issuer: ".".join(
        [*issuer.token().split(".")[:2], issuer.token(sub="x").split(".")[2]]
    ),
    "no token": lambda _: "abc",
    "an empty token": lambda _: "..",
    "a header that is no object": lambda issuer: ".".join(["W10", *issuer.token().split(".")[1:]]),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_not(shared, forge):
    assert judged(shared, forge(shared)) == Verdict(401, "the token is not valid")


def test_a_shared_secret_among_the_keys_is_passed_over(issuer):
    issuer.more = [{"kty": "oct", "k": urlsafe_b64encode(SECRET.encode()).decode(), "kid": "secret", "alg": "HS256"}]
    token = jwt.encode(issuer.claims(), SECRET, "HS256", headers={"kid": "secret"})
    assert judged(issuer, token).status == 401
    assert judged(issuer, issuer.token()).is_yes


def test_a_key_for_encryption_signs_nothing(issuer):
    issuer.rotate("enc")
    issuer.more = [{**issuer.jwk("enc"), "use": "enc"}]
    key = issuer.keys.pop("enc")[1]
    assert judged(issuer, jwt.encode(issuer.claims(), key, "RS256", headers={"kid": "enc"})).status == 401


@pytest.mark.parametrize(
    ("claims", "act", "status"),
    [
        ({}, "read", 403),
        ({"roles": ["reader"]}, "read", 200),
        ({"roles": ["reader"]}, "write", 403),
        ({"roles": ["writer"]}, "read", 200),
        ({"roles": ["writer"]}, "write", 200),
        ({"roles": "reader writer"}, "write", 200),
        ({"roles": {"writer": True}}, "write", 403),
        ({"resource_access": {"client": {"roles": ["writer"]}}}, "write", 200),
        ({"resource_access": {"another": {"roles": ["writer"]}}}, "write", 403),
    ],
)
def test_roles_say_who_may(shared, claims, act, status):
    policy = {"readers": frozenset({"reader"}), "writers": frozenset({"writer"}), "client_id": "client"}
    assert judged(shared, shared.token(**claims), act, **policy).status == status


def test_without_roles_whoever_has_a_token_reads_and_nobody_writes(shared):
    assert judged(shared, shared.token()).is_yes
    assert judged(shared, shared.token(roles=["admin"]), "write").status == 403


@pytest.mark.parametrize(
    ("claims", "claim", "found"),
    [
        ({"roles": ["a", 7]}, "roles", {"a"}),
        ({"scope": "a b"}, "scope", {"a", "b"}),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"https://example.com/roles": ["a"]}, "https://example.com/roles", {"a"}),
        ({"realm_access": ["a"]}, "realm_access.roles", set()),
        ({}, "roles", set()),
    ],
)
def test_where_roles_stand(claims, claim, found):
    assert roles_of(claims, claim) == found


def test_many_tokens_need_one_fetch(issuer):
    async def ask():
        judge = judge_of(issuer)
        return await asyncio.gather(*(judge.judge(issuer.token(sub=str(number)), "read") for number in range(20)))

    assert all(verdict.is_yes for verdict in asyncio.run(ask()))
    assert set(issuer.pages.asked.values()) == {1}


def test_a_new_key_is_found_and_invented_ones_do_not_ask_each_time(issuer, monkeypatch):
    async def ask():
        judge = judge_of(issuer)
        assert (await judge.judge(issuer.token(), "read")).is_yes
        issuer.rotate("second")
        invented = [jwt.encode({}, "x" * 32, "HS256", headers={"kid": "first"}), issuer.token("second")]
        assert [(await judge.judge(token, "read")).status for token in invented] == [401, 401]
        assert issuer.pages.asked["/realms/ml/keys"] == 1
        monkeypatch.setattr(issuer_keys, "BETWEEN_SECONDS", 0.0)
        assert (await judge.judge(issuer.token("second"), "read")).is_yes
        assert issuer.pages.asked["/realms/ml/keys"] == 2

    asyncio.run(ask())


def test_a_key_that_is_taken_away_counts_no_longer_than_it_is_fresh(issuer, monkeypatch):
    async def ask():
        judge = judge_of(issuer)
        token = issuer.token()
        assert (await judge.judge(token, "read")).is_yes
        issuer.rotate("second")
        del issuer.keys["first"]
        monkeypatch.setattr(issuer_keys, "FRESH_SECONDS", 0.0)
        monkeypatch.setattr(issuer_keys, "BETWEEN_SECONDS", 0.0)
        assert (await judge.judge(token, "read")).is_yes  # and the keys are fetched meanwhile
        async with asyncio.timeout(PATIENCE):
            while (await judge.judge(token, "read")).is_yes:  # noqa: ASYNC110 - keys come without telling
                await asyncio.sleep(0.01)
        await judge.close()

    asyncio.run(ask())


def test_an_issuer_that_is_away_keeps_nobody_out_whose_key_is_known(issuer, monkeypatch):
    async def ask():
        judge = judge_of(issuer)
        assert (await judge.judge(issuer.token(), "read")).is_yes
        issuer.status = 500
        monkeypatch.setattr(issuer_keys, "FRESH_SECONDS", 0.0)
        monkeypatch.setattr(issuer_keys, "BETWEEN_SECONDS", 0.0)
        for _ in range(3):
            assert (await judge.judge(issuer.token(), "read")).is_yes
            await asyncio.sleep(0.05)
        monkeypatch.setattr(issuer_keys, "STALE_SECONDS", 0.0)
        with pytest.raises(JudgeAway, match="answers with 500"):
            await judge.judge(issuer.token(), "read")

    asyncio.run(ask())


def test_an_issuer_that_never_answered_lets_nobody_in(issuer):
    issuer.pages.stop()
    with pytest.raises(JudgeAway, match="cannot be fetched"):
        judged(issuer, issuer.token())


def test_an_issuer_with_another_name_is_a_mistake_in_the_settings(issuer):
    issuer.named = "https://somebody-else"
    with pytest.raises(JudgeAway, match="calls itself 'https://somebody-else'"):
        judged(issuer, issuer.token())
    assert asyncio.run(judge_of(issuer, called="").judge(issuer.token(), "read")).is_yes
