from __future__ import annotations

import base64
import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.lab.answers import Answer
from outagekit.lab.powershell import (
    WindowsShell,
    holds,
    is_whole,
    registry_answer,
    values_in,
)
from outagekit.lab.shell import Asks, Myself
from outagekit.playbook.model import Code, Script
from outagekit.transports.protocol import Captured, Outcome
from outagekit.transports.values import as_text
from outagekit.transports.windows import detached as commands
from outagekit.transports.windows.dialect import WindowsDialect
from outagekit.transports.windows.identity import CHEAP_IDENTITY, IDENTITY, parse_registry

SHELL = WindowsShell()
DIALECT = WindowsDialect()
MYSELF = Myself(SHELL.machine_id(1, "acme/a"), SHELL.boot_id(1, "acme/a", 0), 12.5)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SIMPLE = st.one_of(
    TEXT,
    st.booleans(),
    st.none(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.decimals(-1000, 1000, places=3),
    st.sampled_from(["2024-07-19T05:27:00Z", "2024-02-31T05:27:00Z", "it''s", "\u2019", "$true"]),
)
DATA = st.one_of(SIMPLE, st.lists(TEXT, max_size=3), st.lists(st.integers(0, 9), max_size=2))


def arrived(text, values=None, language="powershell", part="script", account="login"):
    """The script of a command as a machine gets it."""
    code = Code(language, text)
    command = DIALECT.render(code, values or {}, step="fix", part=part, account=account)
    if not command.framed:
        return command.line.rpartition('"&')[2].encode()
    return base64.b64decode(command.stdin)


def test_a_script_is_whole_only_with_its_last_byte():
    script = arrived("Get-Date\n'x'", {"a": "1"})
    assert is_whole(script)
    cuts = [*range(0, len(script), 97), *range(len(script) - 40, len(script))]
    assert not any(is_whole(script[:cut]) for cut in cuts)
    assert SHELL.cut.exit_code != 0


def test_a_line_for_cmd_is_whole_as_it_is():
    assert is_whole(arrived("dir c:\\", language="cmd"))


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), DATA, max_size=4))
def test_values_are_read_as_the_transport_writes_them(values):
    wanted = {name: as_text(name, value) for name, value in values.items()}
    found = values_in(arrived("'x'", values))
    assert found.keys() == wanted.keys()
    for name, value in values.items():
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            assert Decimal(found[name]) == value
        else:
            assert found[name] == wanted[name]


@given(st.dictionaries(st.sampled_from("abc"), st.text(string.ascii_letters + " '$", max_size=9)))
def test_values_of_a_cmd_script_come_from_its_environment(values):
    assert values_in(arrived("echo %OK_A%\nver", values, "cmd")) == values


@given(st.binary())
def test_any_bytes_are_read_without_an_exception(script):
    is_whole(script)
    assert isinstance(values_in(script), dict)
    assert SHELL.verdict(script, Answer(0)).exit_code == 0


def test_a_mapping_comes_back_as_the_json_it_would_be_elsewhere():
    values = {"m": {"a b": [1, {"c": None}], "d": True}}
    assert values_in(arrived("'x'", values))["m"] == as_text("m", values["m"])


@pytest.mark.parametrize("language", ["powershell", "cmd"])
@pytest.mark.parametrize("text", ["one", "one\ntwo\n", "  one two  "])
@pytest.mark.parametrize("account", ["login", "system"])
def test_the_step_a_script_belongs_to_is_known_by_its_text(text, language, account):
    script = arrived(text, language=language, account=account)
    assert holds(script, Script((Code("sh", "x"), Code(language, text.replace("\n", "\r\n")))))
    assert not holds(script, Script((Code(language, "other"),)))
    assert not holds(script, Script((Code("sh", text),)))
    assert not holds(script, None)


def test_a_detached_script_is_known_by_what_it_starts():
    command = commands.start("a/b", Code("powershell", "do it"), {"n": "v"}, step="fix", wait_s=3)
    script = base64.b64decode(command.stdin)
    assert is_whole(script)
    assert holds(script, Script((Code("powershell", "do it"),)))
    assert values_in(script) == {"n": "v"}
    assert SHELL.asks_in(script).wait_s == 3


def test_what_is_asked_of_a_detached_script_is_understood():
    def asked(command):
        return SHELL.asks_in(base64.b64decode(command.stdin))

    assert asked(commands.collect("a", step="fix", wait_s=2, limit_s=9)) == Asks(2, 9)
    assert asked(commands.stop("a", step="fix")).stops
    assert asked(commands.collect_rest("a", step="fix")).rest
    assert SHELL.asks_in(b"Get-Date") == Asks()


def test_the_registry_is_answered_as_our_first_command_reads_it():
    line = CHEAP_IDENTITY.line.partition("reg query")
    answer = registry_answer(line[1] + line[2], MYSELF)
    told = parse_registry(Outcome(answer.exit_code, Captured(answer.stdout)))
    assert (told.machine_id, told.boot_id) == (MYSELF.machine_id, MYSELF.boot_id)


def test_a_value_the_registry_does_not_have_is_an_error():
    answer = registry_answer('reg query "HKLM\\SOFTWARE\\X" /v Nothing', MYSELF)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("ERROR: ")


def test_the_probe_is_answered_with_the_same_ids_and_the_uptime():
    script = base64.b64decode(IDENTITY.stdin)
    lines = SHELL.identity(script, MYSELF).stdout.split("\r\n")
    assert lines[:2] == [f"machine-id={MYSELF.machine_id}", f"boot-id={MYSELF.boot_id}"]
    assert lines[2] == "uptime-s=12.50"


def test_every_boot_has_a_higher_number():
    boots = [SHELL.boot_id(1, "acme/a", number) for number in range(5)]
    assert sorted(set(boots)) == boots


@pytest.mark.parametrize(("code", "said"), [(0, "True\r\n"), (1, "False\r\n")])
def test_a_verdict_is_said_as_powershell_or_cmd_says_it(code, said):
    script = arrived("Test-Path x", part="check")
    assert SHELL.verdict(script, Answer(code)) == Answer(0, stdout=said)
    for text in ("dir", "dir\nver"):
        by_cmd = arrived(text, language="cmd", part="check")
        assert SHELL.verdict(by_cmd, Answer(code)) == Answer(code, how="exit")


def test_what_is_no_verdict_stays_what_it_is():
    assert SHELL.verdict(arrived("x"), Answer(70, stderr="no")) == Answer(70, stderr="no")
