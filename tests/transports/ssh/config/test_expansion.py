"""What `ssh` works with in the end: paths of keys, the agent, and commands without surprises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.errors import InvalidInput
from outagekit.transports.ssh.config.answers import answer
from outagekit.transports.ssh.config.expansion import Expanded, expand
from outagekit.transports.ssh.config.model import Asked, Here
from outagekit.transports.ssh.config.parse import parse_config

if TYPE_CHECKING:
    from conftest import Judge

HERE = Here(
    user="me", home="/home/me", machine="desk.acme.example", uid=7, environ={"KEYS": "/keys"}
)


def expanded(text: str, host: str = "web-01", user: str | None = None) -> Expanded:
    problems = []
    file = parse_config(Path("config"), text, here=HERE, included=lambda *_: (), problems=problems)
    assert not problems
    return expand(answer(file, None, Asked(host, user), HERE), HERE)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "text",
    [
        "IdentityFile ~/.ssh/%h-%n-%p-%r-%u-%i-%L-%l-%%\nCertificateFile %d/%k\n",
        "IdentityFile ${SOME_AGENT}/x\nIdentityFile none\nHostKeyAlias Al\nCertificateFile %k\n",
        "HostName real\nUser ops\nPort 2022\nIdentityFile %C\n",
        "IdentityFile ~\nIdentityFile ~root/x\nIdentityFile rel\n",
    ],
)
def test_key_files_are_those_ssh_tries(
    judge: Judge, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_AGENT", "/run/agent")
    judge.here.environ["SOME_AGENT"] = "/run/agent"
    judge.write(text)
    words = ["ssh", "-v", "-F", judge.file, "-o", "ProxyCommand=exit 1", "Web-01"]
    said = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
    ).stderr
    tried = re.findall(r"identity file (.*) type -?\d+$", said, re.MULTILINE)
    certificates = re.findall(r"certificate file (.*) type -?\d+$", said, re.MULTILINE)
    found = expand(judge.answer("Web-01"), judge.here)
    assert [path for path in tried if not path.endswith("-cert")] == list(found.identities or ())
    assert certificates == list(found.certificates)


def test_a_command_gets_its_tokens_and_its_comment_stays() -> None:
    found = expanded("HostName real\nPort 2022\nProxyCommand nc %h %p %n %r 50%% # x\n", user="ops")
    assert found.command == "nc real 2022 web-01 ops 50% # x"


def test_what_is_put_in_is_not_expanded_again() -> None:
    assert expanded("HostName a%%p\nProxyCommand nc %h\n").command == "nc a%p"


@pytest.mark.parametrize(
    ("text", "host", "user"),
    [
        ("HostName x;id\nProxyCommand nc %h\n", "web-01", None),
        ("HostName $(id)\nProxyCommand nc %p\n", "web-01", None),
        ("User `id`\nProxyCommand nc %r\n", "web-01", None),
        ("HostKeyAlias a|id\nProxyCommand nc %k\n", "web-01", None),
        ("ProxyCommand nc %h\n", "web-01;id", None),
        ("ProxyCommand nc %h\n", "-oProxyCommand=id", None),
        ("ProxyCommand nc %r\n", "web-01", "ops;id"),
        ("ProxyCommand nc %r\n", "web-01", "ops\nid"),
    ],
)
def test_a_name_with_signs_of_a_shell_never_reaches_one(
    text: str, host: str, user: str | None
) -> None:
    with pytest.raises(InvalidInput, match="characters that ssh refuses"):
        expanded(text, host, user)


@pytest.mark.parametrize(
    "user",
    ["x$IFS-oProxyCommand=id", "HOST$", "*", "a b", "w?b", "[ab]", "#x", "~root"],
)
def test_a_user_of_the_inventory_never_becomes_several_words_or_another_one_of_a_command(
    user: str,
) -> None:
    with pytest.raises(InvalidInput, match=r"config:1:14: the user name .*a shell"):
        expanded("ProxyCommand ssh -W %h:%p %r@bastion\n", "web-01", user)
    assert expanded("Port 2022\n", "web-01", user).command == ""


def test_what_the_person_wrote_as_user_is_theirs_to_decide() -> None:
    assert expanded("User 'a b'\nProxyCommand nc %r\n").command == "nc a b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("IdentityFile %z\n", "config:1:14: %z has no meaning here"),
        ("IdentityFile a%\n", "config:1:14: % has no meaning here"),
        ("IdentityFile ${NOPE}/x\n", "variable NOPE is not set"),
        ("IdentityFile ${NOPE\n", "has no closing brace"),
        ("IdentityFile ~nobody-at-all/x\n", "no user nobody-at-all"),
        ("ProxyCommand nc %d\n", "config:1:14: %d has no meaning here"),
        ("ProxyCommand -\n", "standard input"),
        ("User ops\nProxyJump web-01\n", "config:2:11: web-01 would be reached through itself"),
    ],
)
def test_what_stands_for_nothing_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        expanded(text)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("written", "agent"),
    [
        ("none", "none"),
        ("SSH_AUTH_SOCK", None),
        ("~/agent-%h", "/home/me/agent-web-01"),
        ("${KEYS}/agent", "/keys/agent"),
        ("$KEYS", "/keys"),
        ("$NOT_THERE", "none"),
    ],
)
def test_the_agent_is_where_the_config_says(written: str, agent: str | None) -> None:
    assert expanded(f"IdentityAgent {written}\n").agent == agent


def test_named_key_files_are_told_from_none_at_all() -> None:
    assert expanded("Port 1\n").identities is None
    assert expanded("IdentityFile none\n").identities == ()
    assert expanded("IdentityFile ${KEYS}/a\n").identities == ("/keys/a",)
