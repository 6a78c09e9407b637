"""The schema for editors, and the reference page that must not forget a key."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from outagekit.playbook.schema import playbook_schema
from outagekit.source import read_document

GOOD = Path(__file__).parent / "good"
REFERENCE = Path(__file__).parents[2] / "docs" / "playbook-reference.md"
SCHEMA = playbook_schema()


def errors(value):
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(value)]


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(GOOD.rglob("*.yaml")), ids=lambda path: path.parent.name)
def test_it_accepts_the_examples(path):
    assert errors(read_document(path).root.value) == []


@pytest.mark.parametrize(
    "step",
    [
        {"sh": "a", "bash": "b"},
        {"title": "nothing"},
        {"sh": None},
        {"sh": "a", "colour": 1},
        {"sh": "a", "check": {"sh": "a", "cmd": "b"}},
        {"sh": "a", "timeout": "5 minutes"},
        {"sh": "a", "id": "A-b"},
        {"sh": "a", "refs": ["banana"]},
        {"wait": {"every": "5s"}},
        {"script": []},
    ],
)
def test_it_refuses_what_the_loader_refuses(step):
    assert errors({"outagekit": 1, "title": "T", "steps": [step]})


def keys_of(schema):
    for part in (schema, *schema["$defs"].values()):
        yield from part.get("properties", {})


@pytest.mark.parametrize("key", sorted(set(keys_of(SCHEMA))))
def test_the_reference_names_every_key(key):
    assert f"`{key}`" in REFERENCE.read_text(encoding="utf-8")


def test_the_examples_of_the_reference_are_right(write):
    text = REFERENCE.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(outagekit: 1\n.*?)```", text, re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        assert errors(read_document(write(block)).root.value) == []
