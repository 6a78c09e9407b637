from __future__ import annotations

import os
from pathlib import Path

import pytest

from outagekit.errors import InvalidInput, Refused, UsageError
from outagekit.inventory import ownership
from outagekit.inventory.load import inspect
from outagekit.inventory.settings import resolve_settings
from outagekit.inventory.workspace import find_workspace, write_workspace

posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "msp"
    write_workspace(folder)
    return folder


def settings_of(root: Path, text: str):
    (root / "outagekit.yaml").write_text(text)
    workspace = find_workspace(root)
    assert workspace is not None
    return workspace.settings


def test_a_new_workspace_is_found_and_its_inventory_has_no_problem(root):
    workspace = find_workspace(root)
    assert workspace is not None
    assert (workspace.root, workspace.file) == (root, root / "outagekit.yaml")
    found = inspect(workspace.inventory_paths)
    assert found.problems == ()
    assert [e.id for e in found.inventory.endpoints()] == ["acme/web-01", "acme/web-02"]
    assert list(found.inventory.clients) == ["acme", "self"]
    assert (workspace.playbooks / "restart-ssh.yaml").is_file()
    assert workspace.trust.is_dir()


def test_its_addresses_are_for_documentation_only(root):
    endpoints = inspect([root / "inventory"]).inventory.endpoints()
    assert all(endpoint.address.startswith("192.0.2.") for endpoint in endpoints)


def test_the_nearest_workspace_above_is_found(root):
    inner = root / "inventory" / "deep" / "er"
    inner.mkdir(parents=True)
    for folder in (root, root / "inventory", inner):
        workspace = find_workspace(folder)
        assert workspace is not None
        assert workspace.root == root
    write_workspace(inner)
    nearest = find_workspace(inner)
    assert nearest is not None
    assert nearest.root == inner


def test_without_the_file_there_is_no_workspace(tmp_path):
    (tmp_path / "outagekit.yaml").mkdir()
    assert find_workspace(tmp_path) is None
    assert find_workspace(tmp_path / "not" / "there") is None


def test_a_workspace_may_lack_every_folder(tmp_path):
    (tmp_path / "outagekit.yaml").write_text("outagekit: 1\n")
    workspace = find_workspace(tmp_path)
    assert workspace is not None
    assert workspace.inventory_paths == ()


@posix_only
@pytest.mark.parametrize("bits", [0o002, 0o020])
@pytest.mark.parametrize(
    "name",
    ["", "outagekit.yaml", "inventory", "playbooks", "trust", "inventory/acme.yaml"],
)
def test_a_workspace_that_others_can_write_is_refused(root, name, bits, monkeypatch):
    monkeypatch.setattr(ownership, "_is_own_group", lambda gid: False)
    path = root / name
    path.chmod(path.stat().st_mode | bits)
    with pytest.raises(Refused) as caught:
        find_workspace(root)
    assert caught.value.exit_code == 10
    assert caught.value.hint == f"chmod go-w {path}"


@posix_only
def test_a_workspace_that_others_can_write_is_refused_before_it_is_read(root):
    (root / "outagekit.yaml").write_text("nonsense: [")
    (root / "outagekit.yaml").chmod(0o666)
    with pytest.raises(Refused):
        find_workspace(root)


@posix_only
def test_writing_by_the_persons_own_group_is_accepted(root, monkeypatch):
    monkeypatch.setattr(ownership, "_is_own_group", lambda gid: gid == root.stat().st_gid)
    root.chmod(0o775)
    assert find_workspace(root)


@posix_only
def test_a_group_nobody_knows_is_not_the_persons_own():
    assert not ownership._is_own_group(2**31 - 5)


@posix_only
def test_a_workspace_of_somebody_else_is_refused(root, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    if root.stat().st_uid == 0:
        assert find_workspace(root)  # what root owns is trusted
        os.chown(root / "inventory", 4_000_001, -1)
    with pytest.raises(Refused, match="could change what is run"):
        find_workspace(root)


@posix_only
def test_a_new_workspace_is_writable_by_its_owner_only_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        written = write_workspace(tmp_path / "msp")
    finally:
        os.umask(before)
    for path in (*written, *(path.parent for path in written)):
        assert path.stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("name", ["outagekit.yaml", "playbooks/restart-ssh.yaml"])
def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path, name):
    there = tmp_path / name
    there.parent.mkdir(exist_ok=True)
    there.write_text("mine")
    with pytest.raises(UsageError) as caught:
        write_workspace(tmp_path)
    assert str(there) in caught.value.message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [there]
    assert there.read_text() == "mine"


def test_a_folder_that_is_a_file_cannot_become_a_workspace(tmp_path):
    (tmp_path / "msp").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_workspace(tmp_path / "msp")


def test_the_workspace_files_settings_are_read(root):
    found = settings_of(root, "outagekit: 1\nconcurrency: 8\nconnecting: 4\nstate_dir: state\n")
    assert (found.concurrency, found.connecting, found.state_dir) == (8, 4, "state")


def test_every_problem_of_the_workspace_file_comes_at_once(root):
    with pytest.raises(InvalidInput) as caught:
        settings_of(root, "outagekit: 2\nconcurency: 8\nconnecting: 0\n")
    told = [(p.line, p.column, p.message, p.hint) for p in caught.value.problems]
    assert told == [
        (1, 12, "`outagekit` must be `1`", "this is the only version of the format"),
        (2, 1, "unknown key `concurency`", "did you mean `concurrency`?"),
        (3, 13, "`connecting` must be at least 1", ""),
    ]


def test_a_duplicate_key_of_the_workspace_file_is_a_problem(root):
    with pytest.raises(InvalidInput):
        settings_of(root, "outagekit: 1\nconnecting: 4\nconnecting: 5\n")


def rows(**words) -> dict[str, tuple[str, str]]:
    settings = resolve_settings(**words)
    return {row.name: (row.value, row.origin) for row in settings.rows}


def test_flag_wins_over_environment_over_workspace_over_default(root):
    text = "outagekit: 1\nconcurrency: 8\nconnecting: 4\nstate_dir: state\n"
    settings_of(root, text)
    workspace = find_workspace(root)
    environ = {"OUTAGEKIT_CONCURRENCY": "9", "OUTAGEKIT_STATE": str(root / "elsewhere")}
    file = str(root / "outagekit.yaml")

    assert rows(environ={}, workspace=workspace) == {
        "concurrency": ("8", file),
        "connecting": ("4", file),
        "state_dir": (str(root / "state"), file),
    }
    assert rows(environ=environ, workspace=workspace, connecting=2) == {
        "concurrency": ("9", "OUTAGEKIT_CONCURRENCY"),
        "connecting": ("2", "--connecting"),
        "state_dir": (str(root / "elsewhere"), "OUTAGEKIT_STATE"),
    }
    assert rows(environ={})["concurrency"] == ("64", "default")
    assert rows(environ={})["connecting"] == ("16", "default")


def test_the_values_are_typed_and_the_state_folder_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = resolve_settings(environ={"OUTAGEKIT_STATE": "here"}, concurrency=1)
    assert (settings.concurrency, settings.connecting) == (1, 16)
    assert settings.state_dir == Path.cwd() / "here"
    default = resolve_settings(environ={}).state_dir
    assert default.is_absolute()
    assert default.name == "outagekit"


def test_an_empty_variable_says_nothing():
    assert rows(environ={"OUTAGEKIT_CONCURRENCY": ""})["concurrency"] == ("64", "default")


@pytest.mark.parametrize("value", ["0", "-1", "many", "1025", "9" * 5000, "1.5", "\u0661"])
def test_a_bad_variable_is_named(value):
    with pytest.raises(UsageError, match="OUTAGEKIT_CONCURRENCY must be a number from 1 to 1024"):
        resolve_settings(environ={"OUTAGEKIT_CONCURRENCY": value})


def test_a_bad_flag_is_named():
    with pytest.raises(UsageError, match="--connecting must be a number from 1 to 256"):
        resolve_settings(environ={}, connecting=0)


def test_a_home_folder_of_nobody_is_named():
    with pytest.raises(UsageError, match="OUTAGEKIT_STATE"):
        resolve_settings(environ={"OUTAGEKIT_STATE": "~nobody-of-this-name/x"})
