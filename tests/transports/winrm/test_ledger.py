"""What is known of shells, in this process and after its end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from outagekit.errors import InvalidInput
from outagekit.transports.winrm.ledger import Ledger


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shells.jsonl"


def test_shells_in_use_are_not_left(file: Path) -> None:
    ledger = Ledger(file)
    ledger.hold("acme/a", "S-1")
    assert ledger.left("acme/a") == ()
    ledger.leave("S-1")
    assert ledger.left("acme/a") == ("S-1",)
    assert ledger.left("acme/b") == ()


def test_what_a_killed_process_left_is_known_to_the_next(file: Path) -> None:
    before = Ledger(file)
    before.hold("acme/a", "S-1")
    before.hold("acme/a", "S-2")
    before.begin("S-2", "C-1")
    before.gone("S-1")
    after = Ledger(file)
    assert after.left("acme/a") == ("S-2",)
    after.gone("S-2")
    assert Ledger(file).left("acme/a") == ()


def test_a_command_is_on_disk_before_it_is_sent(file: Path) -> None:
    Ledger(file).begin("S-1", "C-1")
    assert '"command": "C-1"' in file.read_text()


def test_a_line_torn_by_a_crash_costs_nothing_but_itself(file: Path) -> None:
    Ledger(file).hold("acme/a", "S-1")
    with file.open("ab") as torn:
        torn.write(b'{"note": "shell", "endpo')
    again = Ledger(file)
    again.hold("acme/a", "S-2")
    assert set(Ledger(file).left("acme/a")) == {"S-1", "S-2"}


@pytest.mark.parametrize("line", ["null", "[]", "{}", '{"note":1,"shell":[]}', "x", "\x00"])
def test_lines_of_another_kind_are_passed_over(file: Path, line: str) -> None:
    file.write_text(f"{line}\n")
    assert Ledger(file).left("acme/a") == ()


def test_a_restart_has_ended_the_shells_of_an_earlier_boot(file: Path) -> None:
    ledger = Ledger(file)
    ledger.hold("acme/a", "S-1")
    ledger.hold("acme/a", "S-1", boot="7")
    ledger.hold("acme/a", "S-2")
    ledger.leave("S-1")
    ledger.leave("S-2")
    assert ledger.left("acme/a", boot="8") == ("S-2",)
    assert Ledger(file).left("acme/a") == ("S-2",)


def test_the_same_boot_keeps_them(file: Path) -> None:
    ledger = Ledger(file)
    ledger.hold("acme/a", "S-1", boot="7")
    ledger.leave("S-1")
    assert ledger.left("acme/a", boot="7") == ("S-1",)


def test_without_a_file_it_remembers_for_this_process() -> None:
    ledger = Ledger()
    ledger.hold("acme/a", "S-1")
    ledger.leave("S-1")
    assert ledger.left("acme/a") == ("S-1",)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_nobody_else_reads_it(file: Path) -> None:
    Ledger(file).hold("acme/a", "S-1")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        Ledger(tmp_path)
    with pytest.raises(InvalidInput):
        Ledger(tmp_path / "missing" / "shells.jsonl").hold("acme/a", "S-1")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
def test_a_line_that_did_not_fit_takes_no_later_one_with_it(tmp_path: Path) -> None:
    import resource  # does not exist on Windows

    path = tmp_path / "shells.jsonl"
    ledger = Ledger(path)
    ledger.hold("acme/pos-01", "S-1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        ledger.hold("acme/pos-01", "S-2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ledger.hold("acme/pos-01", "S-3")
    assert Ledger(path).left("acme/pos-01") == ("S-1", "S-3")
