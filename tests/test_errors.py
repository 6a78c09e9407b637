from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from outagekit import errors
from outagekit.errors import InvalidInput, OutagekitError, Problem

EXIT_CODES = {
    "OutagekitError": 1,
    "UsageError": 2,
    "StoppedByPerson": 6,
    "NothingMatched": 7,
    "InvalidInput": 8,
    "NotYet": 8,
    "LogDamaged": 9,
    "Refused": 10,
    "LogUnwritable": 11,
}
CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, Exception)
}


def test_every_error_has_its_exit_code():
    assert {name: found.exit_code for name, found in CLASSES.items()} == EXIT_CODES


def test_the_drawn_tree_is_the_tree_of_classes():
    for line in (errors.__doc__ or "").splitlines():
        words = line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()
        if words and words[0] in CLASSES and len(words) > 1 and words[1].isdigit():
            assert EXIT_CODES[words[0]] == int(words[1])
    for name in CLASSES:
        assert name in (errors.__doc__ or "")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_carries_its_sentence_and_what_to_try(name):
    error = CLASSES[name]("it is so", hint="try this")
    assert isinstance(error, OutagekitError)
    assert (str(error), error.message, error.hint) == ("it is so", "it is so", "try this")
    assert CLASSES[name]("it is so").hint == ""


def test_an_invalid_file_carries_every_problem():
    problems = tuple(Problem(Path("a.yaml"), line, 1, "no") for line in (3, 1))
    assert InvalidInput("two", problems).problems == problems
    assert InvalidInput("none").problems == ()


def test_a_problem_names_its_place_and_sorts_by_it():
    first = Problem(Path("a.yaml"), 2, 10, "x")
    second = Problem(Path("a.yaml"), 10, 1, "x")
    assert str(first) == "a.yaml:2:10: x"
    assert sorted([second, first]) == [first, second]
