"""The chart's Grafana dashboard, made of a table: what each panel is called, in which unit, and what it asks.

`$namespace` is where feature servers are, `$project` is NAMESPACE/NAME of a FeastProject, as the operator calls it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Panel = dict[str, Any]

_WIDTH, _HEIGHT = 8, 8
_COLUMNS = 3
_SERVER = 'namespace=~"$namespace"'
_OPERATOR = 'project=~"$project"'
_FAILED = f'{_SERVER}, status="error"'
_IN_TROUBLE = 'condition=~"Valid|Registered|Materialized|Fresh", status="False"'
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Graph:
    """One panel; of each query the expression and what its lines are called."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    about: str = ""


def _rate(metric: str, selector: str) -> str:
    return f"rate({metric}{{{selector}}}[$__rate_interval])"


def _quantile(share: float, metric: str, selector: str) -> str:
    return f"histogram_quantile({share}, sum by (le) ({_rate(f'{metric}_bucket', selector)}))"


def _share(status: str) -> str:
    asked = f"sum by (feature_view) ({_rate('feast_online_features_status_total', _SERVER)})"
    # A status that no value had yet has no series: none of them.
    found = _rate("feast_online_features_status_total", f'{_SERVER}, status="{status}"')
    return f"(sum by (feature_view) ({found}) or {asked} * 0) / {asked}"


def _by_view(metric: str) -> str:
    return f"sum by (project, feature_view) (increase({metric}{{{_OPERATOR}}}[1h]))"


_VIEW = "{{feature_view}}"
_ROWS: dict[str, list[Graph]] = {
    "Feature server": [
        Graph(
            "Requests",
            "reqps",
            [(f"sum by (protocol) ({_rate('feast_online_request_latency_count', _SERVER)})", "{{protocol}}")],
            "Answered requests for online features.",
        ),
        Graph(
            "Latency",
            "s",
            [(_quantile(share, "feast_online_request_latency", _SERVER), f"p{share * 100:g}") for share in (0.5, 0.99)],
            "From a request to its answer, in the server.",
        ),
        Graph(
            "Time in Redis",
            "s",
            [
                (
                    _quantile(share, "feast_feature_server_online_store_read_duration_seconds", _SERVER),
                    f"p{share * 100:g}",
                )
                for share in (0.5, 0.99)
            ],
        ),
        Graph(
            "Requests by view",
            "reqps",
            [(f"sum by (feature_view) ({_rate('feast_feature_request_count', _SERVER)})", _VIEW)],
        ),
        Graph("Values not found", "percentunit", [(_share("not_found"), _VIEW)], "Of all values that were asked for."),
        Graph("Values past their ttl", "percentunit", [(_share("outside_max_age"), _VIEW)]),
        Graph(
            "Errors",
            "reqps",
            [
                (f"sum({_rate('feast_feature_server_request_total', _FAILED)}) or vector(0)", "refused or failed"),
                (f"sum({_rate('featureplane_server_redis_unavailable_total', _SERVER)}) or vector(0)", "Redis away"),
            ],
            "Requests of clients that were wrong are among them.",
        ),
        Graph(
            "Requests in progress",
            "short",
            [(f"sum by (pod) (featureplane_server_requests_in_progress{{{_SERVER}}})", "{{pod}}")],
        ),
        Graph(
            "Memory of the online store",
            "bytes",
            [
                (
                    f"max by (namespace) (featureplane_server_online_store_used_bytes{{{_SERVER}}})",
                    "used {{namespace}}",
                ),
                (
                    f"max by (namespace) (featureplane_server_online_store_limit_bytes{{{_SERVER}}} > 0)",
                    "limit {{namespace}}",
                ),
            ],
            "All that Redis holds, of whomever.",
        ),
        Graph(
            "Stores reached",
            "bool_yes_no",
            [
                (
                    f"min by (namespace) (featureplane_server_online_store_up{{{_SERVER}}})",
                    "online store {{namespace}}",
                ),
                (f"min by (namespace) (featureplane_server_registry_up{{{_SERVER}}})", "registry {{namespace}}"),
            ],
        ),
    ],
    "Freshness": [
        Graph(
            "Age of the newest row",
            "s",
            [(f"min by (feature_view) (feast_feature_freshness_seconds{{{_SERVER}}})", _VIEW)],
            "Event time, of runs and of what was pushed.",
        ),
        Graph(
            "Views that are ready",
            "short",
            [(f'sum by (status) (featureplane_views{{{_OPERATOR}, condition="Ready"}})', "{{status}}")],
        ),
        Graph(
            "Views in trouble",
            "short",
            [(f"sum by (condition) (featureplane_views{{{_OPERATOR}, {_IN_TROUBLE}}})", "{{condition}}")],
            "By the condition that is not so.",
        ),
        Graph(
            "Served as the source says",
            "percentunit",
            [(f"min by (project, view) (featureplane_parity_rate{{{_OPERATOR}}})", "{{view}}")],
            "Of the entities that the newest check compared; nothing where a FeastProject has no spec.parity.",
        ),
    ],
    "Runs": [
        Graph(
            "Runs in an hour",
            "short",
            [
                (f"sum by (status) (increase(feast_materialization_result_total{{{_OPERATOR}}}[1h]))", "{{status}}"),
            ],
        ),
        Graph(
            "How long the newest run took",
            "s",
            [(f"max by (project, feature_view) (feast_materialization_duration{{{_OPERATOR}}})", _VIEW)],
        ),
        Graph(
            "Rows written in an hour", "short", [(_by_view("featureplane_materialization_rows_written_total"), _VIEW)]
        ),
        Graph(
            "Rows rejected in an hour", "short", [(_by_view("featureplane_materialization_rows_rejected_total"), _VIEW)]
        ),
        Graph("Rows too late in an hour", "short", [(_by_view("featureplane_materialization_rows_late_total"), _VIEW)]),
        Graph(
            "Bytes sent in an hour", "bytes", [(_by_view("featureplane_materialization_bytes_written_total"), _VIEW)]
        ),
    ],
    "Operator": [
        Graph(
            "Reconciles",
            "ops",
            [(f"sum by (result) ({_rate('featureplane_reconciles_total', _OPERATOR)})", "{{result}}")],
        ),
        Graph(
            "Length of a reconcile",
            "s",
            [(_quantile(0.99, "featureplane_reconcile_duration_seconds", _OPERATOR), "p99")],
        ),
        Graph("Projects that wait", "short", [("sum(featureplane_queue_length)", "waiting")]),
    ],
}


def dashboard() -> dict[str, Any]:
    """Grafana's JSON model (schema 39, Grafana 10.4)."""
    return {
        "title": "Featureplane",
        "uid": "featureplane",
        "tags": ["featureplane", "feast"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    for name, label, query in (
        ("namespace", "Namespace", "label_values(featureplane_server_workers, namespace)"),
        ("project", "FeastProject", "label_values(featureplane_reconciles_total, project)"),
    ):
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _panels() -> Iterator[Panel]:
    number, y = 0, 0
    for row, graphs in _ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": row, "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}, "panels": []}
        y += 1
        for index, graph in enumerate(graphs):
            number += 1
            place = {"x": index % _COLUMNS * _WIDTH, "y": y + index // _COLUMNS * _HEIGHT}
            yield _panel(number, graph, {"h": _HEIGHT, "w": _WIDTH, **place})
        y += -(-len(graphs) // _COLUMNS) * _HEIGHT


def _panel(number: int, graph: Graph, place: dict[str, int]) -> Panel:
    return {
        "id": number,
        "type": "timeseries",
        "title": graph.title,
        "description": graph.about,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": graph.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(graph.queries)
        ],
    }
