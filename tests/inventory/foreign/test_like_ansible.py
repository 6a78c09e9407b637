"""What Ansible itself says of an inventory is what we say, or we refuse it with a reason."""

from __future__ import annotations

import json

import pytest
from ansible_corpus import FILES, INI, PRINTED, REFUSED_INI, REFUSED_YAML, TREES
from ansible_oracle import ask_ansible, ask_ours, require_ansible
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outagekit.inventory.foreign.ansible.facts import HONOURED
from outagekit.inventory.foreign.reading import Source, read_foreign


def lay_out(folder, files):
    """Write the files of an inventory and return what of it is read."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder / next(iter(files))


def of_interest(answer):
    """What Ansible says, without variables that nobody here asks for."""
    hosts = {
        host: {name: value for name, value in known.items() if name in HONOURED}
        for host, known in answer["hosts"].items()
    }
    return {"groups": answer["groups"], "hosts": hosts}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Name -> path and Ansible's answer, all asked for in one process."""
    require_ansible()
    folder = tmp_path_factory.mktemp("corpus")
    every = {name: {"hosts": text} for name, text in INI.items()}
    every |= {name: {"hosts.yml": text} for name, text in TREES.items()}
    every |= FILES
    paths = {}
    for number, (name, files) in enumerate(every.items()):
        path = lay_out(folder / str(number), files)
        paths[name] = folder / str(number) / "inv" if name.endswith("/") else path
    for number, (name, text) in enumerate(PRINTED.items()):
        program = lay_out(folder / f"p{number}", {"hosts": f"#!/bin/sh\ncat <<'E'\n{text}\nE\n"})
        program.chmod(0o755)
        paths[name] = program
    answers = ask_ansible(paths.values(), tmp_path_factory.mktemp("home"))
    return {
        name: (path, answer) for (name, path), answer in zip(paths.items(), answers, strict=True)
    }


@pytest.mark.parametrize("name", [*INI, *TREES, *FILES, *PRINTED])
def test_an_inventory_holds_what_ansible_says(corpus, name):
    path, answer = corpus[name]
    assert answer is not None, "Ansible cannot read it: it belongs to the refused ones"
    assert ask_ours(path) == of_interest(answer)


def test_the_corpus_is_large_enough():
    assert len({*INI, *TREES, *FILES, *PRINTED}) >= 60


def test_output_saved_to_a_file_holds_the_same_as_its_program(corpus, tmp_path):
    for number, (name, text) in enumerate(PRINTED.items()):
        saved = tmp_path / f"{number}.json"
        saved.write_text(text, encoding="utf-8")
        assert ask_ours(saved) == of_interest(corpus[name][1])


@pytest.mark.parametrize("name", REFUSED_INI)
def test_a_bad_ini_file_is_refused_with_its_line(tmp_path, name):
    path = lay_out(tmp_path, {"hosts.ini": REFUSED_INI[name]})
    _, problems = read_foreign(Source(path, "acme"))
    faults = [problem for problem in problems if not problem.warning]
    assert faults
    assert all(problem.line and problem.message for problem in faults)


@pytest.mark.parametrize("name", REFUSED_YAML)
def test_a_bad_yaml_file_is_refused_with_its_line(tmp_path, name):
    path = lay_out(tmp_path, {"hosts.yml": REFUSED_YAML[name]})
    _, problems = read_foreign(Source(path, "acme"))
    faults = [problem for problem in problems if not problem.warning]
    assert faults
    assert all(problem.line and problem.message for problem in faults)


names = st.sampled_from(["a", "b", "c", "web", "web[1:3]", "db-[a:c]", "h:2222", "192.0.2.1"])
groups = st.sampled_from(["g1", "g2", "g3", "g4", "all", "ungrouped", "web"])
variables = st.sampled_from(["ansible_user", "ansible_port", "ansible_host", "x"])
values = st.sampled_from(["1", "ops", "'a b'", '"q"', "True", "[1]", "{'a': 1}", "a=b", "0x10"])
pairs = st.tuples(variables, values)
host_lines = st.tuples(names, st.lists(pairs, max_size=2)).map(
    lambda line: " ".join([line[0], *("=".join(pair) for pair in line[1])])
)
sections = st.one_of(
    st.tuples(groups, st.lists(host_lines, max_size=3)).map(
        lambda made: "\n".join([f"[{made[0]}]", *made[1]])
    ),
    st.tuples(groups, st.lists(groups, max_size=2)).map(
        lambda made: "\n".join([f"[{made[0]}:children]", *made[1]])
    ),
    st.tuples(groups, st.lists(pairs, max_size=2), st.sampled_from([None, "1", "5", "-2"])).map(
        lambda made: "\n".join(
            [
                f"[{made[0]}:vars]",
                *("=".join(pair) for pair in made[1]),
                *([f"ansible_group_priority={made[2]}"] if made[2] else []),
            ]
        )
    ),
)
ini_files = st.lists(sections, max_size=7).map(lambda made: "\n".join(made) + "\n")
settings_of_one = st.dictionaries(
    variables, st.sampled_from([1, "ops", True, None, [1], {"a": 1}, "1"]), max_size=2
)
yaml_groups = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"hosts": st.dictionaries(names, settings_of_one, max_size=2)}
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "hosts": st.dictionaries(names, st.none() | settings_of_one, max_size=2),
            "vars": settings_of_one,
            "children": st.dictionaries(groups, st.none() | inner, max_size=2),
        },
    ),
    max_leaves=6,
)
yaml_files = st.dictionaries(groups, st.none() | yaml_groups, min_size=1, max_size=3).map(
    json.dumps
)


def compare(made, folder, ending):
    paths = [lay_out(folder / str(number), {f"hosts{ending}": text}) for number, text in made]
    answers = ask_ansible(paths, folder)
    for (_, text), path, answer in zip(made, paths, answers, strict=True):
        ours = ask_ours(path)
        if ours is not None:
            assert answer is not None, f"Ansible refuses, we do not:\n{text}"
            assert ours == of_interest(answer), text


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ini_files, min_size=40, max_size=60))
def test_any_ini_inventory_comes_to_the_same_as_in_ansible_or_is_refused(tmp_path_factory, texts):
    require_ansible()
    compare(list(enumerate(texts)), tmp_path_factory.mktemp("ini"), ".ini")


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(yaml_files, min_size=40, max_size=60))
def test_any_yaml_inventory_comes_to_the_same_as_in_ansible_or_is_refused(tmp_path_factory, texts):
    require_ansible()
    compare(list(enumerate(texts)), tmp_path_factory.mktemp("yaml"), ".yml")
