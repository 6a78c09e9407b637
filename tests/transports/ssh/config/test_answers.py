"""Notices of what is not used, faults with their places, and limits."""

from __future__ import annotations

import contextlib
import fnmatch
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import InvalidInput, Problem
from outagekit.transports.ssh.config.answers import answer
from outagekit.transports.ssh.config.model import Answer, Asked, ConfigFile, Here
from outagekit.transports.ssh.config.parse import parse_config
from outagekit.transports.ssh.config.patterns import matches

HERE = Here(user="me", home="/home/me", machine="desk")


def parsed(text: str, name: str = "config", here: Here = HERE) -> tuple[ConfigFile, list[Problem]]:
    problems: list[Problem] = []
    file = parse_config(Path(name), text, here=here, included=lambda *_: (), problems=problems)
    return file, problems


def said(
    text: str,
    host: str = "web-01",
    *,
    system: str = "",
    here: Here = HERE,
    user: str | None = None,
) -> Answer:
    own, faults = parsed(text, here=here)
    theirs, more = parsed(system, "ssh_config")
    assert not faults
    assert not more
    return answer(own, theirs, Asked(host, user), here)


def noticed(text: str, **options: object) -> list[str]:
    return [str(notice) for notice in said(text, **options).notices]


def test_what_holds_and_is_not_used_is_told_with_its_place() -> None:
    text = "Host web-*\n BindAddress 192.0.2.1\nHost db\n Ciphers aes128-ctr\n"
    assert noticed(text) == ["BindAddress (config:2)"]


def test_the_first_value_counts_for_a_notice_too() -> None:
    text = "StrictHostKeyChecking yes\nHost *\n StrictHostKeyChecking no\n"
    assert noticed(text) == []
    assert noticed("StrictHostKeyChecking no\n") == ["StrictHostKeyChecking (config:1)"]


def test_a_value_that_changes_nothing_is_not_told() -> None:
    text = "ForwardAgent no\nAddressFamily any\nPubkeyAuthentication yes\nCheckHostIP no\n"
    assert noticed(text + "LogLevel ERROR\nControlMaster auto\nSendEnv LANG\n") == []


def test_what_a_system_sets_for_everybody_is_not_told() -> None:
    system = "Ciphers aes128-ctr\nGSSAPIAuthentication yes\nHashKnownHosts yes\n"
    assert noticed("", system=system) == []
    assert noticed("", system="ProxyUseFdpass yes\n") == ["ProxyUseFdpass (ssh_config:1)"]


@pytest.mark.parametrize("condition", ["localnetwork 192.0.2.0/24", "!localnetwork 192.0.2.0/24"])
def test_a_condition_that_cannot_be_judged_never_holds_and_is_told(condition: str) -> None:
    found = said(f"Match {condition}\n User ops\n")
    assert found.user == "me"
    assert [str(notice) for notice in found.notices] == ["Match localnetwork (config:1)"]


def test_tags_match() -> None:
    assert said("Tag far\nMatch tagged f*\n Port 1\nMatch tagged near\n User x\n").port == 1


def test_a_users_tokens_are_told_not_expanded() -> None:
    found = said("User %u\n")
    assert (found.user, len(found.notices)) == ("%u", 1)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("Port 22\n  Colour blue\n", (2, 3), "bad configuration option: colour"),
        ("Prot 22\n", (1, 1), "bad configuration option"),
        ("Port x\n", (1, 6), "no port"),
        ("Host a\n\tUser 'x\n", (2, 7), "quote is not closed"),
        ("Port =\n", (1, 1), "argument is missing"),
        ("ProxyJump a b\n", (1, 11), "more than one word"),
        ("IdentityFile a b\n", (1, 14), "more than one argument"),
        ("Match all user x\n", (1, 7), "'all' goes with no other"),
    ],
)
def test_a_fault_is_told_with_file_line_and_column(
    text: str, place: tuple[int, int], words: str
) -> None:
    file, problems = parsed(text)
    if not problems:
        with pytest.raises(InvalidInput) as caught:
            answer(file, None, Asked("web-01"), HERE)
        problems = list(caught.value.problems)
    assert [(p.line, p.column) for p in problems] == [place]
    assert words in problems[0].message
    assert problems[0].source == text.split("\n")[place[0] - 1].rstrip()


def test_all_faults_are_told_at_once() -> None:
    _, problems = parsed("Port x\nUser\nConnectTimeout 5y\n")
    assert [problem.line for problem in problems] == [1, 2, 3]


def test_a_misspelt_keyword_is_guessed() -> None:
    file, _ = parsed("HostNam x\n")
    with pytest.raises(InvalidInput) as caught:
        answer(file, None, Asked("web-01"), HERE)
    assert caught.value.problems[0].hint == "did you mean hostname?"


def test_keywords_of_this_system_only_are_known_there() -> None:
    here = Here(user="me", home="/", machine="desk", vendor_keywords=frozenset({"usekeychain"}))
    assert said("UseKeychain yes\nPort 1\n", here=here).port == 1
    with pytest.raises(InvalidInput):
        said("UseKeychain yes\n")


def test_a_command_runs_only_if_all_before_it_holds() -> None:
    ran: list[str] = []
    here = Here(user="me", home="/", machine="d", succeeds=lambda line: ran.append(line) is None)
    said('Match host db exec "a %h"\nMatch host web-01 exec "b %h %p"\n Port 1\n', here=here)
    assert ran == ["b web-01 22"]


def test_a_command_with_signs_of_a_shell_in_a_name_never_runs() -> None:
    ran: list[str] = []
    here = Here(user="me", home="/", machine="d", succeeds=lambda line: ran.append(line) is None)
    with pytest.raises(InvalidInput, match="characters that ssh refuses"):
        said('HostName x;id\nMatch exec "test %h"\n', here=here)
    assert ran == []


def test_a_user_of_the_inventory_is_never_more_than_a_word_of_a_matching_command() -> None:
    ran: list[str] = []
    here = Here(user="me", home="/", machine="d", succeeds=lambda line: ran.append(line) is None)
    with pytest.raises(InvalidInput, match=r"Match exec: the user name .*a shell"):
        said('Match exec "ssh %r@bastion"\n', here=here, user="x$IFS-oProxyCommand=id")
    assert ran == []


def test_too_many_key_files_are_refused() -> None:
    said("".join(f"IdentityFile {n}\n" for n in range(100)))
    with pytest.raises(InvalidInput, match="more than 100"):
        said("".join(f"IdentityFile {n}\n" for n in range(101)))


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_patterns_mean_what_globs_mean(pattern: str, text: str) -> None:
    assert matches(text, pattern) == fnmatch.fnmatchcase(text, pattern)


def test_a_hostile_pattern_costs_no_time() -> None:
    began_s = time.monotonic()
    assert not matches("a" * 3000, "*a" * 30 + "b")
    assert time.monotonic() - began_s < 2


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    file, problems = parsed(text)
    if not problems:
        with contextlib.suppress(InvalidInput):
            assert answer(file, None, Asked("web-01"), HERE).hostname
