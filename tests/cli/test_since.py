"""A resume uses the run's own copy of everything, and says what has changed since."""

from __future__ import annotations

from pathlib import Path

import pytest

ALL = ("--all-clients", "--yes")
BOOK = Path("playbooks/mend.yaml")
ASK = "  - {id: ask, approve: May we?, once: run, phase: verify, timeout: 0.2s}\n"


@pytest.fixture
def paused(call, lab, tmp_path):
    """Call a command on a run that was left at a question."""
    state = ("--state-dir", str(tmp_path / "state"))
    BOOK.write_text(BOOK.read_text().replace("drill:\n", f"{ASK}drill:\n"))
    assert call("run", "mend", *ALL, *state).code == 6
    return lambda: call("resume", "last", "--approve", "ask=Jo Weber: agreed", *state)


def test_where_nothing_has_changed_nothing_is_said(paused):
    resumed = paused()
    assert resumed.code == 0
    assert "changed since" not in resumed.err


def test_a_playbook_that_has_changed_is_mentioned_and_not_used(paused, lab):
    BOOK.write_text(BOOK.read_text().replace("May we?", "May we not?"))
    resumed = paused()
    assert resumed.code == 0
    assert "the playbook mend has changed since" in resumed.err
    assert "goes on with its own copy" in resumed.err


@pytest.mark.parametrize("become", [None, "outagekit: 1\ntitle: [", "\x00"])
def test_a_playbook_that_is_gone_or_broken_is_no_fault_of_a_resume(paused, become):
    if become is None:
        BOOK.unlink()
    else:
        BOOK.write_text(become)
    resumed = paused()
    assert resumed.code == 0
    assert "the playbook mend cannot be read any more" in resumed.err


def test_an_endpoint_that_has_changed_in_the_inventory_is_mentioned_and_not_used(paused):
    path = next(Path("inventory").iterdir())
    path.write_text(path.read_text().replace("address: 127.0.0.1", "address: 127.0.0.9", 1))
    resumed = paused()
    assert resumed.code == 0
    assert "the inventory has changed since" in resumed.err


def test_an_agreement_that_has_changed_is_mentioned_too(paused):
    path = next(Path("inventory").iterdir())
    path.write_text(path.read_text().replace("  - remediate\n", ""))
    resumed = paused()
    assert resumed.code == 0
    assert "the inventory has changed since" in resumed.err


def test_an_inventory_that_is_broken_is_no_fault_of_a_resume(paused):
    next(Path("inventory").iterdir()).write_text("outagekit: 1\nclient: [")
    resumed = paused()
    assert resumed.code == 0
    assert "the inventory cannot be read any more" in resumed.err


def test_another_workspace_says_nothing_of_a_run(paused, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "outagekit.yaml").write_text("outagekit: 1\n")
    monkeypatch.chdir(other)
    resumed = paused()
    assert "inventory" not in resumed.err
