"""What the platform team looks at, after all that was done and all that failed."""

import json
import re

from e2e.paths import BUILD
from patience import until

# The deployment asks for no parity, which would read its sources beside what is measured; tests/cluster has it.
MAY_BE_EMPTY = {"Served as the source says: {{view}}"}


def test_what_the_monitors_select_is_scraped(prometheus):
    until(lambda: prometheus.down() == [])


def test_every_line_of_the_dashboard_is_there_once(deployment, prometheus):
    """Over the time that the cluster was up. Two of one name would be those of two pods; none is without a name."""
    (found,) = deployment.get("configmaps", "--selector=grafana_dashboard=1")["items"]
    dashboard = json.loads(found["data"]["featureplane.json"])
    filled = variables(dashboard, prometheus)
    shown = {
        f"{panel['title']}: {target['legendFormat']}": [
            re.sub(r"{{(\w+)}}", lambda label, of=labels: of.get(label[1], ""), target["legendFormat"])
            for labels in prometheus.series(fill(target["expr"], filled))
        ]
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }
    width = max(map(len, shown))
    table = "\n".join(f"{query:{width}} {len(lines):3} {', '.join(sorted(lines))}" for query, lines in shown.items())
    (BUILD / "dashboard.txt").write_text(f"{table}\n")
    assert shown.keys() >= MAY_BE_EMPTY
    assert [query for query, lines in shown.items() if not is_well(query, lines)] == [], table


def is_well(query, lines):
    return (lines or query in MAY_BE_EMPTY) and all(lines) and len(set(lines)) == len(lines)


def variables(dashboard, prometheus):
    """As Grafana fills them in when all of each is chosen."""
    filled = {"__rate_interval": "1m"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
            values = prometheus.ask(f"label/{label}/values", **{"match[]": metric})
            assert values, f"there is nothing to choose as {variable['name']}"
            filled[variable["name"]] = "|".join(values)
    return filled


def fill(expression, filled):
    return re.sub(r"\$(\w+)", lambda found: filled[found[1]], expression)
