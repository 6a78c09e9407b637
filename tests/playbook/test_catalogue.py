"""Finding playbooks by path and by name."""

from __future__ import annotations

import pytest

from outagekit.errors import NothingMatched
from outagekit.playbook import catalogue
from outagekit.playbook.catalogue import find_playbook, list_playbooks, shipped_folder


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A workspace and a shipped folder with two playbooks each, one name in both."""
    for name in ("own/a.yaml", "own/both", "shipped/both", "shipped/c"):
        path = tmp_path / (name if name.endswith(".yaml") else f"{name}/playbook.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "own" / "README.md").write_text("")
    (tmp_path / "own" / "empty").mkdir()
    monkeypatch.setattr(catalogue, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path


def test_the_workspace_comes_before_the_shipped(folders):
    found = list_playbooks(workspace_playbooks=folders / "own")
    assert [(f.name, f.origin) for f in found] == [
        ("a", "workspace"),
        ("both", "workspace"),
        ("c", "shipped"),
    ]
    assert find_playbook("both", workspace_playbooks=folders / "own").origin == "workspace"
    assert find_playbook("both").origin == "shipped"


@pytest.mark.parametrize("word", ["own/a.yaml", "own/both", "shipped/c/playbook.yaml"])
def test_a_word_with_a_separator_is_a_path(folders, monkeypatch, word):
    monkeypatch.chdir(folders)
    found = find_playbook(word, workspace_playbooks=folders / "own")
    assert found.origin == ("shipped" if word.startswith("shipped") else "workspace")
    assert found.path.is_file()
    assert found.name == {"own/a.yaml": "a", "own/both": "both"}.get(word, "c")


def test_a_path_elsewhere_is_outside(folders, monkeypatch):
    monkeypatch.chdir(folders / "own")
    assert find_playbook("a.yaml").origin == "outside"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("bothh", "did you mean `both`?"), ("..", "there are: a, both and c"), ("no/such.yaml", "")],
)
def test_what_is_not_there_is_nothing_matched(folders, word, hint):
    with pytest.raises(NothingMatched) as caught:
        find_playbook(word, workspace_playbooks=folders / "own")
    assert caught.value.hint == hint


def test_folders_that_do_not_exist_hold_nothing(folders, monkeypatch):
    monkeypatch.setattr(catalogue, "shipped_folder", lambda: folders / "none")
    assert list_playbooks(workspace_playbooks=folders / "neither") == ()


def test_in_the_repository_the_shipped_ones_are_in_playbooks():
    assert shipped_folder().name in {"playbooks", "shipped"}
