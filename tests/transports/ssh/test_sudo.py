"""The conversation with sudo as text: pure, whatever the pieces it arrives in."""

from __future__ import annotations

import shlex
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.redaction import Redactor, Secret
from outagekit.transports.capture import Capture
from outagekit.transports.ssh.sudo import (
    SAID_BYTES,
    SFTP_SERVER,
    Talk,
    Ticket,
    cause_of_end,
    shown,
    ticket_in,
    unfit,
)

TICKET = Ticket("ok0123456789abcdef")
ASK, GO = TICKET.ask, TICKET.went(0)
LINE = "exec env LC_ALL=C.UTF-8 OK_STEP=a OK_PART=script sh -s"


def talk_of(pieces, redactor=None):
    talk = Talk(TICKET, Capture(redactor or Redactor(), SAID_BYTES))
    for piece in pieces:
        talk.feed(piece)
    return talk


def cut(data, places):
    ends = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


words = st.sampled_from([b"warning: \xc3\xa4\n", b"Password:", TICKET.nonce.encode(), b"\n", b"%"])


@given(
    before=st.lists(words | st.binary(max_size=8), max_size=6),
    rest=st.tuples(st.lists(words, max_size=4), st.binary(max_size=40)),
    asks=st.integers(0, 3),
    uid=st.integers(0, 99999),
    places=st.lists(st.integers(0, 400), max_size=12),
)
def test_the_same_is_heard_however_it_is_cut(before, rest, asks, uid, places):
    between, after = rest
    data = b"".join(before) + (ASK + b"".join(between)) * asks + TICKET.went(uid) + after
    talk = talk_of(cut(data, places))
    assert (talk.through, talk.asked, talk.uid, talk.rest) == (True, asks, uid, after)
    assert talk.words() == talk_of([data]).words()
    assert TICKET.nonce + "-GO" not in talk.words()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=9))
def test_no_noise_is_a_question_or_a_go(noise, places):
    talk = talk_of(cut(noise, places))
    assert (talk.through, talk.asked, talk.uid, talk.rest) == (False, 0, None, b"")


def test_what_asks_again_after_go_is_the_commands_own_error_output():
    talk = talk_of([GO + ASK + GO])
    assert (talk.asked, talk.rest) == (0, ASK + GO)


def test_a_go_without_a_number_has_no_uid():
    talk = talk_of([TICKET.nonce.encode() + b"-GO-\n"])
    assert (talk.through, talk.uid) == (True, None)


def test_a_go_that_is_not_whole_is_none_yet():
    talk = talk_of([TICKET.went(0)[:-1]])
    assert not talk.through
    talk.feed(b"7\n")
    assert talk.uid == 7, "a number ends with its line, not with a packet"


def test_another_commands_words_are_only_words():
    other = Ticket("okfedcba9876543210")
    talk = talk_of([other.ask, other.went(0)])
    assert (talk.through, talk.asked) == (False, 0)


def test_a_shell_that_shows_its_command_line_says_neither_word():
    line = TICKET.line(LINE)
    traced = " ".join(f"+ {word}" for word in shlex.split(line))
    for shown_line in (line, traced, line.replace("'", '"')):
        talk = talk_of([shown_line.encode() + b"\n"])
        assert (talk.through, talk.asked) == (False, 0)


def test_of_a_flood_beginning_and_end_are_kept():
    talk = talk_of([b"first\n", *[b"x" * 4096] * 500, b"\nlast", GO])
    assert talk.through
    assert talk.words().startswith("first\n")
    assert talk.words().endswith("\nlast")
    assert len(talk.words()) < 2 * SAID_BYTES


@given(st.lists(st.integers(0, 80), max_size=8))
def test_a_secret_in_what_was_said_is_hidden_however_it_is_cut(places):
    hidden = Redactor([Secret("ops sudo", "swordfish-and-more")])
    talk = talk_of(cut(b"sudo: no such user swordfish-and-more here\n", places), hidden)
    assert "swordfish" not in talk.words()


def test_every_ticket_is_new():
    assert Ticket().nonce != Ticket().nonce
    assert len(Ticket().nonce) >= 16


@pytest.mark.parametrize("command", [LINE, SFTP_SERVER])
def test_a_command_is_found_again_in_its_line(command):
    assert ticket_in(TICKET.line(command)) == (TICKET, command)


@pytest.mark.parametrize("line", [LINE, "exec env 'sh", "", "sudo sh -c 'echo x'"])
def test_a_line_that_asks_for_no_root_has_no_ticket(line):
    assert ticket_in(line) is None


@pytest.mark.parametrize("login_shell", ["sh", "bash", "dash", "zsh", "ksh", "fish", "tcsh"])
def test_every_login_shell_takes_the_line(login_shell, tmp_path):
    if subprocess.run(["which", login_shell], capture_output=True, check=False).returncode:
        pytest.skip(f"{login_shell} is not installed")
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nprintf "%s|" "$1" "$2" "$3" "$4" "$5" >&2\nshift 5\nexec "$@"\n')
    sudo.chmod(0o755)
    ran = subprocess.run(
        [login_shell, "-c", TICKET.line("exec cat")],
        input=TICKET.begin + b"the input",
        capture_output=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert ran.stdout == b"the input"
    asked, said = ran.stderr.rsplit(b"|", 1)
    assert asked == b"-H|-S|-p|" + TICKET.nonce.encode() + b"%%ASK|--"
    assert talk_of([said]).through


def test_nothing_begins_for_input_that_was_not_meant_for_it(tmp_path):
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nshift 5\nexec "$@"\n')
    sudo.chmod(0o755)
    ran = subprocess.run(
        ["sh", "-c", TICKET.line(f"exec touch {tmp_path / 'ran'}")],
        input=b"a password nobody asked for\n" + TICKET.begin,
        capture_output=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
    )
    assert ran.returncode == 125, "neither true nor false for a check"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("password", ["a\nb", "a\r", "\0", "x" * 251, "ä" * 126])
def test_a_password_that_is_no_line_sudo_reads_whole_is_not_fit(password):
    assert unfit(password)


@pytest.mark.parametrize("password", ["", "pass word", "ä" * 125, "'$(x)`%"])
def test_any_other_password_is_fit(password):
    assert unfit(password) == ""


@pytest.mark.parametrize(
    ("code", "said", "named"),
    [
        (127, "env: 'sudo': no such file or directory", "has no sudo"),
        (127, "", "has no sudo"),
        (126, "", "cannot be executed"),
        (0, "", "exit code 0 and ran nothing"),
        (0, "ops is not in the sudoers file", "exit code 0 and ran nothing"),
        (1, "sudo: sorry, you must have a tty to run sudo", "`requiretty`"),
        (1, "ops is not in the sudoers file.", "add it to its sudoers"),
        (
            1,
            "sorry, user ops is not allowed to execute '/bin/sh -c' as root on",
            "run `sh` as root",
        ),
        (1, "sudo: account validation failure, is your account locked?", "locked or has expired"),
        (
            1,
            "sudo: effective uid is not 0, is /usr/bin/sudo on a file system",
            "cannot make anybody",
        ),
        (1, "sudo: no valid sudoers sources found, quitting", "visudo -c"),
        (1, "usage: sudo -h | -k", "does not know our options"),
        (1, "ops ist nicht in der sudoers-datei", "exit code 1 before it had run anything"),
        (None, "", "ended by something else"),
    ],
)
def test_every_end_before_go_has_its_sentence(code, said, named):
    assert named in cause_of_end(code, said, "ops")


def test_what_was_said_is_one_visible_line_of_bounded_length():
    assert shown("lecture\n\n  one\x1b[31m \n two\n") == "one\\x1b[31m / two"
    assert shown("") == ""
    assert len(shown("y" * 5000)) <= 301
