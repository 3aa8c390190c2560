"""What is written as YAML is read back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import a_feature_view
from featureplane.model.documents import read_documents
from featureplane.rendering.yaml_text import to_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029\ufeff"), max_size=80)


def read(text):
    (document,), problems = read_documents(text, "written.yaml")
    assert not problems
    return document.value


@pytest.mark.parametrize(
    "text", ["y", "N", "on", "no", "0777", "1e5", "1_000", "0x1F", "0o17", "~", "null", "2d", "12:30", ""]
)
def test_text_that_looks_like_something_else_stays_text(text):
    assert read(to_yaml({"text": text})) == {"text": text}


@given(TEXT)
def test_any_text_is_read_back_letter_by_letter(text):
    assert read(to_yaml({"description": text, "tags": {"key": text}})) == {"description": text, "tags": {"key": text}}


def test_an_object_is_written_in_the_order_of_its_fields():
    written = to_yaml(a_feature_view())
    assert written.splitlines()[:2] == ["apiVersion: featureplane.dev/v1alpha1", "kind: FeatureView"]
    assert read(written) == a_feature_view()
