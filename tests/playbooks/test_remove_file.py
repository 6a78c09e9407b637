"""The scripts that move a file aside and bring it back, on real files."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest

NAME = "remove-file"
CONTENT = b"\x00bad\xff\n content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHEN_NS = 1_700_000_000_000_000_000
STAT, LN, RM, MKDIR = (str(shutil.which(name)) for name in ("stat", "ln", "rm", "mkdir"))


@pytest.fixture
def world(machine):
    here = machine(NAME, {"dpkg-query": "exit 1"}, sha256="", packaged=False, found=DIGEST)
    place = here.folder / "a b'c"
    place.mkdir()
    path = place / "-bad $(x).dat"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    os.utime(path, ns=(WHEN_NS, WHEN_NS))
    here.path = path
    here.values["path"] = str(path)
    return here


def quarantine(world):
    return sorted((world.folder / "home" / ".outagekit" / "quarantine").glob("*/*"))


def test_a_file_is_found_by_its_path(world):
    found = world.result("look.sh")
    expected = {"there": True, "wanted": True, "found": DIGEST, "bytes": len(CONTENT)}
    assert found == expected


def test_a_file_with_other_contents_is_left_alone(world):
    assert world.result("look.sh", sha256=DIGEST.upper())["wanted"] is True
    found = world.result("look.sh", sha256="0" * 64)
    assert (found["there"], found["wanted"]) == (True, False)


def test_a_path_with_nothing_at_it_needs_nothing(world):
    world.path.unlink()
    assert world.result("look.sh")["there"] is False
    assert world.run("absent.sh", "check").returncode == 0


def test_it_is_moved_aside_and_brought_back_byte_for_byte(world):
    before = world.path.stat()
    assert world.run("absent.sh", "check").returncode == 1
    done = world.run("remove.sh")
    assert done.returncode == 0, done.stderr
    assert world.run("absent.sh", "verify").returncode == 0
    kept, note = quarantine(world)
    assert kept.read_bytes() == CONTENT
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert f"path {world.path}\n" in note.read_text()
    assert f"sha256 {DIGEST}\n" in note.read_text()
    done = world.run("restore.sh", "undo")
    assert done.returncode == 0, done.stderr
    after = world.path.stat()
    assert world.path.read_bytes() == CONTENT
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_mtime_ns // 10**9 == WHEN_NS // 10**9
    assert quarantine(world) == []
    assert [each.name for each in world.path.parent.iterdir()] == [world.path.name]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_comes_back_to_its_owner(world):
    os.chown(world.path, 4711, 4712)
    world.path.chmod(0o4750)
    world.run("remove.sh")
    assert world.run("restore.sh", "undo").returncode == 0
    after = world.path.stat()
    assert (after.st_uid, after.st_gid) == (4711, 4712)
    assert stat.S_IMODE(after.st_mode) == 0o4750


def test_a_file_that_changed_since_it_was_looked_at_stays(world):
    world.path.write_bytes(b"other")
    done = world.run("remove.sh")
    assert done.returncode == 1
    assert "changed since" in done.stderr
    assert world.path.read_bytes() == b"other"


def test_undo_never_overwrites_what_is_there_now(world):
    world.run("remove.sh")
    world.path.write_bytes(b"new")
    done = world.run("restore.sh", "undo")
    assert done.returncode == 1
    assert world.path.read_bytes() == b"new"
    assert quarantine(world)[0].read_bytes() == CONTENT


def test_undo_of_another_run_finds_nothing(world):
    world.run("remove.sh")
    assert world.run("restore.sh", "undo", run="another").returncode == 1
    assert not world.path.exists()


def test_an_altered_quarantine_is_not_put_back(world):
    world.run("remove.sh")
    quarantine(world)[0].write_bytes(b"swapped")
    assert world.run("restore.sh", "undo").returncode == 1
    assert not world.path.exists()


def test_a_file_that_came_back_is_not_laid_over_the_first(world):
    world.run("remove.sh")
    world.path.write_bytes(CONTENT)
    done = world.run("remove.sh")
    assert done.returncode == 1
    assert "came back" in done.stderr


def test_a_folder_and_a_link_are_refused(world):
    for kind in ("folder", "link"):
        path = world.folder / kind
        if kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(world.path)
        assert world.run("look.sh", path=str(path)).returncode == 1
        assert world.run("remove.sh", path=str(path)).returncode == 1
    assert world.path.exists()


@pytest.mark.parametrize(
    "path",
    ["/", "relative", "/etc/../etc/passwd", "//etc/passwd", "/etc/./passwd", "/etc/", "/etc/passwd",
     "/proc/version", "/dev/null"],
)  # fmt: skip
def test_what_a_machine_cannot_be_without_is_refused(world, path):
    done = world.run("look.sh", path=path)
    assert done.returncode == 1
    assert "not removed" in done.stderr


def test_a_link_in_the_path_does_not_hide_what_is_at_its_end(world):
    link = world.folder / "innocent"
    link.symlink_to("/etc")
    done = world.run("look.sh", path=f"{link}/passwd")
    assert done.returncode == 1
    assert "cannot be without /etc/passwd" in done.stderr


def test_a_file_of_a_package_is_removed_only_when_a_person_says_so(world):
    world.standin("dpkg-query", 'echo "vendor-agent: $2"')
    done = world.run("look.sh")
    assert done.returncode == 1
    assert "it came with the package vendor-agent" in done.stderr
    assert world.result("look.sh", packaged=True)["wanted"] is True


def test_a_full_disk_is_said_before_the_file_is_touched(world):
    elsewhere(world).standin("df", 'echo head; echo "/dev/x 9 9 0 99% /"')
    done = world.run("remove.sh")
    assert done.returncode == 1
    assert "no room" in done.stderr
    assert world.path.exists()


def elsewhere(world):
    """Let the quarantine look as if it were on another file system, and no link reach it."""
    world.standin("stat", f'case $* in *%d*quarantine*) echo 999 ;; *) exec {STAT} "$@" ;; esac')
    world.standin("ln", f'case $* in *quarantine*) exit 1 ;; *) exec {LN} "$@" ;; esac')
    return world


def test_it_goes_to_another_file_system_and_comes_back(world):
    before = world.path.stat()
    done = elsewhere(world).run("remove.sh")
    assert done.returncode == 0, done.stderr
    kept, _ = quarantine(world)
    assert (kept.name, kept.read_bytes(), world.path.exists()) == ("file", CONTENT, False)
    done = world.run("restore.sh", "undo")
    assert done.returncode == 0, done.stderr
    after = world.path.stat()
    assert (world.path.read_bytes(), after.st_mode) == (CONTENT, before.st_mode)
    assert [each.name for each in world.path.parent.iterdir()] == [world.path.name]


def test_a_file_that_cannot_be_removed_leaves_no_copy(world):
    elsewhere(world).standin("rm", f'case "$*" in *"-bad "*) exit 1 ;; esac; exec {RM} "$@"')
    done = world.run("remove.sh")
    assert done.returncode == 1
    assert world.path.read_bytes() == CONTENT
    assert quarantine(world) == []


def test_a_copy_that_was_cut_off_is_begun_anew(world):
    elsewhere(world).standin(
        "cp", 'echo half >"$W/home/.outagekit/quarantine/"*/part; kill -9 $PPID'
    )
    assert world.run("remove.sh").returncode != 0
    assert world.path.read_bytes() == CONTENT
    assert world.real("cp").run("remove.sh").returncode == 0
    assert quarantine(world)[0].read_bytes() == CONTENT


def test_on_its_own_file_system_a_file_needs_no_room(world):
    world.standin("df", 'echo head; echo "/dev/x 9 9 0 100% /"')
    assert world.run("remove.sh").returncode == 0


def test_a_file_with_more_names_is_still_one_file_after_undo(world):
    other = world.folder / "other"
    os.link(world.path, other)
    assert "1 more names" in world.run("look.sh").stdout
    world.run("remove.sh")
    assert world.run("restore.sh", "undo").returncode == 0
    assert world.path.stat().st_ino == other.stat().st_ino


def test_a_link_laid_in_the_way_of_undo_is_not_followed(world):
    elsewhere(world).run("remove.sh")
    victim = world.folder / "victim"
    victim.write_bytes(b"precious")
    world.standin("mkdir", f'for at; do :; done; ln -s "$W/home" "$at"; exec {MKDIR} "$@"')
    assert world.run("restore.sh", "undo").returncode == 1
    assert victim.read_bytes() == b"precious"
    assert not world.path.exists()


def test_undo_does_not_go_through_a_folder_that_was_swapped(world):
    world.run("remove.sh")
    place = world.path.parent
    other = world.folder / "other"
    other.mkdir()
    place.rmdir()
    place.symlink_to(other)
    done = world.run("restore.sh", "undo")
    assert done.returncode == 1
    assert "another one now" in done.stderr
    assert list(other.iterdir()) == []
    assert quarantine(world)[0].read_bytes() == CONTENT


def test_a_quarantine_that_others_may_read_is_closed(world):
    base = world.folder / "home" / ".outagekit"
    base.mkdir()
    base.chmod(0o777)
    assert world.run("remove.sh").returncode == 0
    assert stat.S_IMODE(base.stat().st_mode) == 0o700


def test_a_quarantine_that_is_a_link_is_not_used(world):
    (world.folder / "home" / ".outagekit").symlink_to(world.path.parent)
    assert world.run("remove.sh").returncode == 1
    assert world.path.read_bytes() == CONTENT


def test_dpkg_is_not_asked_for_a_pattern(world):
    path = world.folder / "a[1]*?\\b"
    path.write_bytes(CONTENT)
    world.standin("dpkg-query", 'printf "%s\\n" "$2" >>"$W/asked"; exit 1')
    assert world.result("look.sh", path=str(path))["wanted"] is True
    assert world.get("asked").splitlines()[0].endswith("/a\\[1\\]\\*\\?\\\\b")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
def test_a_bad_file_in_shared_memory_may_go(world, tmp_path):
    path = Path("/dev/shm", f"outagekit-{tmp_path.name}")
    path.write_bytes(CONTENT)
    try:
        assert world.result("look.sh", path=str(path))["wanted"] is True
    finally:
        path.unlink()
