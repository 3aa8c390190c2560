"""Free text arrives in Feast's definitions letter by letter, whatever it holds, and nothing of it is ever run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature, a_feature_view, a_project, a_service, a_source, an_entity, to_yaml
from featureplane import names
from featureplane.model.declarations import declare
from featureplane.model.documents import read_documents
from featureplane.rendering.definitions import define
from featureplane.rendering.repo import render

WEIRD = [
    "'; DROP TABLE feature_views; --",
    '"""\nimport os; os.system("id")\n"""',
    "${HOME} $PATH $(id) `id`",
    "{{ 7 * 7 }} {% for x in y %} {# #}",
    "!!python/object/apply:os.system ['id']",
    "&a *a <<: - ? : # | > % @ `",
    "\0\x01\x07\x1b[31m\x7f\x80\x85\x9f",
    "line\nline\r\nline\rline\u2028line\u2029line\x0b\x0c",
    "  leading and trailing  \t",
    "\u202e\u200b\ufeff\ufffe\uffff",
    "é e\u0301 漢字 🎉 \U0010ffff",
    "null",
    "yes",
    "0777",
    "2024-01-01",
    "=1+1",
    "<script>alert(1)</script> &amp;",
    "\\n \\u0041 \\",
    "%s %(a)s {0} {}",
    "x" * 5000,
]


def rendered(*objects):
    """The definitions of a rendered repo, by kind, for what a file with these objects says."""
    found, problems = read_documents(to_yaml(*objects), "f.yaml")
    assert not problems
    (project,), problems = declare(found)
    assert not problems
    definitions = define(project)
    text = render(project.project, definitions)[names.DEFINITIONS_FILE]
    assert text.isascii()
    assert text.count("\n") == len(definitions) + 2
    return {item["kind"]: item["spec"] for item in json.loads(text)["definitions"]}


def everything(description, owner, tags):
    words = {"description": description, "owner": owner, "tags": tags}
    return [
        a_project(**words),
        a_feature_view(
            **words,
            entities=[an_entity(**words)],
            features=[a_feature(description=description, tags=tags)],
            source=a_source(**words),
        ),
        a_service(**words),
    ]


def check(description, owner, tags):
    found = rendered(*everything(description, owner, tags))
    assert set(found) == {"project", "entity", "data_source", "feature_view", "feature_service"}
    for spec in found.values():
        assert (spec["description"], spec["owner"], spec["tags"]) == (description, owner, tags)
    (feature,) = found["feature_view"]["features"]
    assert (feature["description"], feature["tags"]) == (description, tags)


@pytest.mark.parametrize("text", WEIRD)
def test_weird_text_arrives(text):
    check(text, text[:256], {text[:128]: text[:1024]})


texts = st.text(st.characters(blacklist_categories=("Cs",)))


@given(
    description=texts,
    owner=texts.map(lambda text: text[:256]),
    tags=st.dictionaries(
        texts.map(lambda text: text[:128]).filter(lambda key: key and not key.startswith(names.RESERVED_TAG_PREFIXES)),
        texts.map(lambda text: text[:1024]),
        max_size=4,
    ),
)
def test_any_text_arrives(description, owner, tags):
    check(description, owner, tags)


@given(st.lists(texts, min_size=1, max_size=4))
def test_any_text_arrives_in_the_checks(allowed):
    found, _ = read_documents(
        to_yaml(a_feature_view(features=[a_feature(type="String", checks={"in": allowed})])), "f.yaml"
    )
    (project,), _ = declare(found)
    assert define(project)[-1].extras["checks"]["price"]["in"] == allowed
