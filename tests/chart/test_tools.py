"""The tools that make README, schema and dashboard of the chart."""

import importlib.util

import pytest

from chart.helm import ROOT


@pytest.fixture(scope="module")
def chart_values():
    spec = importlib.util.spec_from_file_location("chart_values", ROOT / "tools" / "chart_values.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXT = """\
# Of no value.

# Whether it is loud.
loud: true
# A part of it,
# in two lines.
part:
  # How many.
  count: 3
  # Where it runs.
  nodes: {a: b}
  # What it asks for.
  resources:
    requests: {cpu: 1}
"""


def test_each_comment_belongs_to_the_value_below_it(chart_values):
    values = chart_values.read(TEXT)
    assert values.comments == {
        ("loud",): "Whether it is loud.",
        ("part",): "A part of it, in two lines.",
        ("part", "count"): "How many.",
        ("part", "nodes"): "Where it runs.",
        ("part", "resources"): "What it asks for.",
    }
    # What has no comments inside is one value.
    assert list(chart_values.leaves(values)) == [
        ("loud",), ("part", "count"), ("part", "nodes"), ("part", "resources")
    ]  # fmt: skip


def test_a_value_that_nobody_explains_is_an_error(chart_values):
    with pytest.raises(ValueError, match=r"other\.count has no comment"):
        chart_values.read(TEXT + "other:\n  count: 3\n  # Explained.\n  more: 4\n")


def test_the_schema_knows_types_from_defaults_and_the_rest_from_what_is_refined(chart_values):
    values = chart_values.read(TEXT)
    schema = chart_values.schema(values, {"part.count": {"maximum": 9}})
    assert schema["additionalProperties"] is False
    part = schema["properties"]["part"]
    assert part["additionalProperties"] is False
    assert part["description"] == "A part of it, in two lines."
    assert part["properties"]["count"] == {"description": "How many.", "type": "integer", "minimum": 0, "maximum": 9}
    assert part["properties"]["resources"] == {"description": "What it asks for.", "type": "object"}
    with pytest.raises(ValueError, match=r"values\.yaml has no gone"):
        chart_values.schema(values, {"gone": {}})


def test_the_table_has_each_value_once(chart_values):
    text = chart_values.tables(chart_values.read(TEXT))
    assert "| `loud` | `true` | Whether it is loud. |" in text
    assert "### part\nA part of it, in two lines." in text
    assert '| `part.nodes` | `{"a": "b"}` | Where it runs. |' in text
