"""From a FeastProject to who may ask: by way of the request that a worker starts with, which is JSON."""

import asyncio
import json

import pytest

from factories import project_model
from featureplane.cli.asking import ask
from featureplane.cli.online import open_to_all
from featureplane.errors import FeatureplaneError
from featureplane.serving.access.access import NotLetIn
from featureplane.serving.access.described import described
from featureplane.serving.access.opening import open_access
from featureplane.settings import InCluster, Settings
from unit.access.certificates import write_certificate
from unit.access.issuer import AUDIENCE, an_issuer
from unit.access.pages import pages


def opened(auth, cluster=None):
    project = project_model(namespace="ml", server={"auth": auth})
    return open_access(json.loads(json.dumps(described(project))), cluster)


def test_nobody_is_asked_unless_the_project_says_so():
    assert opened({}) is None
    assert opened({"type": "none"}) is None


def test_kubernetes_is_asked_in_a_cluster_only(tmp_path):
    with pytest.raises(FeatureplaneError, match=r"server\.auth\.type kubernetes, and this is no pod"):
        opened({"type": "kubernetes"})

    seen = []

    def answer(path, headers, body):
        seen.append((path.rpartition("/")[2], headers["Authorization"], body["spec"]))
        return 201, {"status": {"authenticated": True, "allowed": True, "audiences": ["ours"], "user": {}}}

    (tmp_path / "token").write_text("pod")
    (tmp_path / "ca.crt").write_bytes(write_certificate(tmp_path)[0].read_bytes())

    async def asked(url):
        access = opened({"type": "kubernetes", "kubernetes": {"audiences": ["ours"]}}, InCluster(url, tmp_path))
        try:
            await access.check("Bearer t", "read")
        finally:
            await access.close()

    with pages(answer) as api:
        asyncio.run(asked(api.url))
    (tokens, access) = seen
    assert tokens == ("tokenreviews", "Bearer pod", {"token": "t", "audiences": ["ours"]})
    attributes = access[2]["resourceAttributes"]
    assert (attributes["namespace"], attributes["name"], attributes["verb"]) == ("ml", "feast", "get")


def test_an_issuer_decides_by_what_the_project_names():
    async def status(access, token, act):
        try:
            await access.check(f"Bearer {token}", act)
        except NotLetIn as refused:
            return refused.status
        return 200

    async def statuses(access, *asked):
        found = [await status(access, token, act) for token, act in asked]
        await access.close()
        return found

    with an_issuer() as issuer:
        oidc = {
            "issuer": issuer.url, "audience": AUDIENCE, "clientId": "feast",
            "rolesClaim": "groups", "readers": ["r"], "writers": ["w"],
        }  # fmt: skip
        reader, writer = issuer.token(groups=["r"]), issuer.token(resource_access={"feast": {"roles": ["w"]}})
        asked = [(reader, "read"), (reader, "write"), (writer, "read"), (writer, "write"), (issuer.token(), "read")]
        access = opened({"type": "oidc", "oidc": oidc})
        assert asyncio.run(statuses(access, *asked)) == [200, 403, 200, 200, 403]


def test_a_server_for_one_answer_is_open_to_whoever_started_it():
    oidc = {"issuer": "https://idp", "audience": "feast"}
    project = project_model(server={"auth": {"type": "oidc", "oidc": oidc}, "workers": 3})
    assert described(open_to_all(project)) is None
    assert open_to_all(project).spec.server.workers == 3


@pytest.mark.parametrize(("environ", "shown"), [({"FEATUREPLANE_TOKEN": "t\n"}, "Bearer t"), ({}, None)])
def test_a_command_shows_the_token_of_its_environment(environ, shown):
    seen = []

    def answer(_path, headers, _body):
        seen.append(headers["Authorization"])
        return 200, {}

    settings = Settings.from_env(environ)
    assert "token=" not in repr(settings)
    with pages(answer) as server:
        ask(server.url, {}, settings.token)
    assert seen == [shown]


def test_a_command_that_is_not_let_in_says_how_to_show_a_token():
    with (
        pages(lambda *_: (401, {"message": "no"})) as server,
        pytest.raises(FeatureplaneError, match=r"401: no; FEATUREPLANE_TOKEN is the token that is shown$"),
    ):
        ask(server.url, {})
