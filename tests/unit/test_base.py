"""What every kind shares: names, free text, tags, metadata."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature, a_feature_view, a_project, a_service, a_source, an_entity, problems_in
from featureplane import names
from featureplane.model.base import DNS_SUBDOMAIN_PATTERN, NAME_PATTERN
from featureplane.model.feature_view import FeatureView

NAME = "use letters, digits, - and single _, and start with a letter or digit"
# What has been tried on every tool that makes a file name, a statement or a template of a name.
HOSTILE = [
    "a'b",
    'a"b',
    "a`b",
    "a\nb",
    "a\n",
    "a\0",
    "a b",
    "a/b",
    "../a",
    "a\\b",
    "a.b",
    "a;b",
    "a--b;",
    "$HOME",
    "${HOME}",
    "$(id)",
    "`id`",
    "{{ x }}",
    "{% x %}",
    "%s",
    "*",
    "a,b",
    "a:b",
    "#a",
    "ä",
    "漢",
    "🎉",
    "a\u202eb",
    "a\u200bb",
    "<script>",
    "a__b",
    "_a",
    "-a",
]

PLACES_OF_NAMES = {
    "spec.name": lambda name: a_feature_view(feast_name=name),
    "spec.entities[0].name": lambda name: a_feature_view(entities=[an_entity(name)]),
    "spec.entities[0].joinKey": lambda name: a_feature_view(entities=[an_entity(joinKey=name)]),
    "spec.features[0].name": lambda name: a_feature_view(features=[a_feature(name)]),
    "spec.source.name": lambda name: a_feature_view(source=a_source(name=name)),
    "spec.push.name": lambda name: a_feature_view(push={"enabled": True, "name": name}),
    "spec.project": lambda name: a_project(project=name),
    "spec.views[0].name": lambda name: a_service(views=[{"name": name}]),
    "spec.views[0].features[0]": lambda name: a_service(views=[{"name": "v", "features": [name]}]),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", PLACES_OF_NAMES)
def test_a_name_is_of_plain_characters_everywhere(place, name):
    assert problems_in(PLACES_OF_NAMES[place](name)) == [f"{place}: {name!a} is not allowed here; {NAME}"]


@pytest.mark.parametrize("name", ["a", "7", "254carbon", "Driver-Stats", "a_b-c", "a-", "a_", "a--b", "x" * 63])
@pytest.mark.parametrize("place", PLACES_OF_NAMES)
def test_a_name_is_what_feast_allows(place, name):
    assert problems_in(PLACES_OF_NAMES[place](name)) == []


@pytest.mark.parametrize("place", PLACES_OF_NAMES)
def test_a_name_is_neither_empty_nor_long(place):
    (empty,) = problems_in(PLACES_OF_NAMES[place](""))
    assert empty.startswith(f"{place}: is empty; write something")
    assert problems_in(PLACES_OF_NAMES[place]("x" * 5000)) == [f"{place}: is longer than 63 characters; shorten it"]


@given(st.text(max_size=70) | st.from_regex(NAME_PATTERN))
def test_an_accepted_name_is_of_a_safe_alphabet(name):
    if name and not problems_in(a_feature_view(feast_name=name)):
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,63}", name)
        assert "__" not in name


@pytest.mark.parametrize("name", [*sorted(set(HOSTILE) - {"a.b"}), "A", "a_b", "a.", ".a", "a..b", "-"])
def test_the_name_of_an_object_is_kubernetes(name):
    assert problems_in(a_feature_view(name)) == [
        (
            f"metadata.name: {name!a} is not allowed here; "
            "use lower-case letters, digits, - and ., with a letter or digit at both ends"
        )
    ]


@pytest.mark.parametrize(
    ("name", "spec_name", "feast"),
    [("a-b.c", None, "a_b_c"), ("a-b", "A-b", "A-b"), ("a--b", "a_b", "a_b"), ("x" * 200, "x", "x")],
)
def test_the_name_in_feast(name, spec_name, feast):
    assert FeatureView.model_validate(a_feature_view(name, feast_name=spec_name)).feast_name == feast


@pytest.mark.parametrize("make", [a_feature_view, a_service])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a--b", "makes the Feast name 'a__b', and Feast keeps __ for itself; give spec.name"),
        ("x" * 64, "makes a Feast name of 64 characters; give spec.name, of 63 at most"),
    ],
)
def test_a_name_in_feast_that_is_made_of_the_objects_name_must_be_one(make, name, problem):
    assert problems_in(make(name)) == [f"metadata.name: {problem}"]


@given(st.from_regex(DNS_SUBDOMAIN_PATTERN, fullmatch=True))
def test_a_name_in_feast_is_always_of_a_safe_alphabet(name):
    view = a_feature_view(name)
    if not problems_in(view):
        assert re.fullmatch(NAME_PATTERN, FeatureView.model_validate(view).feast_name)


# Free text

PLACES_OF_TEXT = {
    "spec.{}": lambda field, value: a_feature_view(**{field: value}),
    "spec.entities[0].{}": lambda field, value: a_feature_view(entities=[an_entity(**{field: value})]),
    "spec.source.{}": lambda field, value: a_feature_view(source=a_source(**{field: value})),
}
BOUNDS = {"description": 8192, "owner": 256}


@pytest.mark.parametrize("text", [*HOSTILE, "", " ", "\t", "\x1b[31m", "\ufeff", "x" * 256])
@pytest.mark.parametrize("field", BOUNDS)
@pytest.mark.parametrize("place", PLACES_OF_TEXT)
def test_free_text_may_hold_anything(place, field, text):
    assert problems_in(PLACES_OF_TEXT[place](field, text)) == []


@pytest.mark.parametrize("field", BOUNDS)
@pytest.mark.parametrize("place", PLACES_OF_TEXT)
def test_free_text_has_a_bound(place, field):
    most = BOUNDS[field]
    assert problems_in(PLACES_OF_TEXT[place](field, "🎉" * most)) == []
    assert problems_in(PLACES_OF_TEXT[place](field, "🎉" * (most + 1))) == [
        f"{place.format(field)}: is longer than {most} characters; shorten it"
    ]


@pytest.mark.parametrize("field", BOUNDS)
@pytest.mark.parametrize("place", PLACES_OF_TEXT)
def test_free_text_holds_no_half_of_a_surrogate_pair(place, field):
    assert problems_in(PLACES_OF_TEXT[place](field, "ab\ud800")) == [
        f"{place.format(field)}: holds half a surrogate pair; write the whole character"
    ]


# Tags


@pytest.mark.parametrize("key", [*HOSTILE, " ", "a" * 128, "feast", "Feast:x"])
def test_a_tag_may_have_any_key_and_value(key):
    assert problems_in(a_feature_view(tags={key: key})) == []


RESERVED = "choose a key that does not start with " + ", ".join(names.RESERVED_TAG_PREFIXES)


@pytest.mark.parametrize(
    ("tags", "problems"),
    [
        ({"a": 1, "b": None}, [".a: must be text, not 1; put it in quotes", ".b: must be text, not null; write text"]),
        ({"": "x"}, ["['']: is empty; write something"]),
        ({"k" * 129: "x"}, [f"['{'k' * 37}...']: is longer than 128 characters; shorten it"]),
        ({"k": "x" * 1025}, [".k: is longer than 1024 characters; shorten it"]),
        ({f"k{i}": "x" for i in range(65)}, [": is longer than 64 entries; shorten it"]),
        (["a"], [": must be a mapping, not ['a']; write its fields below it, indented"]),
        (
            {"feast:struct_schema": "{}", "feast.x": "", "a": ""},
            [
                f"['feast:struct_schema']: is a tag with a meaning of its own; {RESERVED}",
                f"['feast.x']: is a tag with a meaning of its own; {RESERVED}",
            ],
        ),
    ],
)
def test_other_tags_are_refused(tags, problems):
    assert problems_in(a_feature_view(tags=tags)) == [f"spec.tags{problem}" for problem in problems]


# Metadata


def test_what_the_api_server_and_other_tools_add_is_accepted():
    metadata = {
        "uid": "1",
        "generation": 3,
        "resourceVersion": "7",
        "creationTimestamp": None,
        "labels": None,
        "annotations": {"a/b": "é"},
        "managedFields": [],
        "finalizers": [],
        "ownerReferences": [],
    }
    assert problems_in({**a_feature_view(metadata=metadata), "status": {"anything": True}}) == []


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"label": {}}, "metadata.label: is not a field; did you mean labels?"),
        ({"zzz": {}}, "metadata.zzz: is not a field; remove it"),
        ({"labels": {"a": 1}}, "metadata.labels.a: must be text, not 1; put it in quotes"),
        (
            {"namespace": "Bad"},
            (
                "metadata.namespace: 'Bad' is not allowed here; "
                "use lower-case letters, digits and -, with a letter or digit at both ends"
            ),
        ),
        ({"name": None}, "metadata.name: must be text, not null; write text"),
        (
            {"generation": "1"},
            "metadata.generation: must be a whole number, not '1'; write a whole number, without quotes",
        ),
    ],
)
def test_other_metadata_is_refused(metadata, problem):
    assert problems_in(a_feature_view(metadata=metadata)) == [problem]


def test_a_changed_copy_of_a_model_changes_what_no_other_was_given():
    one, other = (FeatureView.model_validate(a_feature_view()) for _ in range(2))
    before = set(other.spec.model_fields_set)
    copy = one.spec.model_copy(update={"suspend": True})
    assert "suspend" in copy.model_fields_set
    assert other.spec.model_fields_set == before
