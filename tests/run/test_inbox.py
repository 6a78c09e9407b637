from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import time

import msgspec
import pytest

from outagekit import errors
from outagekit.log.lock import is_held, read_owner
from outagekit.run.inbox import MAX_LETTER_BYTES, Inbox, put, user_name
from outagekit.run.wishes import Answer, NoteWish, Refused, StopWish, spelt_out

POSIX = os.name == "posix"
ROOT = POSIX and os.geteuid() == 0
ANSWER = Answer(question="call@acme", answer="yes", who="Jo Weber", because="they rang back")


@pytest.fixture
def held(tmp_path):
    """A run folder that this process holds."""
    from datetime import UTC, datetime

    from outagekit.log.folder import RunFolder, new_run_id

    run = new_run_id("Restart", datetime(2026, 11, 22, 8, 14, 3, tzinfo=UTC))
    with RunFolder.create(tmp_path / "state", run) as folder:
        yield folder


@pytest.fixture
def inbox(held):
    return Inbox(held.path, held.owner.nonce)


def lay(held, name, content, *, nonce=None):
    """Write a file into the inbox; a mapping becomes a letter with the nonce."""
    if isinstance(content, dict):
        letter = {"wish": content, "nonce": held.owner.nonce if nonce is None else nonce}
        content = json.dumps(letter).encode()
    path = held.inbox / name
    path.write_bytes(content)
    return path


def only(found):
    (one,) = found
    return one


def refused(inbox):
    one = only(inbox.take())
    assert isinstance(one, Refused), one
    assert inbox.take() == []
    return one


@pytest.mark.parametrize(
    "wish",
    [
        ANSWER,
        NoteWish(text="rang the client", who="Jo", endpoint="acme/pos-01"),
        NoteWish(text="größer 漢 — ok"),
        StopWish(who="Jo", why="wrong client"),
        StopWish(),
    ],
    ids=lambda wish: type(wish).__name__,
)
def test_what_was_put_is_taken_once_with_the_systems_user(held, inbox, wish):
    name = put(held.path, wish)
    found = only(inbox.take())
    assert found.os_user == user_name()
    assert found.letter == name
    assert msgspec.structs.replace(found, os_user="", letter="") == wish
    assert inbox.take() == []
    assert list(held.inbox.iterdir()) == []


def test_letters_are_taken_in_the_order_they_were_put(held, inbox):
    for number in range(20):
        put(held.path, NoteWish(text=str(number)))
    assert [each.text for each in inbox.take()] == [str(number) for number in range(20)]


def test_nothing_but_the_letter_is_left_behind(held):
    before = {path.name for path in held.path.iterdir()}
    put(held.path, ANSWER)
    assert {path.name for path in held.path.iterdir()} == before
    if POSIX:
        assert only(held.inbox.iterdir()).stat().st_mode & 0o777 == 0o600


def test_the_name_of_the_user_is_not_what_the_environment_says(held, inbox, monkeypatch):
    for variable in ("LOGNAME", "USER", "USERNAME", "LNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    assert getpass.getuser() == "somebody-else"
    put(held.path, ANSWER)
    assert only(inbox.take()).os_user != "somebody-else"


def test_an_empty_file_named_stop_is_a_wish_to_stop(held, inbox):
    (held.inbox / "stop").touch()
    found = only(inbox.take())
    assert isinstance(found, StopWish)
    assert found.os_user == user_name()
    assert inbox.take() == []


def test_words_in_the_file_stop_are_the_reason(held, inbox):
    lay(held, "stop", b"wrong \x1b[2J client\n")
    assert only(inbox.take()).why == "wrong \\x1b[2J client"


def test_a_letter_to_stop_needs_no_nonce(held, inbox):
    lay(held, "x.json", {"wish": "stop", "who": "Jo"}, nonce="")
    assert only(inbox.take()).who == "Jo"


def test_a_wish_to_stop_left_for_an_earlier_process_stops_nothing(held, inbox):
    path = lay(held, "stop", b"")
    before = held.owner_file.stat().st_mtime_ns - 1_000_000_000
    os.utime(path, ns=(before, before))
    assert "before this process" in refused(inbox).why


def test_the_stop_of_a_flood_is_heard_at_the_first_look(held, inbox):
    for number in range(2000):
        (held.inbox / f"{number:05d}").write_bytes(b"x")
    (held.inbox / "stop").touch()
    assert isinstance(inbox.take()[0], StopWish)


def test_a_flood_costs_bounded_time_and_log_and_drains(held, inbox):
    size = 5000
    for number in range(size):
        os.close(os.open(held.inbox / f"{number:06d}", os.O_CREAT | os.O_WRONLY))
    told, looks, slowest = [], 0, 0.0
    while any(held.inbox.iterdir()):
        begun = time.perf_counter()
        found = inbox.take()
        slowest = max(slowest, time.perf_counter() - begun)
        looks += 1
        assert len(found) <= 9
        told += found
        assert looks <= size // 100
    assert slowest < 1
    assert len(told) <= 200 + looks // 60 + 1
    assert any("more files" in each.why for each in told)
    put(held.path, ANSWER)
    assert isinstance(inbox.take()[0], Answer)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no letter"),
        (b"\x00" * 10, "no letter"),
        (b"\xff\xfe{}", "no letter"),
        (b"[" * MAX_LETTER_BYTES, "no letter"),
        (b'{"wish":' * 500, "no letter"),
        (b'{"wish":{"wish":"stop"}} {"wish":{"wish":"stop"}}', "no letter"),
        (b"x" * (MAX_LETTER_BYTES + 1), "larger than 4096 bytes"),
        ({"wish": "format c:"}, "no letter"),
        ({"wish": "answer", "question": "q"}, "no letter"),
        ({"wish": "answer", "question": "q", "answer": "maybe"}, "no letter"),
        ({"wish": "answer", "question": 7, "answer": "yes"}, "no letter"),
        ({"wish": "answer", "question": "q", "answer": "yes", "extra": 1}, "no letter"),
        ({"wish": "answer", "question": "q" * 500, "answer": "yes"}, "no letter"),
        ({"wish": "note", "text": ""}, "no letter"),
        ({"wish": "note", "text": "x", "who": "y" * 300}, "no letter"),
        ({"wish": "note", "text": "x", "os_user": "root"}, "only the system knows"),
        ({"wish": "note", "text": "x", "letter": "y"}, "only the system knows"),
        ({"wish": "note", "text": "\x1b]52;c;eA==\x07"}, "nobody can see"),
        ({"wish": "note", "text": "one\ntwo"}, "nobody can see"),
        ({"wish": "note", "text": "x", "who": "Jo\u202e"}, "nobody can see"),
        ({"wish": "note", "text": "\ud800"}, "no letter"),
    ],
)
def test_what_is_no_letter_is_refused_once_and_removed(held, inbox, content, why):
    path = lay(held, "x.json", content)
    found = refused(inbox)
    assert why in found.why
    assert found.name == "x.json"
    assert len(found.why) <= 200
    assert found.why.isprintable()
    assert not path.exists()


@pytest.mark.parametrize("nonce", ["", "0" * 32, "ä"])
@pytest.mark.parametrize("kind", ["answer", "note"])
def test_without_the_nonce_nothing_but_stop_is_obeyed(held, inbox, nonce, kind):
    wishes = {
        "answer": {"wish": "answer", "question": "q", "answer": "yes"},
        "note": {"wish": "note", "text": "x"},
    }
    lay(held, "x.json", wishes[kind], nonce=nonce)
    assert "nonce" in refused(inbox).why


def test_a_letter_to_an_earlier_process_is_refused(held, inbox):
    put(held.path, ANSWER)
    assert "nonce" in refused(Inbox(held.path, "f" * 32)).why


@pytest.mark.skipif(not POSIX, reason="names of any bytes")
def test_a_hostile_name_is_made_visible_and_cut(held, inbox):
    path = os.fsencode(held.inbox) + b"/\x1b[2J\n\xff" + b"n" * 200
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    found = refused(inbox)
    assert found.name.startswith("\\x1b[2J\\n\\udcff")
    assert len(found.name) <= 80
    assert not os.path.lexists(path)


@pytest.mark.skipif(not POSIX, reason="links need no rights there")
def test_a_symbolic_link_is_removed_and_what_it_leads_to_stays(held, inbox, tmp_path):
    target = tmp_path / "letter"
    target.write_bytes(lay(held, "y.json", {"wish": "note", "text": "x"}).read_bytes())
    (held.inbox / "y.json").unlink()
    (held.inbox / "x.json").symlink_to(target)
    assert refused(inbox).why == "it is a link"
    assert target.exists()


@pytest.mark.skipif(not POSIX, reason="links need no rights there")
def test_a_link_named_stop_stops_nothing(held, inbox, tmp_path):
    (tmp_path / "empty-file").touch()
    (held.inbox / "stop").symlink_to(tmp_path / "empty-file")
    assert refused(inbox).why == "it is a link"
    assert (tmp_path / "empty-file").exists()


def test_a_file_with_a_second_name_is_refused(held, inbox, tmp_path):
    other = tmp_path / "other"
    path = lay(held, "x.json", {"wish": "note", "text": "x"})
    os.link(path, other)
    assert "second name" in refused(inbox).why
    assert other.exists()
    assert not path.exists()


@pytest.mark.skipif(not POSIX, reason="there are no such files")
def test_a_pipe_or_a_socket_is_not_waited_for(held, inbox, monkeypatch):
    os.mkfifo(held.inbox / "pipe")
    monkeypatch.chdir(held.inbox)
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    server.close()
    found = inbox.take()
    assert [each.why for each in found] == ["it is no regular file"] * 2
    assert list(held.inbox.iterdir()) == []


def test_a_folder_is_refused_once_whether_it_can_be_removed_or_not(held, inbox):
    (held.inbox / "empty").mkdir()
    (held.inbox / "full").mkdir()
    (held.inbox / "full" / "file").touch()
    assert [(each.name, each.why) for each in inbox.take()] == [
        ("empty", "it is a folder"),
        ("full", "it is a folder"),
    ]
    assert inbox.take() == []
    assert [path.name for path in held.inbox.iterdir()] == ["full"]
    assert (held.inbox / "full" / "file").exists()


def test_what_cannot_be_removed_hides_nothing_that_comes_later(held, inbox):
    for number in range(600):
        folder = held.inbox / f"{number:04d}"
        folder.mkdir()
        (folder / "file").touch()
    for _ in range(3):
        inbox.take()
    put(held.path, ANSWER)
    assert isinstance(only(inbox.take()), Answer)


@pytest.mark.skipif(not ROOT, reason="only root can make files of others")
def test_a_file_of_another_user_is_refused_whatever_it_says(held, inbox):
    for name in ("stop", "x.json"):
        path = lay(held, name, {"wish": "stop"})
        os.chown(path, 65534, 65534)
    found = inbox.take()
    assert [each.why for each in found] == ["it belongs to somebody else"] * 2
    assert list(held.inbox.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_another_user_stops_nothing_even_where_the_folder_lets_them_write(held, inbox, mode):
    held.inbox.chmod(mode)
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    ran = subprocess.run(
        [*other, "touch", "stop"], cwd=held.inbox, check=False, capture_output=True
    )
    assert (ran.returncode == 0) is (mode == 0o777), ran.stderr
    assert [each.why for each in inbox.take()] == ["it belongs to somebody else"][: mode & 1]
    assert list(held.inbox.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason="only root can make files of others")
def test_who_is_not_the_runs_user_is_told_whose_run_it_is(held):
    os.chown(held.owner_file, 65534, 65534)
    with pytest.raises(errors.Refused) as caught:
        put(held.path, ANSWER)
    assert user_name(65534) in caught.value.message
    assert list(held.inbox.iterdir()) == []


@pytest.mark.skipif(not POSIX or ROOT, reason="root may do everything")
def test_what_may_not_be_read_is_refused(held, inbox):
    lay(held, "x.json", {"wish": "note", "text": "x"}).chmod(0)
    assert "cannot be read" in refused(inbox).why


def test_an_inbox_that_vanished_is_silence(held, inbox):
    held.inbox.rmdir()
    assert inbox.take() == []
    held.inbox.mkdir()
    put(held.path, ANSWER)
    assert isinstance(only(inbox.take()), Answer)


def test_an_inbox_that_is_a_file_is_reported_once_each_time(held, inbox):
    for _ in range(2):
        held.inbox.rmdir()
        held.inbox.write_text("x")
        assert "it is no folder" in refused(inbox).why
        held.inbox.unlink()
        held.inbox.mkdir()
        assert inbox.take() == []


@pytest.mark.skipif(not POSIX, reason="links need no rights there")
def test_nothing_is_removed_from_a_folder_the_inbox_only_leads_to(held, inbox, tmp_path):
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "stop").touch()
    (papers / "thesis").write_text("years of work")
    held.inbox.rmdir()
    held.inbox.symlink_to(papers)
    assert "it is no folder" in refused(inbox).why
    assert {path.name for path in papers.iterdir()} == {"stop", "thesis"}


@pytest.mark.skipif(not POSIX or ROOT, reason="root may do everything")
def test_a_letter_in_a_folder_that_cannot_be_written_is_obeyed_once(held, inbox):
    put(held.path, StopWish(why="once"))
    held.inbox.chmod(0o500)
    try:
        assert only(inbox.take()).why == "once"
        assert inbox.take() == []
    finally:
        held.inbox.chmod(0o700)


def test_a_letter_that_cannot_be_removed_is_obeyed_once(held, inbox, monkeypatch):
    put(held.path, StopWish(why="once"))

    def unlink(self, **_):
        raise PermissionError(13, "not allowed")

    monkeypatch.setattr("pathlib.Path.unlink", unlink)
    assert only(inbox.take()).why == "once"
    assert inbox.take() == []


def test_a_run_that_nobody_holds_hears_nothing(held):
    assert is_held(held.path)
    held.close()
    assert not is_held(held.path)
    with pytest.raises(errors.NothingMatched) as caught:
        put(held.path, ANSWER)
    assert caught.value.hint == f"outagekit resume {held.run}"
    assert list(held.inbox.iterdir()) == []


def test_asking_whether_a_run_is_held_leaves_it_and_its_owner_alone(held):
    owner = read_owner(held.path)
    assert is_held(held.path)
    assert read_owner(held.path) == owner
    with pytest.raises(errors.LogUnwritable):
        type(held).open_existing(_with_log(held))


def _with_log(held):
    held.log.touch()
    return held.path


def test_a_folder_without_a_lock_is_held_by_nobody_and_gets_none(tmp_path):
    folder = tmp_path / "copied"
    folder.mkdir()
    assert not is_held(folder)
    assert list(folder.iterdir()) == []


def test_words_too_long_for_a_letter_are_a_usage_error(held):
    with pytest.raises(errors.UsageError):
        put(held.path, NoteWish(text="漢" * 2000))
    assert list(held.inbox.iterdir()) == []


def test_an_inbox_that_cannot_be_written_is_said(held):
    held.inbox.rmdir()
    with pytest.raises(errors.LogUnwritable):
        put(held.path, ANSWER)
    assert not [path for path in held.path.iterdir() if "letter" in path.name]


def test_what_cannot_be_seen_is_spelt_out_before_it_is_put(held, inbox):
    put(held.path, NoteWish(text="one\ntwo\x1b[31m", who="J\u200bo"))
    found = only(inbox.take())
    assert found.text == "one\\ntwo\\x1b[31m"
    assert found.who == "J\\u200bo"
    assert spelt_out(found) == found
