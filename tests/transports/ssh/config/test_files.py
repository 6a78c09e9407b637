"""Files are read as `ssh` reads them: whose they are, where includes lead, and no further."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path

import pytest

from outagekit.errors import InvalidInput
from outagekit.transports.ssh.config.config import load_config
from outagekit.transports.ssh.config.files import load_file
from outagekit.transports.ssh.config.local import Commands, this_machine
from outagekit.transports.ssh.config.model import Answer, Asked, Here


@pytest.fixture
def here() -> Here:
    (Path.home() / ".ssh").mkdir(mode=0o700)
    return this_machine()


def own(text: str, name: str = "config") -> Path:
    path = Path.home() / ".ssh" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def said(here: Here, host: str = "web-01") -> Answer:
    return load_config(here=here).answer(Asked(host))


def test_no_file_says_nothing(here: Here) -> None:
    assert said(here).port == 22


def test_a_persons_file_counts_and_includes_lead_from_its_folder(here: Here) -> None:
    own("Include d/*.conf ~/.ssh/more\n")
    own("Port 2022\n", "more")
    (Path.home() / ".ssh" / "d").mkdir()
    own("User ops\n", "d/a.conf")
    own("User other\n", "d/.hidden.conf")
    assert (said(here).user, said(here).port) == ("ops", 2022)


def test_a_named_file_counts_alone(here: Here, tmp_path: Path) -> None:
    own("Port 2022\n")
    other = tmp_path / "other"
    other.write_text("User ops\n")
    found = load_config(other, here).answer(Asked("web-01"))
    assert (found.user, found.port) == ("ops", 22)


def test_a_named_file_must_be_there(here: Here, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no SSH config"):
        load_config(tmp_path / "none", here)
    load_config(Path(os.devnull), here)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
@pytest.mark.parametrize("mode", [0o602, 0o622, 0o666])
def test_a_file_others_can_write_is_refused(here: Here, mode: int) -> None:
    own("Port 2022\n").chmod(mode)
    with pytest.raises(InvalidInput, match="can be written by others"):
        load_config(here=here)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_an_included_file_others_can_write_is_refused_with_its_place(here: Here) -> None:
    path = own("Port 1\nInclude more\n")
    own("Port 2\n", "more").chmod(0o666)
    with pytest.raises(InvalidInput) as caught:
        load_config(here=here)
    assert [(p.path, p.line) for p in caught.value.problems] == [(path, 2)]
    assert "can be written by others" in caught.value.problems[0].message


def test_a_file_that_includes_itself_is_refused(here: Here) -> None:
    own("Include config config\n")
    with pytest.raises(InvalidInput, match="include each other too often"):
        load_config(here=here)


def test_too_many_files_are_refused(here: Here) -> None:
    own("Include d/*\n" * 60)
    (Path.home() / ".ssh" / "d").mkdir()
    for number in range(20):
        own("", f"d/{number}")
    with pytest.raises(InvalidInput, match="too often"):
        load_config(here=here)


def test_a_huge_file_is_refused(here: Here) -> None:
    own("# x\n" * 300_000)
    with pytest.raises(InvalidInput, match="larger than any"):
        load_config(here=here)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are POSIX's")
def test_a_file_that_is_included_again_and_again_is_refused_before_it_takes_minutes(
    here: Here,
) -> None:
    own(f"# {'x' * 500_000}\n", "big")
    own("Include big\n" * 3)
    said(here)
    own("Include big\n" * 300)
    with pytest.raises(InvalidInput, match="include too much"):
        said(here)


def test_a_pipe_is_refused_and_not_waited_for(here: Here) -> None:
    os.mkfifo(Path.home() / ".ssh" / "config", 0o600)
    with pytest.raises(InvalidInput, match="no regular file"):
        load_config(here=here)


def test_the_systems_file_may_not_include_a_home(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.write_text("Include ~/x\n")
    with pytest.raises(InvalidInput) as caught:
        load_file(path, here, user=False, checked=False)
    assert "cannot include ~/x" in caught.value.problems[0].message


def test_the_persons_file_comes_before_the_systems(here: Here, tmp_path: Path) -> None:
    system = tmp_path / "ssh_config"
    system.write_text("Port 1\nUser sys\n")
    own("Port 2\n")
    config = load_config(here=here)
    theirs = load_file(system, here, user=False, checked=False)
    found = dataclasses.replace(config, system=theirs).answer(Asked("web-01"))
    assert (found.port, found.user) == (2, "sys")


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
class TestCommands:
    """Commands of `Match exec`."""

    def test_each_runs_once(self, tmp_path: Path) -> None:
        commands, file = Commands(), tmp_path / "ran"
        for _ in range(3):
            assert commands.succeed(f"echo x >> {file}")
        assert file.read_text() == "x\n"
        assert not commands.succeed("exit 3")

    def test_one_that_hangs_is_a_fault(self) -> None:
        began_s = time.monotonic()
        with pytest.raises(InvalidInput, match=r"did not end within 0.2 s"):
            Commands(limit_s=0.2).succeed("sleep 5")
        assert time.monotonic() - began_s < 3

    def test_one_that_is_killed_is_a_fault(self) -> None:
        with pytest.raises(InvalidInput, match="was killed"):
            Commands().succeed("kill -9 $$")

    def test_a_shell_that_is_not_there_is_a_fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL", "/no/such/shell")
        with pytest.raises(InvalidInput, match="cannot be run"):
            Commands().succeed("true")
