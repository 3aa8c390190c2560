"""Kubernetes as the judge, in the form of a small API server on the loopback; tests/cluster asks a real one."""

import asyncio

import pytest

from featureplane.serving.access.judge import JudgeAway, Verdict
from featureplane.serving.access.reviews import Reviews
from featureplane.settings import InCluster
from unit.access.certificates import write_certificate
from unit.access.pages import pages

TOKENS, ACCESS = "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class ApiServer:
    """Knows the token `known`; its holder may do what is in `verbs`."""

    def __init__(self) -> None:
        self.verbs = {"get"}
        self.own = "own-1"
        self.audiences: list[str] | None = None
        self.status = 201
        self.reviewed: list[dict] = []

    def answer(self, path, headers, body):
        if headers["Authorization"] != f"Bearer {self.own}":
            return 401, {}
        if self.status != 201:
            return self.status, {"message": "who asks is known"}
        spec = body["spec"]
        self.reviewed.append(spec)
        if path == ACCESS:
            return 201, {"status": {"allowed": spec["resourceAttributes"]["verb"] in self.verbs}}
        user = {"username": "ann", "uid": "7", "groups": ["g"], "extra": {"scopes": ["s"]}}
        audiences = {} if self.audiences is None else {"audiences": self.audiences}
        known = spec["token"] == "known"
        return 201, {"status": {"authenticated": known, **({"user": user, **audiences} if known else {})}}


@pytest.fixture
def api():
    return ApiServer()


@pytest.fixture
def cluster(api, tmp_path):
    certificate, key = write_certificate(tmp_path)
    (tmp_path / "ca.crt").write_bytes(certificate.read_bytes())
    (tmp_path / "token").write_text("own-1\n")
    with pages(api.answer, (certificate, key)) as served:
        yield InCluster(served.url, tmp_path)


def judged(cluster, *asked, audiences=()):
    async def ask():
        judge = Reviews(cluster, "ml", "feast", audiences)
        try:
            return [await judge.judge(token, act) for token, act in asked]
        finally:
            await judge.close()

    return asyncio.run(ask())


def test_who_may_read_may_not_write(cluster, api):
    read, write = judged(cluster, ("known", "read"), ("known", "write"))
    assert read.is_yes
    assert write == Verdict(
        403,
        "the holder of this token may not update feastprojects.featureplane.dev/features of ml/feast; "
        "a Role and a RoleBinding allow it",
    )
    assert api.reviewed[1] == {
        "user": "ann",
        "uid": "7",
        "groups": ["g"],
        "extra": {"scopes": ["s"]},
        "resourceAttributes": {
            "group": "featureplane.dev",
            "resource": "feastprojects",
            "subresource": "features",
            "namespace": "ml",
            "name": "feast",
            "verb": "get",
        },
    }


def test_a_token_that_kubernetes_does_not_know(cluster, api):
    assert [verdict.status for verdict in judged(cluster, ("guessed", "read"))] == [401]
    assert len(api.reviewed) == 1


@pytest.mark.parametrize(("has", "status"), [(["ours"], 200), (["theirs"], 401), ([], 401), (None, 401)])
def test_a_token_must_be_for_one_of_the_audiences(cluster, api, has, status):
    """An API server whose authenticator knows nothing of audiences says that the token is good, and for none."""
    api.audiences = has
    (verdict,) = judged(cluster, ("known", "read"), audiences=["ours", "second"])
    assert verdict.status == status
    assert api.reviewed[0]["audiences"] == ["ours", "second"]


def test_the_token_of_the_pod_is_read_again_when_it_was_replaced(cluster, api):
    async def ask():
        judge = Reviews(cluster, "ml", "feast")
        assert (await judge.judge("known", "read")).is_yes
        api.own = "own-2"
        with pytest.raises(JudgeAway, match="own ServiceAccount"):
            await judge.judge("known", "read")
        (cluster.folder / "token").write_text("own-2")
        assert (await judge.judge("known", "read")).is_yes
        await judge.close()

    asyncio.run(ask())


@pytest.mark.parametrize(("status", "why"), [(403, "system:auth-delegator"), (500, "with 500"), (429, "with 429")])
def test_an_api_server_that_says_no_to_us_says_nothing_of_the_client(cluster, api, status, why):
    api.status = status
    with pytest.raises(JudgeAway, match=why):
        judged(cluster, ("known", "read"))


def test_an_api_server_of_another_authority_is_not_asked(cluster, api):
    other = cluster.folder / "other"
    other.mkdir()
    (cluster.folder / "ca.crt").write_bytes(write_certificate(other)[0].read_bytes())
    with pytest.raises(JudgeAway, match="cannot be asked"):
        judged(cluster, ("known", "read"))
    assert api.reviewed == []


def test_a_pod_without_a_token_file(cluster):
    (cluster.folder / "token").unlink()
    with pytest.raises(JudgeAway, match="FileNotFoundError"):
        judged(cluster, ("known", "read"))


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, "https://10.0.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "https://[fd00::1]:443"),
    ],
)
def test_where_the_api_server_is(environ, url):
    found = InCluster.from_env(environ)
    assert (found and found.url) == url
