import pytest

from unit.manifests.contexts import a_context, container, named, one, templates


def ports(name="feast-server", **changes):
    spec = one(a_context(**changes), "Service", name)["spec"]
    return {item["name"]: (item["port"], item["targetPort"]) for item in spec["ports"]}


def test_the_feature_servers_ports_are_the_projects():
    assert ports(server={"http": {"port": 1111}, "grpc": {"port": 2222}}) == {
        "http": (1111, "http"),
        "grpc": (2222, "grpc"),
        "metrics": (9090, "http"),
    }


@pytest.mark.parametrize(("http", "grpc", "metrics"), [(9090, 6566, 9091), (9090, 9091, 9092), (8080, 9090, 9091)])
def test_metrics_make_room_for_the_projects_ports(http, grpc, metrics):
    assert ports(server={"http": {"port": http}, "grpc": {"port": grpc}})["metrics"] == (metrics, "http")


@pytest.mark.parametrize("name", ["server", "registry", "offline"])
def test_a_service_leads_to_ports_of_its_container(name):
    ours = container(dict(templates(a_context()))[name])
    assert {target for _, target in ports(f"feast-{name}").values()} <= {item["name"] for item in ours["ports"]}


@pytest.mark.parametrize("name", ["server", "registry", "offline"])
def test_a_servers_own_ports_are_open_to_everybody(name):
    ours = container(dict(templates(a_context()))[name])
    spec = one(a_context(), "NetworkPolicy", f"feast-{name}")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": item["containerPort"]} for item in ours["ports"]]}


def test_nobody_connects_to_a_run():
    spec = one(a_context(), "NetworkPolicy", "feast-materialize")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert "ingress" not in spec


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        ({}, True),
        ({"replicas": 1}, False),
        ({"replicas": 0}, False),
        ({"autoscaling": {"minReplicas": 1}}, False),
        ({"autoscaling": {"minReplicas": 2}, "replicas": 1}, True),
    ],
)
def test_a_drain_is_held_up_where_there_is_more_than_one_pod(server, wanted):
    assert (("PodDisruptionBudget", "feast-server") in named(a_context(server=server))) is wanted


def test_a_drain_takes_one_pod_at_a_time_and_passes_over_broken_ones():
    spec = one(a_context(), "PodDisruptionBudget", "feast-server")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_an_autoscaler_is_there_when_asked_for():
    assert ("HorizontalPodAutoscaler", "feast-server") not in named(a_context())
    scaling = {"minReplicas": 3, "maxReplicas": 9, "targetCpuPercent": 50}
    spec = one(a_context(server={"autoscaling": scaling}), "HorizontalPodAutoscaler", "feast-server")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert spec["metrics"][0]["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 50},
    }
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "feast-server"}


def test_accounts_bring_no_token():
    for name in ("feast-server", "feast-materialize"):
        assert one(a_context(), "ServiceAccount", name)["automountServiceAccountToken"] is False
