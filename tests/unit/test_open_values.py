import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from factories import a_project, problems_in
from featureplane.model.open_values import open_problems

texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_plain_json_is_let_through(value):
    assert list(open_problems(value)) == []
    assert json.loads(json.dumps(value)) == value
    assert yaml.safe_load(yaml.safe_dump(value)) == value


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"a": [1, float("nan")]}, ("a", 1), "nan is no plain value"),
        ({"a": float("inf")}, ("a",), "inf is no plain value"),
        ({"a": b"x"}, ("a",), "b'x' is no plain value"),
        ({"a": (1, 2)}, ("a",), "(1, 2) is no plain value"),
        ({"a": {"b": "\ud800"}}, ("a", "b"), "holds half a surrogate pair"),
        ({"\ud800": 1}, ("\ud800",), "holds half a surrogate pair"),
        ({"a": "x" * 8193}, ("a",), "is longer than 8192 characters"),
        ([[]] * 10_001, (), "holds more than 10000 values, or some more than 32 deep"),
    ],
)
def test_what_is_no_plain_json_is_found_where_it_is(value, path, message):
    ((found, text, remedy),) = open_problems(value)
    assert (found, text) == (path, message)
    assert remedy


def test_any_depth_is_looked_at_without_recursion():
    value = []
    for _ in range(100_000):
        value = [value]
    assert [message for _, message, _ in open_problems(value)] == [
        "holds more than 10000 values, or some more than 32 deep"
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": "$HOME"}, "options.path: '$HOME' holds $, which Feast would expand; write the value itself"),
        ({"path": "${HOME}/x"}, "options.path: '${HOME}/x' holds $, which Feast would expand; write the value itself"),
        ({"$a": 1}, "options['$a']: '$a' holds $, which Feast would expand; write the value itself"),
        (
            {"a": [{"b": ["", "x$y"]}]},
            "options.a[0].b[1]: 'x$y' holds $, which Feast would expand; write the value itself",
        ),
        ({"type": "os.system"}, "options.type: has a field of its own beside options; write it there"),
        ({f"k{i}": 1 for i in range(65)}, "options: is longer than 64 entries; shorten it"),
        ([], "options: must be a mapping, not []; write its fields below it, indented"),
    ],
)
@pytest.mark.parametrize("part", ["offlineStore", "batchEngine", "server.auth"])
def test_options_cannot_be_expanded_or_change_the_class(part, options, problem):
    outer, _, inner = part.partition(".")
    spec = {outer: {inner: {"options": options}} if inner else {"options": options}}
    assert problems_in(a_project(**spec)) == [f"spec.{part}.{problem}"]


def test_a_pod_template_may_hold_a_dollar_but_no_endless_depth():
    deep = {"spec": {}}
    for _ in range(40):
        deep = {"spec": deep}
    assert problems_in(a_project(podTemplate={"spec": {"args": ["$(NODE_NAME)"]}})) == []
    assert problems_in(a_project(podTemplate=deep)) == [
        "spec.podTemplate: holds more than 10000 values, or some more than 32 deep; shorten it"
    ]
