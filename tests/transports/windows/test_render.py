"""Commands for Windows: what cmd.exe is given, and what PowerShell reads."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.transports.protocol import Command
from outagekit.transports.windows.bootstrap import MOST_CHARACTERS, PROGRAM, RUNNER
from outagekit.transports.windows.render import (
    Sent,
    framed,
    input_of,
    may_exit,
    render,
    sent_as,
    sent_in,
)

SET = 'set "OK_STEP=fix"&set "OK_PART=script"&'
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def command(text: str, language: str = "powershell", **values: Any) -> Command:
    return render(Code(language, text), values, step="fix", part="script")


def sent(made: Command) -> Sent:
    found = sent_in(made.stdin)
    assert found is not None
    return found


def as_powershell_reads(stdin: bytes) -> list[str]:
    """Do what the bootstrap does with the lines after the nonce."""
    text = base64.b64decode("".join(stdin.decode("ascii").split("\n"))).decode()
    parts = text.split("\0")
    units = len(text.encode("utf-16-le")) // 2
    assert len(parts) == 5
    assert parts[4] == str(units - len(parts[4]))
    return parts


def test_step_and_part_come_before_powershell() -> None:
    made = command("Get-Date")
    assert made.line == SET + PROGRAM
    assert made.framed
    assert len(made.line) <= MOST_CHARACTERS


def test_a_script_arrives_as_it_is_with_its_values_apart() -> None:
    text = "$OK.name\n'äöü 漢字 🎉'\n# last"
    parts = as_powershell_reads(command(text, name="it's").stdin)
    assert parts[:2] == [RUNNER, "plain"]
    assert parts[2] == "$global:OK=@{}\n$global:OK['name']='it''s'"
    assert parts[3] == text


def test_nothing_of_script_or_values_stands_on_the_command_line() -> None:
    assert command("'a secret'", x="b secret").line == command("Get-Date").line


def test_the_same_arguments_give_the_same_command() -> None:
    assert command("Get-Date", a=[1, {"b": None}]) == command("Get-Date", a=[1, {"b": None}])


@given(TEXTS, TEXTS)
def test_what_is_sent_is_what_is_read(text: str, prelude: str) -> None:
    stdin = input_of(Sent("plain", prelude, text))
    assert sent_in(stdin) == Sent("plain", prelude, text)
    assert as_powershell_reads(stdin)[2:4] == [prelude, text]


def test_input_that_was_cut_anywhere_is_not_whole() -> None:
    stdin = input_of(Sent("plain", "", "Remove-Item x # 🎉" * 20))
    assert sent_in(stdin) is not None
    bare = stdin.strip()
    assert [cut for cut in range(len(bare)) if sent_in(bare[:cut]) is not None] == []


def test_input_with_a_piece_twice_or_missing_is_not_whole() -> None:
    lines = input_of(Sent("plain", "", "Get-Date\n" * 5000)).split(b"\n")
    assert len(lines) > 5
    assert max(map(len, lines)) <= 4096
    assert sent_in(b"\n".join([*lines[:2], *lines[1:]])) is None
    assert sent_in(b"\n".join([*lines[:1], *lines[2:]])) is None


@pytest.mark.parametrize("data", [b"", b"x", b"\xff", base64.b64encode(b"\xff\xfe"), b"AAAA"])
def test_what_is_no_input_is_none(data: bytes) -> None:
    assert sent_in(data) is None


def test_a_number_in_other_digits_does_not_make_it_whole() -> None:
    assert sent_as("r\0plain\0p\0t\0") is None
    assert sent_as("r\0plain\0p\0t\x00012") is None
    assert sent_as("r\0other\0p\0t\x0012") is None
    assert sent_as("r\0plain\0p\0t\x0012") == Sent("plain", "p", "t")


def test_a_large_script_is_sent_whole() -> None:
    text = "# padding\n" * 15_000
    assert sent(command(text)).text == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("exit 3", "exit"),
        ("if ($x) { EXIT }", "exit"),
        ("[Environment]::Exit(2)", "exit"),
        ("$LASTEXITCODE", "plain"),
        ("$p.ExitCode -eq 0; $exited", "plain"),
    ],
)
def test_a_script_that_may_exit_is_run_as_a_file(text: str, kind: str) -> None:
    assert sent(command(text)).kind == kind
    assert may_exit(command(text)) is (kind == "exit")


def test_only_powershell_may_exit_unheard() -> None:
    assert not may_exit(command("exit 3", "cmd"))
    assert not may_exit(command("echo a\nexit 3", "cmd"))
    assert not may_exit(Command("powershell", framed=True))


@pytest.mark.parametrize(
    "text", ["ipconfig /flushdns", "  net stop spooler & net start spooler\n", "exit 3", "ver>nul"]
)
def test_a_line_for_cmd_is_the_command_itself(text: str) -> None:
    made = command(text, "cmd", unused="a|b")
    assert made == Command(SET + text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "echo %OK_NAME%",
        "for %%i in (1 2) do echo %%i",
        "set OK_X",
        "echo one\necho two",
        "goto :eof",
        "call :label",
        "setlocal enabledelayedexpansion",
        ":label",
        "echo a ^",
        "echo \x1b[2J",
        "echo " + "x" * 8100,
        "",
    ],
)
def test_anything_else_for_cmd_is_a_file(text: str) -> None:
    made = command(text, "cmd", name="value")
    assert made.line == SET + PROGRAM
    assert sent(made).kind == "cmd"
    assert "SetEnvironmentVariable('OK_NAME','value','Process')" in sent(made).prelude


def test_a_file_for_cmd_has_its_line_ends() -> None:
    text = sent(command("echo one\r\necho two\n", "cmd")).text
    assert text == "@echo off\r\n@chcp 65001 >nul\r\necho one\r\necho two\r\n\r\n"
    assert "\n" not in text.replace("\r\n", "")


def test_a_value_that_cmd_could_obey_is_refused_where_it_would_be_used() -> None:
    with pytest.raises(OutagekitError, match="could obey"):
        command("echo %OK_X%", "cmd", x="& del *")
    assert command("echo hello", "cmd", x="& del *").line.endswith("echo hello")


def test_line_ends_of_a_file_from_windows_are_one_character() -> None:
    assert sent(command("a\r\nb\r\n")).text == "a\nb\n"


def test_as_system_cmd_is_framed_as_well() -> None:
    made = render(Code("cmd", "ver"), {}, step="fix", part="script", account="system")
    assert made.framed
    assert made.account == "system"
    assert sent(made).kind == "cmd"


def test_facts_become_environment_variables() -> None:
    made = framed(Sent("plain", "", ""), step="fix", part="collect", facts={"DETACHED": "a-1.b"})
    assert made.line.startswith('set "OK_STEP=fix"&set "OK_PART=collect"&set "OK_DETACHED=a-1.b"&')


@pytest.mark.parametrize("value", ['"&calc', "%PATH%", "a b", "^", ""])
def test_a_fact_that_cmd_could_obey_is_refused(value: str) -> None:
    with pytest.raises(OutagekitError, match="cannot be the fact"):
        framed(Sent("plain", "", ""), step="fix", part="collect", facts={"DETACHED": value})


@pytest.mark.parametrize("language", ["sh", "bash", "python"])
def test_another_language_is_refused(language: str) -> None:
    with pytest.raises(OutagekitError, match=f"{language} does not run"):
        command("true", language)


def test_there_is_no_root() -> None:
    with pytest.raises(OutagekitError, match="there is no root on Windows"):
        render(Code("powershell", "1"), {}, step="fix", part="script", account="root")


@pytest.mark.parametrize(
    ("step", "part"),
    [('x"&calc', "script"), ("X", "script"), ("", "script"), ("fix", "other"), ("a\nb", "script")],
)
def test_what_names_no_command_is_refused(step: str, part: str) -> None:
    with pytest.raises(OutagekitError, match="name no command"):
        render(Code("powershell", "1"), {}, step=step, part=part)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_no_program_can_be_given_is_refused(text: str) -> None:
    for language in ("powershell", "cmd"):
        with pytest.raises(OutagekitError, match="the script holds"):
            command(text, language)


def test_a_moment_reaches_the_script_in_utc() -> None:
    made = command("1", good_from=datetime(2024, 7, 19, 5, 27, tzinfo=UTC))
    assert re.search(r"\['good_from'\]=\[DateTime\]::SpecifyKind\(", sent(made).prelude)
