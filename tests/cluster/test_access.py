"""The feature server's reviews, asked of a real API server with the rights that a platform team gives."""

import asyncio
import itertools
import json
import os
from base64 import b64decode

import pytest

from featureplane.names import API_VERSION, GROUP
from featureplane.serving.access.judge import JudgeAway
from featureplane.serving.access.reviews import Reviews
from featureplane.settings import InCluster
from patience import until

_numbers = itertools.count(1)
RBAC = "rbac.authorization.k8s.io/v1"


class Team:
    """A namespace, the ServiceAccounts in it, and their tokens."""

    def __init__(self, kube, api, folder) -> None:
        self.api, self.folder = api, folder
        self.namespace = f"access-{os.getpid()}-{next(_numbers)}"
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        self.cluster = json.loads(kube.kubeconfig.read_text())["clusters"][0]["cluster"]

    def account(self, name):
        self.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, self.namespace)

    def token(self, name, *audiences):
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": audiences}}
        where = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}/token"
        answer = self.api.http.post(where, json=request)
        assert answer.is_success, answer.text
        return answer.json()["status"]["token"]

    def allow(self, name, verb, project):
        """What docs/serving.md tells a platform team to write."""
        rule = {"apiGroups": [GROUP], "resources": ["feastprojects/features"], "verbs": [verb]}
        rules = [{**rule, "resourceNames": [project]}]
        role, whom = {"name": f"{name}-{verb}"}, {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        self.api.create({"apiVersion": RBAC, "kind": "Role", "metadata": role, "rules": rules}, self.namespace)
        binding = {"roleRef": {"apiGroup": RBAC.partition("/")[0], "kind": "Role", **role}, "subjects": [whom]}
        self.api.create({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": role, **binding}, self.namespace)

    def delegate(self, name):
        whom = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        role = {"apiGroup": RBAC.partition("/")[0], "kind": "ClusterRole", "name": "system:auth-delegator"}
        metadata = {"name": f"{self.namespace}-{name}"}
        binding = {"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": metadata}
        self.api.create({**binding, "roleRef": role, "subjects": [whom]})

    def pod(self, name):
        """What a pod of this ServiceAccount finds mounted."""
        (self.folder / "token").write_text(self.token(name))
        (self.folder / "ca.crt").write_bytes(b64decode(self.cluster["certificate-authority-data"]))
        return InCluster(self.cluster["server"], self.folder)

    def judged(self, token, act="read", project="feast", audiences=()):
        async def ask():
            judge = Reviews(InCluster(self.cluster["server"], self.folder), self.namespace, project, audiences)
            try:
                return await judge.judge(token, act)
            finally:
                await judge.close()

        return asyncio.run(ask()).status


@pytest.fixture
def team(kube, api, tmp_path):
    made = Team(kube, api, tmp_path)
    for name in ("server", "reader", "writer", "nobody"):
        made.account(name)
    made.allow("reader", "get", "feast")
    made.allow("writer", "update", "feast")
    return made


def test_the_api_server_says_who_may(team):
    team.delegate("server")
    team.pod("server")
    verdicts = {
        name: [team.judged(team.token(name), act) for act in ("read", "write")]
        for name in ("reader", "writer", "nobody")
    }
    assert verdicts == {"reader": [200, 403], "writer": [403, 200], "nobody": [403, 403]}
    assert team.judged(team.token("reader"), project="another") == 403
    assert team.judged("guessed") == 401


def test_a_token_for_another_audience_is_none(team):
    team.delegate("server")
    team.pod("server")
    ours, plain = team.token("reader", "featureplane"), team.token("reader")
    assert (team.judged(ours), team.judged(plain)) == (401, 200)
    assert (team.judged(ours, audiences=["featureplane"]), team.judged(plain, audiences=["featureplane"])) == (200, 401)


def test_a_token_ends_with_its_account(team):
    team.delegate("server")
    team.pod("server")
    token = team.token("reader")
    assert team.judged(token) == 200
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    team.api.delete(account, team.namespace)
    # It remembers for ten seconds what it found out about a token.
    until(lambda: team.judged(token) == 401)


def test_a_server_without_the_right_to_ask_says_which_it_lacks(team):
    team.pod("server")
    with pytest.raises(JudgeAway, match="system:auth-delegator"):
        team.judged(team.token("reader"))


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ({"type": "oidc"}, "oidc goes with type oidc"),
        ({"oidc": {"issuer": "https://idp", "audience": "feast"}}, "oidc goes with type oidc"),
        (
            {"type": "oidc", "kubernetes": {}, "oidc": {"issuer": "https://idp", "audience": "a"}},
            "kubernetes goes with",
        ),
        ({"type": "oidc", "oidc": {"issuer": "http://idp", "audience": "feast"}}, "issuer"),
    ],
)
def test_the_api_server_refuses_settings_that_do_not_go_together(team, auth, why):
    spec = {"project": "feast", "server": {"auth": auth}}
    with pytest.raises(AssertionError, match=why):
        team.api.create(
            {"apiVersion": API_VERSION, "kind": "FeastProject", "metadata": {"name": "feast"}, "spec": spec},
            team.namespace,
        )


def test_the_api_server_takes_an_issuer(team):
    oidc = {"issuer": "https://idp/realms/ml", "audience": "feast", "writers": ["writer"]}
    server = {"auth": {"type": "oidc", "oidc": oidc}, "tls": {"secretRef": {"name": "server-tls"}}}
    project = {"apiVersion": API_VERSION, "kind": "FeastProject", "metadata": {"name": "feast"}}
    made = team.api.create({**project, "spec": {"project": "feast", "server": server}}, team.namespace)
    assert made["spec"]["server"]["auth"] == {"type": "oidc", "oidc": {**oidc, "rolesClaim": "roles"}}
    assert made["spec"]["server"]["tls"] == server["tls"]
