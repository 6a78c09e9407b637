"""The scripts that collect logs: a real archive of real files, with limits."""

from __future__ import annotations

import hashlib
import tarfile

import pytest

NAME = "collect-logs"
TAIL = 'echo "$line"; cat'


@pytest.fixture
def world(machine):
    here = machine(
        NAME,
        {
            "id": 'case $1 in -u) cat "$W/uid" ;; *) echo ops ;; esac',
            "journalctl": 'echo "$*" >"$W/asked"; echo "journal line"',
            "df": 'echo head; echo "/dev/x 9 9 $(cat "$W/free") 9% /"',
        },
        hours=2,
        max_mib=1,
    )
    for name in ("gather.sh", "tidy.sh"):
        text = (here.scripts / name).read_text()
        (here.folder / name).write_text(text.replace("/var/lib/", f"{here.folder}/"))
    here.scripts = here.folder
    here.place = here.folder / "outagekit" / "collect-logs"
    logs = here.folder / "log"
    logs.mkdir()
    (logs / "app.log").write_text("first\nlast\n")
    (logs / "two.log").write_text("two\n")
    (logs / "leads-away").symlink_to(here.folder / "uid")
    here.values["files"] = f"{logs}/*.log {logs}/leads-away {logs}/none relative"
    return here.set(uid="0", free="9999999")


def members(world):
    with tarfile.open(world.place / "logs.tar.gz") as archive:
        return {each.name: archive.extractfile(each).read() for each in archive if each.isfile()}


def test_an_archive_holds_journal_files_and_facts(world):
    found = world.result("gather.sh")
    archive = world.place / "logs.tar.gz"
    assert found["bytes"] == archive.stat().st_size
    assert found["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    held = members(world)
    assert held["logs/journal.txt"] == b"journal line\n"
    assert held[f"logs/files{world.folder}/log/app.log"] == b"first\nlast\n"
    assert f"logs/files{world.folder}/log/two.log" in held
    assert b"== uname -a" in held["logs/facts.txt"]
    assert "--since 20" in world.get("asked")
    assert sorted(each.name for each in world.place.iterdir()) == ["logs.tar.gz", "run"]


def test_nobody_else_may_read_it(world):
    world.result("gather.sh")
    modes = {path.stat().st_mode & 0o077 for path in (world.place, *world.place.iterdir())}
    assert modes == {0}


def test_what_is_left_out_is_said(world):
    assert world.result("gather.sh")["left_out"] == 3
    said = members(world)["logs/LEFT-OUT"].decode()
    assert "leads-away (a symbolic link)" in said
    assert "none (not there)" in said
    assert "relative (no whole path)" in said


def test_of_a_file_that_is_too_large_the_end_is_kept(world):
    big = world.folder / "log" / "big.log"
    big.write_bytes(b"x" * (5 * 2**20) + b"the end")
    world.result("gather.sh", files=str(big))
    held = members(world)[f"logs/files{big}"]
    assert held.endswith(b"the end")
    assert len(held) < 4 * 2**20
    assert b"its beginning" in members(world)["logs/LEFT-OUT"]


def test_an_archive_that_is_too_large_is_a_failure_that_leaves_nothing(world):
    noise = world.folder / "log" / "noise"
    noise.write_bytes(b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(40_000)))
    done = world.run("gather.sh", files=str(noise))
    assert done.returncode == 1
    assert "ask for fewer hours" in done.stderr
    assert not world.place.exists()


def test_a_disk_without_room_is_left_alone(world):
    done = world.set(free="1000").run("gather.sh")
    assert done.returncode == 1
    assert "too little space" in done.stderr
    assert world.run("tidy.sh").returncode == 0
    assert not world.place.exists()


def test_it_is_taken_away_again_only_by_its_own_run(world):
    world.result("gather.sh")
    assert world.run("tidy.sh", run="another").returncode == 0
    assert world.place.exists()
    assert "removed" in world.run("tidy.sh").stdout
    assert not world.place.parent.exists()
    assert world.run("tidy.sh").returncode == 0


def test_two_runs_do_not_share_a_folder(world):
    world.result("gather.sh")
    done = world.run("gather.sh", run="another")
    assert done.returncode == 1
    assert "another run collects logs here" in done.stderr
    assert world.run("gather.sh").returncode == 0


def test_a_link_in_the_place_of_the_folder_is_not_followed(world):
    (world.folder / "outagekit").symlink_to(world.folder / "log")
    assert world.run("gather.sh").returncode == 1


@pytest.mark.parametrize("values", [{"max_mib": 0}, {"max_mib": 101}, {"hours": 0}, {"hours": -1}])
def test_limits_that_are_none_are_refused(world, values):
    assert world.run("gather.sh", **values).returncode == 2


def test_it_says_that_it_needs_root(world):
    assert world.set(uid="1000").run("gather.sh").returncode == 3


def test_a_path_that_climbs_is_left_out_and_writes_nowhere(world):
    """Below the archive's folder it would lead back to the file itself, which would be emptied."""
    log = world.folder / "log" / "app.log"
    before = log.read_bytes()
    climbs = "/".join([".."] * (len(world.place.parts) + 20))
    path = f"{world.folder}/log/{climbs}{log}"
    assert world.result("gather.sh", files=path)["left_out"] == 1
    assert log.read_bytes() == before
    assert b"no plain path" in members(world)["logs/LEFT-OUT"]


def test_a_file_that_cannot_be_read_does_not_take_the_others_along(world):
    files = f"{world.folder}/log/app.log {world.folder}/log/two.log"
    world.standin("tail", f'read -r line; [ "$line" != two ] || exit 1; {TAIL}')
    world.result("gather.sh", files=files)
    held = members(world)
    assert f"logs/files{world.folder}/log/app.log" in held
    assert f"logs/files{world.folder}/log/two.log" not in held
    assert b"two.log (cannot be read)" in held["logs/LEFT-OUT"]


def test_a_full_disk_leaves_no_folder_of_nobody(world):
    text = (
        (world.folder / "gather.sh").read_text().replace('>"$place/run"; then', ">/dev/full; then")
    )
    (world.folder / "gather.sh").write_text(text)
    assert world.run("gather.sh").returncode == 1
    assert not world.place.exists()


def test_an_earlier_try_that_still_runs_cannot_disturb_the_next(world):
    again = (
        f'[ -e "$W/again" ] || {{ >"$W/again"; rm -rf "{world.place}"; mkdir "{world.place}"; }}'
    )
    done = world.standin("journalctl", f"{again}; echo line").run("gather.sh")
    assert done.returncode != 0
    assert list(world.place.iterdir()) == []
