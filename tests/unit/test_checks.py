import pytest

from factories import a_feature, a_feature_view, problems_in


def problems_of_checks(kind, checks):
    problems = problems_in(a_feature_view(features=[{**a_feature(type=kind), "checks": checks}]))
    return [problem.removeprefix("spec.features[0].checks") for problem in problems]


@pytest.mark.parametrize(
    ("kind", "checks"),
    [
        ("Float64", {"minimum": 0, "maximum": 1.5, "maxNullFraction": 0.1}),
        ("Int32", {"in": [1, -(2**31), 2**31 - 1], "notNull": True, "maxNullFraction": 0}),
        ("Float32", {"in": [1, 1.5]}),
        ("Bool", {"in": [True]}),
        ("String", {"pattern": "^[a-z]+$", "in": ["a", "", "é", "${HOME}"]}),
        ("Map", {"notNull": True}),
        ("Array(Int64)", None),
        ("Array(Float32)", {"length": 384, "notNull": True}),
        ("String", {}),
    ],
)
def test_checks_that_fit_the_type(kind, checks):
    assert problems_of_checks(kind, checks) == []


PATTERN = "close each bracket, and leave out look-around and back-references"


@pytest.mark.parametrize(
    ("kind", "checks", "problem"),
    [
        ("Float64", {"minimum": 2, "maximum": 1}, ".minimum: 2 is above the maximum, 1; no value could pass; lower it"),
        ("Float64", {"minimum": "1"}, ".minimum: must be a number, not '1'; write a number, without quotes"),
        ("Float64", {"minimum": True}, ".minimum: must be a number, not true; write a number, without quotes"),
        ("Float64", {"minimum": float("nan")}, ".minimum: must be a number, not nan; write a number, without quotes"),
        (
            "Float64",
            {"maximum": 10**400},
            ".maximum: must be a number, not 1" + "0" * 56 + "...; write a number, without quotes",
        ),
        ("String", {"minimum": 1}, ".minimum: is for numbers, not for String; take it out"),
        ("Array(Int64)", {"maximum": 1}, ".maximum: is for numbers, not for Array(Int64); take it out"),
        (
            "Float64",
            {"notNull": True, "maxNullFraction": 0.5},
            ".maxNullFraction: allows what notNull forbids; keep one of them",
        ),
        (
            "Float64",
            {"notNull": "yes"},
            ".notNull: must be true or false, not 'yes'; write true or false, without quotes",
        ),
        ("Float64", {"maxNullFraction": 1.5}, ".maxNullFraction: 1.5 is too large; write at most 1"),
        ("Float64", {"maxNullFraction": -1}, ".maxNullFraction: -1 is too small; write at least 0"),
        ("Float64", {"pattern": "x"}, ".pattern: is for String, not for Float64; take it out"),
        ("String", {"pattern": "("}, f".pattern: '(' is not a regular expression of RE2's kind; {PATTERN}"),
        ("String", {"pattern": "(?=a)"}, f".pattern: '(?=a)' is not a regular expression of RE2's kind; {PATTERN}"),
        ("String", {"pattern": r"(a)\1"}, f".pattern: '(a)\\\\1' is not a regular expression of RE2's kind; {PATTERN}"),
        ("String", {"pattern": "\ud800"}, ".pattern: holds half a surrogate pair; write the whole character"),
        ("Set(Int64)", {"length": 3}, ".length: is for Array, not for Set(Int64); take it out"),
        ("Array(Int64)", {"length": 0}, ".length: 0 is too small; write at least 1"),
        ("Array(Int64)", {"length": 65_537}, ".length: 65537 is too large; write at most 65536"),
        ("String", {"pattern": ""}, ".pattern: is empty; write something, or leave it out"),
        ("String", {"pattern": "x" * 257}, ".pattern: is longer than 256 characters; shorten it"),
        ("String", {"in": []}, ".in: is empty; write at least one"),
        ("String", {"in": "a"}, ".in: must be a list, not 'a'; start each item with a dash"),
        ("String", {"in": list("x" * 257)}, ".in: is longer than 256 entries; shorten it"),
        ("String", {"in": ["a", 1]}, ".in[1]: 1 is no String; list values of String"),
        ("String", {"in": ["x" * 8193]}, ".in[0]: is longer than 8192 characters; shorten it"),
        ("String", {"in": ["a", "\ud800"]}, ".in[1]: holds half a surrogate pair; write the whole character"),
        ("Float64", {"in": [1, None]}, ".in[1]: null is no plain value; list texts, numbers or booleans"),
        ("Float64", {"in": [[1]]}, ".in[0]: [1] is no plain value; list texts, numbers or booleans"),
        (
            "Float64",
            {"in": [float("inf")]},
            ".in[0]: inf is no plain value; write text, a number, true, false, a list or a mapping",
        ),
        ("Float64", {"in": [True]}, ".in[0]: true is no Float64; list values of Float64"),
        ("Int64", {"in": [1.0]}, ".in[0]: 1.0 is no Int64; list values of Int64"),
        ("Int64", {"in": [2**63]}, ".in[0]: 9223372036854775808 is no Int64; list values of Int64"),
        ("Int32", {"in": [2**31]}, ".in[0]: 2147483648 is no Int32; list values of Int32"),
        (
            "Float64",
            {"in": [10**400]},
            ".in[0]: 1" + "0" * 56 + "... is no plain value; list texts, numbers or booleans",
        ),
        ("Bool", {"in": [1]}, ".in[0]: 1 is no Bool; list values of Bool"),
        ("Bytes", {"in": ["a"]}, ".in: is for String, Bool and numbers, not for Bytes; take it out"),
        ("Float64", {"min": 0}, ".min: is not a field; did you mean minimum?"),
        ("Float64", {"not_null": True}, ".not_null: is not a field; did you mean notNull?"),
        ("Float64", {"in_": [1]}, ".in_: is not a field; did you mean in?"),
        ("Float64", [], ": must be a mapping, not []; write its fields below it, indented"),
    ],
)
def test_other_checks_are_refused(kind, checks, problem):
    assert problems_of_checks(kind, checks) == [problem]


def test_every_check_that_does_not_fit_is_listed():
    checks = {"minimum": 1, "maximum": 2, "in": ["a", 1, 2]}
    assert [problem.split(":")[0] for problem in problems_of_checks("String", checks)] == [
        ".minimum",
        ".maximum",
        ".in[1]",
        ".in[2]",
    ]
