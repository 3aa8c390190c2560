import inspect

import pytest

from featureplane import errors
from featureplane.errors import FeatureplaneError, InputError, PlanRefused, Problem

ALL = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, Exception)]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.yaml", 3, "spec.ttl", "is wrong", "write 2d"), "a.yaml:3: spec.ttl: is wrong; write 2d"),
        (Problem("a.yaml", 3, "", "is no object"), "a.yaml:3: is no object"),
        (Problem("", 0, "spec.ttl", "is wrong", "write 2d"), "spec.ttl: is wrong; write 2d"),
        (Problem("a.yaml", 0, "", "is empty"), "a.yaml: is empty"),
    ],
)
def test_a_problem_says_where_what_and_what_to_write_instead(problem, text):
    assert str(problem) == text


def test_problems_are_sorted_by_file_line_and_path():
    problems = [
        Problem("b", 1, "", "x"),
        Problem("a", 10, "", "x"),
        Problem("a", 9, "spec.b", "x"),
        Problem("a", 9, "spec.a", "x"),
    ]
    assert sorted(problems) == [problems[3], problems[2], problems[1], problems[0]]


def test_an_input_error_lists_every_problem():
    error = InputError([Problem("a", 1, "", "one"), Problem("a", 2, "", "two")])
    assert str(error) == "a:1: one\na:2: two"
    assert len(error.problems) == 2


def test_a_refused_plan_lists_every_refusal():
    error = PlanRefused(["the type of price changed", "the entity changed"])
    assert str(error) == "the type of price changed\nthe entity changed"
    assert error.refusals == ("the type of price changed", "the entity changed")


@pytest.mark.parametrize("error", ALL)
def test_every_error_stands_in_the_tree_of_the_docstring_under_its_parent(error):
    lines = errors.__doc__.splitlines()
    (own,) = [index for index, line in enumerate(lines) if error.__name__ in line.split()]
    if error is FeatureplaneError:
        return
    depth = lines[own].index(error.__name__)
    above = [line for line in lines[:own] if 0 < len(line) - len(line.lstrip("│├└─ ")) < depth]
    assert above[-1].strip("│├└─ ").split()[0] == error.__base__.__name__


@pytest.mark.parametrize("error", ALL)
def test_the_docstring_says_which_errors_are_retried(error):
    (line,) = [line for line in errors.__doc__.splitlines() if error.__name__ in line.split()]
    assert ("; retried" in line) == error.retriable
