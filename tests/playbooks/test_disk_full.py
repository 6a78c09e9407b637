"""The scripts about full disks: what df says in several ways, and what is cleaned."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

NAME = "disk-full"
HEAD = "Filesystem 1024-blocks Used Available Capacity Mounted on"
VALUES = {
    "path": "/",
    "want_free": 15,
    "package_cache": False,
    "journal_mib": 0,
    "rotated_days": 0,
}
DF = """
    case $1 in *i) cat "$W/inodes"; exit ;; esac
    cat "$W/blocks"
    [ $# -lt 3 ] || cat "$W/second" 2>/dev/null || tail -n 1 "$W/blocks"
"""


@pytest.fixture
def world(machine):
    here = machine(NAME, {"df": DF, "id": 'cat "$W/uid"'}, **VALUES)
    here.set(uid="0", blocks=f"{HEAD}\n/dev/vda1 1000000 900000 100000 90% /\n")
    return here.set(inodes=f"{HEAD}\n/dev/vda1 100 20 80 20% /\n")


def test_a_real_disk_is_read(machine):
    found = machine(NAME, **VALUES).result("look.sh")
    assert 0 <= found["free"] <= 100
    assert 0 <= found["inodes_free"] <= 100
    assert found["free_mib"] >= 0


@pytest.mark.parametrize(
    ("blocks", "inodes", "free", "full"),
    [
        ("/dev/vda1 1000000 900000 100000 90% /", "/dev/vda1 100 20 80 20% /", (10, 80), True),
        ("/dev/vda1 1000000 100000 900000 10% /", "/dev/vda1 100 99 1 99% /", (90, 1), True),
        ("/dev/vda1 1000000 100000 900000 10% /", "pool 0 0 0 - /", (90, 100), False),
        ("//nas/a b 1000000 100000 900000 85% /mnt/100% full", "", (15, 100), False),
    ],
)
def test_room_and_inodes_both_count(world, blocks, inodes, free, full):
    world.set(blocks=f"{HEAD}\n{blocks}\n", inodes=f"{HEAD}\n{inodes}\n")
    found = world.result("look.sh")
    assert (found["free"], found["inodes_free"]) == free
    assert found["full"] is full
    assert world.run("enough.sh", "check").returncode == (1 if full else 0)


@pytest.mark.parametrize("want", [0, -5, 91, 100])
def test_a_share_that_is_none_is_refused(world, want):
    assert world.run("look.sh", want_free=want).returncode == 2


def test_a_path_that_is_not_there_is_a_failure(world):
    assert world.run("look.sh", path="/nowhere/at/all").returncode == 1


def test_what_takes_the_room_is_named(machine):
    here = machine(NAME, **VALUES)
    (here.folder / "deep").mkdir()
    (here.folder / "deep" / "large").write_bytes(b"x" * (51 * 2**20))
    gone = here.folder / "gone"
    with gone.open("wb") as open_file:
        open_file.write(b"x" * 2**20)
        open_file.flush()
        gone.unlink()
        done = here.run("largest.sh", path=str(here.folder))
    assert done.returncode == 0, done.stderr
    assert "deep/large" in done.stdout
    if Path("/proc/self/fd").exists():
        assert f"1024 KiB: process {os.getpid()}" in done.stdout


def test_nothing_is_cleaned_that_was_not_asked_for(world):
    for tool in ("apt-get", "dnf", "journalctl"):
        world.standin(tool, f'echo {tool} >>"$W/calls"')
    assert world.result("clean.sh") == {"gained_mib": 0}
    assert world.get("calls") == ""


def test_what_was_asked_for_is_cleaned_and_the_gain_is_told(world):
    world.standin("apt-get", 'echo "apt-get $*" >>"$W/calls"; cat "$W/after" >"$W/blocks"')
    world.standin("dnf", 'echo "dnf $*" >>"$W/calls"')
    world.standin("journalctl", 'echo "journalctl $*" >>"$W/calls"')
    world.set(after=f"{HEAD}\n/dev/vda1 1000000 700000 300000 70% /\n")
    assert world.result("clean.sh", package_cache=True, journal_mib=200) == {"gained_mib": 195}
    assert world.get("calls").splitlines() == [
        "apt-get -q clean",
        "dnf -q clean packages",
        "journalctl --quiet --vacuum-size=200M",
    ]


@pytest.mark.parametrize(
    ("second", "goes"),
    [
        ("/dev/vdb1 50000 900 49100 2% /var/log", False),
        ("/dev/vda1 1000000 900000 100000 90% /var/log", True),
        ("pool/var/log 400000 300000 100000 75% /var/log", True),
    ],
)
def test_what_lies_on_another_file_system_is_left_alone(world, second, goes):
    log = old_logs(world, {"syslog.1": True})
    world.set(second=f"{second}\n").standin("journalctl", 'echo called >>"$W/calls"')
    done = world.run("clean.sh", rotated_days=30, path="/")
    assert done.returncode == 0, done.stderr
    assert (log / "syslog.1").exists() is not goes
    assert ("on another file system" in done.stderr) is not goes


def test_a_log_that_is_rotated_away_meanwhile_is_no_failure(world):
    old_logs(world, {"syslog.1": True})
    world.standin("find", '[ -e "$W/again" ] || { >"$W/again"; echo vanished >&2; exit 1; }')
    done = world.run("clean.sh", rotated_days=30)
    assert done.returncode == 0, done.stderr
    world.drop("again").standin("find", "exit 1")
    assert world.run("clean.sh", rotated_days=30).returncode == 1


def old_logs(world, names):
    log = world.folder / "log"
    old = time.time() - 40 * 86400
    for name in names:
        path = log / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (old, old))
    text = (world.scripts / "clean.sh").read_text().replace("/var/log", str(log))
    world.scripts = world.folder
    (world.folder / "clean.sh").write_text(text)
    return log


def test_only_old_rotated_logs_are_removed(world):
    names = {
        "syslog.1": True,
        "syslog.2.gz": True,
        "app-20260101": True,
        "syslog": False,
        "young.1": False,
        "backup.tar": False,
        "audit/audit.log.1": False,
        "journal/x.1": False,
        "nginx/access.log.14.gz": True,
    }
    log = old_logs(world, names)
    old = time.time() - 40 * 86400
    (log / "young.1").touch()
    (log / "link.1").symlink_to(log / "syslog")
    os.utime(log / "link.1", (old, old), follow_symlinks=False)
    done = world.run("clean.sh", rotated_days=30)
    assert done.returncode == 0, done.stderr
    os.utime(log / "young.1")
    assert {name for name in names if (log / name).exists()} == {
        name for name, goes in names.items() if not goes
    }
    assert (log / "link.1").is_symlink()


def test_a_cleaner_that_fails_is_named(world):
    done = world.standin("apt-get", "exit 100").run("clean.sh", package_cache=True)
    assert done.returncode == 1
    assert "apt-get" in done.stderr


@pytest.mark.parametrize("values", [{"journal_mib": -1}, {"rotated_days": -1}])
def test_numbers_below_nothing_are_refused(world, values):
    assert world.run("clean.sh", **values).returncode == 2


def test_it_says_that_it_needs_root(world):
    assert world.set(uid="1000").run("clean.sh").returncode == 3
