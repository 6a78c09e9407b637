"""The reader both loaders use: values with places, limits, and nothing but problems."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from outagekit.errors import InvalidInput
from outagekit.source import fault, parse_document, problems_of, read_bytes, read_document
from outagekit.source.reader import LIMIT_BYTES

PATH = Path("file.yaml")


def read(text: str | bytes):
    return read_document(PATH, text.encode() if isinstance(text, str) else text)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read(text)
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("22:22", "22:22"),
        ("2024-07-19", "2024-07-19"),
        ("2024-07-19T05:27:00Z", "2024-07-19T05:27:00Z"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-5", -5),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("", None),
        ("'true'", "true"),
        ('"7"', "7"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written, value):
    read_value = read(f"a: {written}").root.value["a"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_keys_are_text_as_written():
    assert read("yes: 1\n22: 2\n010: 3\ntrue: 4\n").root.value == {
        "yes": 1,
        "22": 2,
        "010": 3,
        "true": 4,
    }


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert read(b"\xef\xbb\xbfa: 1").root.value == {"a": 1}


def test_every_value_and_key_has_its_place():
    document = read("a: 1\nb:\n  - x\n  - {c: 'dé', e: 5}\n")
    assert document.mark(("a",)) == (1, 4)
    assert document.mark(("a",), key=True) == (1, 1)
    assert document.mark(("b", 1, "c")) == (4, 9)
    assert document.mark(("b", 1, "e"), key=True) == (4, 15)
    assert document.mark(("b", 7, "nowhere")) == (3, 3)
    assert document.problem(("b", 0), "m").source == "  - x"


@pytest.mark.parametrize(
    ("text", "find", "place"),
    [
        ("a: one two", "two", (1, 8)),
        ("a: 'one two'", "two", (1, 9)),
        ("a: |\n    one\n    two", "two", (3, 5)),
        ("a: |\n\n    one\n      two", "two", (4, 7)),
        ('a: "one\\ttwo"', "two", (1, 4)),
        ("a: >\n    one\n    two", "two", (1, 4)),
    ],
)
def test_a_character_of_a_text_has_its_place_if_it_is_written_as_it_reads(text, find, place):
    document = read(text)
    assert document.within(("a",), document.root.value["a"].index(find)) == place


def test_several_faults_are_reported_at_once():
    assert problems("a: &x 1\nb: *x\na: 2\n<<: {c: 1}\nd: !t 5\n? [k]\n: 6\n") == [
        "1:4: anchors are not read",
        "2:4: aliases are not read",
        "3:1: the key `a` stands twice, first in line 1",
        "4:1: merge keys are not read",
        "5:4: tags like `!t` are not read",
        "6:3: a key must be text",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xff\xfea\x00", "1:1: the file is UTF-16, not UTF-8"),
        (b"a: \xc3\xa9\nb: caf\xe9\n", "2:7: byte 0xe9 is not UTF-8"),
        (b"a: 1\nb: \x1b[31m", "2:4: the character U+001B may not stand in a file"),
        ("a: \ufeff".encode(), "1:4: the character U+FEFF may not stand in a file"),
        (b'a: "\\0"', "1:4: a text may not hold NUL or half a character"),
        (b'"\\e": 1', "1:1: a key must be text that can be seen"),
        (b"? ''\n: 1", "1:3: a key must be text that can be seen"),
        (b"a: .inf", "1:4: the number `.inf` is not finite or too large"),
        (b"a: 1e999", "1:4: the number `1e999` is not finite or too large"),
        (b"a: " + b"9" * 5000, f"1:4: the number `{'9' * 59}…` is not finite or too large"),
        (b"a: 1\n---\nb: 2", "2:1: a second document"),
        (b"a: [1, 2", "1:4: the list in `[ ]` should end or go on with `,` here"),
        (b"a: 1\nb", "2:1: this line is neither `key: value` nor a list entry"),
        (b"%FOO\n---\na", "1:5: this is not YAML: found unknown directive name"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(data, expected):
    assert problems(data) == [expected]


def test_problems_never_show_raw_control_characters():
    found = problems(b'"a\\e[2J": 1\n"a\\e[2J": 2\n')
    assert all(text.isprintable() for text in found)


def test_an_empty_file_is_an_empty_value():
    assert read("# nothing\n").root.value is None


def test_a_broken_value_keeps_the_rest_of_the_file():
    document = parse_document(PATH, b"a: *x\nb: 2\n")
    assert document.root.value == {"a": None, "b": 2}
    assert list(document.broken()) == [("a",)]


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_path_that_is_no_file_is_a_problem(tmp_path, kind):
    path = tmp_path / "x.yaml" if kind == "missing" else tmp_path
    with pytest.raises(InvalidInput) as caught:
        read_document(path)
    assert caught.value.problems[0].line == 0


def test_a_file_over_its_limit_is_not_read_further(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * 101)
    with pytest.raises(InvalidInput, match="has 1 problem"):
        read_bytes(path, limit_bytes=100)


BOMBS = {
    "depth": "'[' * 10**6",
    "block-depth": "'- ' * 10**6",
    "key-depth": "'? ' * 10**5",
    "flow-depth": "'{a: ' * 10**5",
    "aliases": "'a: &a [x]\\n' + ''.join(f'a{i}: &a{i} [*a, *a]\\n' for i in range(20000))",
    "merge": "'a: &a {x: 1}\\n' + 'b: {' + '<<: *a, ' * 30000 + '}'",
    "scalar": "'a: ' + 'x' * (50 * 2**20)",
    "keys": "''.join(f'k{i}: 1\\n' for i in range(10**5))[:2**20]",
    "entries": "'[' + '1,' * (2**19 - 1) + ']'",
    "open-quote": "'\"' + 'a' * (2**20 - 1)",
    "newlines": "'\\n' * (2**20 - 2) + '['",
    "control-characters": "'\\x01\\n' * 2**19",
    "digits": "'a: ' + '9' * (2**20 - 3)",
}
CHILD = """
import sys, time
from pathlib import Path
from outagekit.errors import InvalidInput
from outagekit.source import read_document
data = ({bomb}).encode()
read_document(Path("warm.yaml"), b"a: 1")
began = time.perf_counter()
try:
    read_document(Path("bomb.yaml"), data)
except InvalidInput as error:
    took = time.perf_counter() - began
    place = error.problems[0]
    print(len(error.problems), place.line, place.column, round(took * 1000))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_quickly_and_kills_nothing(name):
    code = CHILD.format(bomb=BOMBS[name])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    count, _, _, took_ms = map(int, done.stdout.split())
    assert 1 <= count <= 100
    assert took_ms < 2000  # about 100 on an idle machine; what is refused late takes minutes


def test_the_size_limit_comes_before_any_parsing():
    began = time.perf_counter()
    with pytest.raises(InvalidInput):
        read(b"a" * (LIMIT_BYTES + 1))
    assert time.perf_counter() - began < 0.1


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("ab:-{}[]&*!|>'\"#%@ \n\t,?", max_size=60)))
def test_any_bytes_give_values_or_problems_with_a_place(data):
    raw = data.encode() if isinstance(data, str) else data
    try:
        document = parse_document(PATH, raw)
        found, lines = document.problems, len(document.lines)
    except InvalidInput as error:
        found, lines = error.problems, raw.count(b"\n") + raw.count(b"\r") + 100
        assert found
    for problem in found:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1


class Inner(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    colour: str = ""


class Outer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    name: str
    size: int = 1
    ratio: float = 1.0
    on: bool = True
    inner: list[Inner] = []
    by_name: dict[str, Inner] | None = None


def judged(text: str) -> list[str]:
    document = read(text)
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document.root.value)
    found = problems_of(caught.value, document, Outer)
    return [f"{p.line}:{p.column}: {p.message} | {p.hint}" for p in found]


def test_what_pydantic_finds_is_said_in_our_words_and_in_order():
    text = (
        "name: 5\nsiez: 1\nratio: much\non: 1\n"
        "inner:\n  - colur: red\n  - 7\nby_name:\n  x: {colour: [a]}\n"
    )
    assert judged(text) == [
        "1:7: `name` must be text, not a number | put it in quotes",
        "2:1: unknown key `siez` | did you mean `size`?",
        "3:8: `ratio` must be a number, not text | ",
        "4:5: `on` must be true or false, not a number | ",
        "6:5: unknown key `colur` | did you mean `colour`?",
        "7:5: entry 2 of `inner` must be a mapping, not a number | ",
        "9:15: `colour` must be text, not a list | ",
    ]


def test_a_missing_key_is_reported_at_its_mapping():
    assert judged("size: 2\n") == ["1:1: `name` is missing | "]


def test_a_fault_raised_by_a_validator_keeps_its_words_and_hint():
    error = fault("{name} is {odd}", "do it")
    assert (error.context or {})["message"] == "{name} is {odd}"
    assert str(error) == "{name} is {odd}"


def test_importing_the_reader_loads_neither_yaml_nor_pydantic():
    code = "import sys, outagekit.source; print({'yaml', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
