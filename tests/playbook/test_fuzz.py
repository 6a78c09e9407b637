"""Whatever stands in a playbook file, the answer is a playbook or problems with a place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outagekit.playbook.load import inspect
from outagekit.playbook.schema import playbook_schema
from outagekit.text import visible_line

FALCON = Path(__file__).parent / "good" / "falcon"
LINES = (FALCON / "playbook.yaml").read_text(encoding="utf-8").splitlines()
KEYS = sorted(
    {key for part in playbook_schema()["$defs"].values() for key in part.get("properties", {})}
    | set(playbook_schema()["properties"])
)
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("fuzz")
    for script in FALCON.glob("*.ps1"):
        (made / script.name).write_bytes(script.read_bytes())
    return made


def judge(folder, data):
    path = folder / "playbook.yaml"
    path.write_bytes(data)
    playbook, problems = inspect(path)
    lines = len(data.decode("utf-8", "replace").splitlines()) or 1
    for problem in problems:
        assert problem.path != path or 1 <= problem.line <= lines
        assert problem.column >= 1
        assert visible_line(problem.message) == problem.message
        assert visible_line(problem.hint) == problem.hint
    assert playbook is not None or any(not problem.warning for problem in problems)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**64),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["detect.ok", "{{ x }}", "5%", "10s", "x.sh", "read", "fix", "a b", "\x85", ""]
    ),
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=25,
)


@settings(max_examples=60, **QUIET)
@given(data=st.binary(max_size=300))
def test_random_bytes(folder, data):
    judge(folder, data)


@settings(max_examples=120, **QUIET)
@given(tree=trees, steps=st.lists(trees, max_size=3))
def test_random_trees(folder, tree, steps):
    top = {"outagekit": 1, "title": "T", "steps": steps}
    top |= tree if isinstance(tree, dict) else {}
    judge(folder, yaml.safe_dump(top, allow_unicode=True).encode("utf-8", "replace"))


VALUES = ["5", "[a]", "{a: 1}", "", "true", "'x'", "*a", "!t x"]
ENDINGS = ["\t", "{", "}", "]", "'", "é", "\x00", "#", ": "]
MUTATIONS = {
    "drop": lambda line, _: "",
    "twice": lambda line, _: f"{line}\n{line}",
    "indent": lambda line, number: " " * (number % 3 + 1) + line,
    "cut": lambda line, number: line[:number],
    "retype": lambda line, number: line.partition(":")[0] + f": {VALUES[number % len(VALUES)]}",
    "insert": lambda line, number: line + ENDINGS[number % len(ENDINGS)],
}


@st.composite
def mutations(draw):
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        mutate = MUTATIONS[draw(st.sampled_from(sorted(MUTATIONS)))]
        lines[at] = mutate(lines[at], draw(st.integers(0, 40)))
    return "\n".join(lines).encode()


@settings(max_examples=120, **QUIET)
@given(data=mutations())
def test_mutations_of_a_good_playbook(folder, data):
    judge(folder, data)
