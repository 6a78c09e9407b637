"""Small files that stand for much: they are refused before they cost time or memory."""

from __future__ import annotations

import json
import time

import pytest

from outagekit.inventory.foreign.ansible import estate, yaml_tree
from outagekit.inventory.foreign.reading import Source, origin_of, read_foreign


def letters(number):
    return [f"k{n}" for n in range(number)]


def aliases(form):
    """Twenty levels, each of nine aliases of the one before."""
    lines = ["k0: &k0 {x: 1}"]
    for before, name in zip(letters(20), letters(21)[1:], strict=True):
        inside = ", ".join([f"*{before}"] * 9)
        lines.append(f"{name}: &{name} {form.format(inside=inside)}")
    return "\n".join(lines) + "\nall: {hosts: {h: {x: *k20}}}\n"


def below(levels):
    """Groups whose nine children are all the group before."""
    lines = ["k0: &k0 {hosts: {h: }}"]
    for number in range(1, levels):
        children = ", ".join(f"c{number}x{n}: *k{number - 1}" for n in range(9))
        lines.append(f"k{number}: &k{number} {{children: {{{children}}}}}")
    return "\n".join(lines) + "\n"


def chain(levels):
    lines = ["k0: &k0 {hosts: {h: }}"]
    lines += [f"k{n}: &k{n} {{children: {{c{n}: *k{n - 1}}}}}" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


RANGES = "".join(f"w{n}-[0:49999]\n" for n in range(1000))
AGAIN = "[g]\n" + "w[0:49999] ansible_user=x ansible_port=1\n" * 1000
INHERITED = "[all:vars]\n" + "".join(f"v{n}=1\n" for n in range(20_000)) + "[g]\nw[0:49999]\n"
DEEP = "".join(f"[g{n}:children]\ng{n + 1}\n" for n in range(5000)) + "[g5000]\nh\n"
PRINTED = json.dumps(
    {
        **{f"g{n}": {"children": [f"g{n + 1}"]} for n in range(3000)},
        "g3000": {"hosts": [f"h{n}" for n in range(3000)]},
        "_meta": {"hostvars": {}},
    }
)
REFUSED = {
    "ranges.ini": RANGES,
    "again.ini": AGAIN,
    "inherited.ini": INHERITED,
    "deep.ini": DEEP,
    "ranges.yml": "all:\n  hosts:\n" + "".join(f"    w{n}-[0:49999]:\n" for n in range(1000)),
    "printed.json": PRINTED,
    "below.yml": below(20),
    "chain.yml": chain(3000),
    "number.yml": "all: {hosts: {h: {x: " + ":".join(["59"] * 50_000) + "}}}\n",
    "merged.yml": "k: &k {"
    + ", ".join(f"v{n}: 1" for n in range(20_000))
    + "}\nall:\n  hosts:\n"
    + "".join(f"    h{n}: {{<<: *k}}\n" for n in range(2000)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_small_file_that_stands_for_much_is_refused_soon(tmp_path, monkeypatch, name):
    monkeypatch.setattr(estate, "LIMIT_STATEMENTS", 100_000)
    monkeypatch.setattr(yaml_tree, "LIMIT_NODES", 100_000)
    path = tmp_path / name
    path.write_text(REFUSED[name])
    begun = time.process_time()
    taken, problems = read_foreign(Source(path, "acme"))
    assert time.process_time() - begun < 5  # without a limit it would be minutes, or the memory
    assert [each for each in problems if not each.warning]
    assert all(not client.endpoints for client in taken.clients)


@pytest.mark.parametrize("form", ["[{inside}]", "{{a: [{inside}]}}", "{{<<: [{inside}]}}"])
def test_aliases_of_aliases_cost_nothing(tmp_path, form):
    path = tmp_path / "hosts.yml"
    path.write_text(aliases(form))
    begun = time.process_time()
    taken, _ = read_foreign(Source(path, "acme"))
    assert time.process_time() - begun < 2
    assert list(taken.clients[0].endpoints) == ["h"]


@pytest.mark.parametrize(
    "text",
    [
        "all:\n  hosts:\n    h: !!python/name:os.system x\n",
        "web:\n  hosts:\n    h: {x: !vault [}\n",
        "ungrouped:\n\thosts: x\n",
    ],
)
def test_a_broken_inventory_of_ansible_is_told_as_one(tmp_path, text):
    path = tmp_path / "hosts.yaml"
    path.write_text(text)
    assert origin_of(path) == "ansible"
    _, problems = read_foreign(Source(path, "acme"))
    assert [each.line > 0 for each in problems] == [True]


def test_a_file_with_a_nul_is_no_text(tmp_path):
    path = tmp_path / "hosts"
    path.write_bytes(b"[web]\na\0b\n")
    _, (problem,) = read_foreign(Source(path, "acme"))
    assert (problem.line, problem.message) == (2, "this is no text: it holds a NUL")
