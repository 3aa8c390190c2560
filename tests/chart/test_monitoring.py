"""Alerts and dashboard: they ask for what there is, and each alert fires when its fault is made and no other does."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from chart.helm import CHART, CI_VALUES, Refused, one, render
from chart.promtool import check, run_tests

ON = {"monitoring": {name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")}}


def groups(tmp_path, **values):
    return one(render({**ON, **values}, tmp_path), "PrometheusRule")["spec"]["groups"]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory):
    """The names of all samples that the operator and the feature server can tell, as Prometheus stores them."""
    folder = tmp_path_factory.mktemp("metrics")
    script = """
from featureplane.controller.metrics import REGISTRY
from featureplane.serving.metrics import _AS_KNOWN, FRESHNESS, OURS
ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
print(FRESHNESS)
for family in (family for registry in (REGISTRY, OURS) for family in registry.collect()):
    known = [""] if family.name in _AS_KNOWN else ends.get(family.type, [""])
    print(*(family.name + end for end in known), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def dashboard():
    return json.loads((CHART / "files" / "dashboard.json").read_text())


def queries():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def metrics_of(expression):
    return set(re.findall(r"\b(?:feast|featureplane)_[a-z_]+(?=[\[{), ]|$)", re.sub(r'"[^"]*"', '""', expression)))


def test_alerts_and_panels_ask_for_metrics_that_there_are(exposed, tmp_path):
    alerts = [rule["expr"] for group in groups(tmp_path) for rule in group["rules"]]
    asked = set().union(*map(metrics_of, [*alerts, *queries()]))
    assert len(asked) > 20
    assert asked - exposed == set()


def test_variables_of_the_dashboard_are_of_metrics_that_there_are(exposed):
    found = [item["query"] for item in dashboard()["templating"]["list"] if item["type"] == "query"]
    assert {re.match(r"label_values\((\w+),", item["query"])[1] for item in found} <= exposed


def test_panels_lie_side_by_side():
    taken = set()
    for place in (panel["gridPos"] for panel in dashboard()["panels"]):
        cells = {
            (x, y) for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }  # fmt: skip
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path):
    """Grafana puts in the variables; as recording rules promtool can parse them."""
    plain = [query.replace("$__rate_interval", "5m").replace("$namespace", ".*") for query in queries()]
    rules = [{"record": f"panel:{index}", "expr": query.replace("$project", ".*")} for index, query in enumerate(plain)]
    check(tmp_path, [{"name": "panels", "rules": rules}])


def test_the_dashboard_is_what_the_config_map_has(tmp_path):
    found = one(render(ON, tmp_path), "ConfigMap")
    assert json.loads(found["data"]["featureplane.json"]) == dashboard()
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("path", CI_VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def test_prometheus_takes_the_rules(path, tmp_path):
    for item in render(path):
        if item["kind"] == "PrometheusRule":
            check(tmp_path, item["spec"]["groups"])


def series(metric, **labels):
    return f"{metric}{{{', '.join(f'{name}={json.dumps(value)}' for name, value in labels.items())}}}"


def server(metric, **labels):
    return series(metric, namespace="data-platform", service="feast-server", pod="feast-server-1", **labels)


def operator(metric, **labels):
    return series(
        metric, namespace="data-platform", service="featureplane-operator-metrics", pod="operator-1", **labels
    )


def of_project(metric, **labels):
    return operator(metric, project="data-platform/feast", **labels)


QUEUE = operator("featureplane_queue_length")
FRESH, STALE, INVALID, INCONSISTENT = (
    of_project("featureplane_views", condition=condition, status=status)
    for condition, status in (("Fresh", "True"), ("Fresh", "False"), ("Valid", "False"), ("Consistent", "False"))
)
RUNS = "feast_materialization_result_total"
SUCCEEDED, FAILED, FAILED_ONCE = (
    of_project(RUNS, feature_view=view, status=status)
    for view, status in (("prices", "success"), ("prices", "failure"), ("old", "failure"))
)
DURATION = of_project("feast_materialization_duration", feature_view="prices")
REJECTED, REJECTED_NEW = (
    of_project("featureplane_materialization_rows_rejected_total", feature_view=view) for view in ("prices", "new")
)
AGE = server("feast_feature_freshness_seconds", project="shop", feature_view="prices")
FAST, SLOW, ALL = (
    server("feast_online_request_latency_bucket", protocol="http", le=bound) for bound in ("0.005", "0.05", "+Inf")
)
MISSING = server("feast_feature_not_found_count", feature_view="prices")
PRESENT, NOT_FOUND = (
    server("feast_online_features_status_total", feature_view="prices", status=status)
    for status in ("present", "not_found")
)
PUSHED, PUSH_FAILED, REFUSED = (
    server("feast_feature_server_request_total", endpoint=endpoint, status=status)
    for endpoint, status in (("/push", "success"), ("/push", "error"), ("/get-online-features", "error"))
)
REDIS, STORE, REGISTRY, WORKERS = (
    server(f"featureplane_server_{name}") for name in ("redis_up", "online_store_up", "registry_up", "workers")
)
USED, LIMIT = (server(f"featureplane_server_online_store_{name}_bytes") for name in ("used", "limit"))

# What a release tells that is well, every minute for two hours.
WELL = {
    QUEUE: "0x120", FRESH: "3x120", STALE: "0x120", INVALID: "0x120", INCONSISTENT: "0x120",
    SUCCEEDED: "1+0.02x120", FAILED_ONCE: "7x120", DURATION: "20x120", REJECTED: "5x120",
    AGE: "600x120", FAST: "0+600x120", SLOW: "0+600x120", ALL: "0+600x120",
    MISSING: "0+10x120", PRESENT: "0+590x120", NOT_FOUND: "0+10x120",
    PUSHED: "0+60x120", REFUSED: "0+1x120",
    USED: "100x120", LIMIT: "200x120",
    REDIS: "1x120", STORE: "1x120", REGISTRY: "1x120", WORKERS: "1x120",
}  # fmt: skip
FAULTS = {
    "FeatureViewStale": {AGE: "93000+60x120"},
    "FeatureViewRunsMissed": {STALE: "0x60 1x60"},
    "FeatureViewInvalid": {INVALID: "0x60 1x60"},
    "FeatureViewInconsistent": {INCONSISTENT: "0x60 1x60"},
    # A view's first failure makes its series.
    "MaterializationFailed": {FAILED: "_x100 1x20"},
    "MaterializationFailed again": {FAILED_ONCE: "7x100 8x20"},
    "MaterializationSlow": {DURATION: "20x60 2000x60"},
    "FeatureValidationErrors": {REJECTED_NEW: "_x100 3x20"},
    "FeatureValidationErrors again": {REJECTED: "5x100 6x20"},
    "FeatureServerSlow": {FAST: "0+500x120"},
    "FeaturesNotFound": {MISSING: "0+150x120", PRESENT: "0+450x120", NOT_FOUND: "0+150x120"},
    "FeatureWritesFail": {PUSH_FAILED: "0+1x120"},
    "RedisDown": {REDIS: "1x115 0x5", STORE: "1x115 0x5"},
    # Where it is not Redis.
    "OnlineStoreDown": {STORE: "1x115 0x5"},
    "OnlineStoreFull": {USED: "170x120"},
    "RegistryDown": {REGISTRY: "1x110 0x10"},
    "FeatureServerAbsent": {WORKERS: "1x100"},
    "FeatureplaneOperatorAbsent": {QUEUE: "0x100"},
}


def firing(told, *alerts):
    """That after two hours of these series just these alerts fire."""
    name = ", ".join(alerts) or "nothing"
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in alerts]
    expression = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in told.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "2h", "exp_samples": samples}],
    }


def test_no_alert_fires_while_all_is_well(tmp_path):
    run_tests(tmp_path, groups(tmp_path), [firing(WELL)])


@pytest.mark.parametrize("fault", FAULTS)
def test_each_alert_fires_when_its_fault_is_made_and_no_other(fault, tmp_path):
    run_tests(tmp_path, groups(tmp_path), [firing({**WELL, **FAULTS[fault]}, fault.partition(" ")[0])])


def test_there_is_a_fault_for_each_alert(tmp_path):
    alerts = {rule["alert"] for group in groups(tmp_path) for rule in group["rules"]}
    assert {fault.partition(" ")[0] for fault in FAULTS} == alerts


def test_a_store_without_a_limit_is_never_full(tmp_path):
    run_tests(tmp_path, groups(tmp_path), [firing({**WELL, USED: "170x120", LIMIT: "0x120"})])


def test_a_failure_is_told_for_an_hour(tmp_path):
    """It is not told again when that hour ends, and its series stays."""
    run_tests(tmp_path, groups(tmp_path), [firing({**WELL, FAILED: "_x10 1x110"})])


def test_another_release_makes_no_alert_of_this_one(tmp_path):
    faults = {key: value for fault in FAULTS.values() for key, value in fault.items()}
    others = {key.replace('"data-platform"', '"other"'): value for key, value in faults.items()}
    run_tests(tmp_path, groups(tmp_path), [firing({**WELL, **others})])


def test_servers_in_all_namespaces_are_looked_at_where_they_are_served(tmp_path):
    down = REDIS.replace('"data-platform"', '"other"')
    found = groups(tmp_path, operator={"watch": "all"})
    run_tests(tmp_path, found, [firing({**WELL, down: "0x120"}, "RedisDown")])


def test_what_alerts_say_is_about_what_they_found(tmp_path):
    for rule in (rule for group in groups(tmp_path) for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
        by = set(re.findall(r"by \(([^)]*)\)", rule["expr"])[:1])
        labels = {label for group in by for label in group.split(", ")}
        for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
            assert label in labels or label == "project", (rule["alert"], label)


def test_thresholds_are_values(tmp_path):
    values = {"staleAfterSeconds": 11, "slowerThanSeconds": 0.5, "notFoundRatio": 0.75, "runLongerThanSeconds": 7200}
    values["onlineStoreFullRatio"] = 0.5
    monitoring = {"prometheusRule": {"enabled": True, **values}}
    found = {
        rule["alert"]: rule["expr"] for group in groups(tmp_path, monitoring=monitoring) for rule in group["rules"]
    }
    ends = {"FeatureViewStale": 11, "FeatureServerSlow": 0.5, "FeaturesNotFound": 0.75, "MaterializationSlow": 7200}
    ends["OnlineStoreFull"] = 0.5
    for alert, end in ends.items():
        assert found[alert].strip().endswith(f"> {end}")
    with pytest.raises(Refused, match=r"monitoring.prometheusRule.notFoundRatio'?: "):
        render({"monitoring": {"prometheusRule": {"notFoundRatio": 20}}}, tmp_path)


@pytest.mark.parametrize(("watch", "namespaces"), [("own", None), ("all", {"any": True})])
def test_the_servers_that_are_served_are_scraped(watch, namespaces, tmp_path):
    monitor = one(render({**ON, "operator": {"watch": watch}}, tmp_path), "ServiceMonitor", "-server")
    assert monitor["spec"].get("namespaceSelector") == namespaces
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "interval": "30s"}]


def test_what_is_scraped_is_what_services_have(tmp_path):
    """The feature server's Service is the operator's."""
    from featureplane.manifests.labels import Component, labels
    from featureplane.manifests.servers import _METRICS_PORTS

    items = render(ON, tmp_path)
    server = one(items, "ServiceMonitor", "-server")["spec"]["selector"]["matchLabels"].items()
    assert server <= labels("feast", Component.SERVER).items()
    assert _METRICS_PORTS
    own = one(items, "ServiceMonitor", "-operator")["spec"]
    service = one(items, "Service")
    assert own["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [port["name"] for port in service["spec"]["ports"]] == [own["endpoints"][0]["port"]]


def test_a_server_that_speaks_tls_is_asked_so(tmp_path):
    spec = {"server": {"tls": {"secretRef": {"name": "certificate"}}}}
    endpoint = one(render({**ON, "project": {"spec": spec}}, tmp_path), "ServiceMonitor", "-server")["spec"][
        "endpoints"
    ]
    assert endpoint[0]["scheme"] == "https"
    assert endpoint[0]["tlsConfig"] == {"insecureSkipVerify": True}


def test_nothing_for_prometheus_unless_it_is_asked_for():
    kinds = {item["kind"] for item in render()}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert yaml.safe_load((CHART / "values.yaml").read_text())["monitoring"]["dashboard"]["enabled"] is False
