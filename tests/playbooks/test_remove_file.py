"""The scripts that move a file aside and bring it back, on real files."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

NAME = "remove-file"
CONTENT = b"\x00bad\xff\n content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHEN_NS = 1_700_000_000_000_000_000


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
    world.standin("df", 'echo head; echo "/dev/x 9 9 0 99% /"')
    done = world.run("remove.sh")
    assert done.returncode == 1
    assert "no room" in done.stderr
    assert world.path.exists()
