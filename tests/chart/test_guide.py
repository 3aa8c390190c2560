"""What docs/install.md tells people to write is taken by the chart."""

import json
import re

import pytest
import yaml

from chart.helm import CHART, ROOT, one, render

GUIDE = (ROOT / "docs" / "install.md").read_text()
SETTINGS = re.findall(r"--set (\S+)", (GUIDE + (ROOT / "README.md").read_text()).replace("`", " "))


def test_the_values_of_a_real_cluster(tmp_path):
    (text,) = re.findall(r"```yaml\n(# values\.yaml.*?)```", GUIDE, re.DOTALL)
    items = render(yaml.safe_load(text), tmp_path)
    assert one(items, "FeastProject")["spec"]["server"]["replicas"] == 3
    assert {"Ingress", "ServiceMonitor", "PrometheusRule"} <= {item["kind"] for item in items}


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting(setting):
    assert render(None, None, "--set", setting)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[a-z]+[A-Za-z]*\.)+[A-Za-z]+): [^`]*`", GUIDE))))
def test_each_value_that_is_spoken_of(path):
    """`operator.watch: own`, say: a name that there is."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    for key in path.split("."):
        schema = schema["properties"][key]
