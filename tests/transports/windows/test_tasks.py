"""Tasks of Windows: scripts as SYSTEM, as text."""

from __future__ import annotations

import re

import pytest

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.transports.protocol import Command
from outagekit.transports.windows import tasks
from outagekit.transports.windows.dialect import WindowsDialect
from outagekit.transports.windows.quoting import quoted
from outagekit.transports.windows.render import render, sent_in

CODE = Code("powershell", "'done'\nexit 3010\n")
VALUES = {"text": "it's \u2019"}


def wrapped(code=CODE, **facts):
    inner = render(code, VALUES, step="mend", part="script", account="system")
    return inner, tasks.as_system(inner, step="mend", part="script", **facts)


def test_the_script_runs_as_it_would_by_itself():
    inner, text = wrapped()

    assert tasks.begun_in(text) == inner.stdin
    assert f"$okLine = {quoted(inner.line)}" in text
    assert "$okAs = 'system'" in text


def test_a_line_for_cmd_is_given_a_frame():
    inner, text = wrapped(Code("cmd", "dism /online /cleanup-image /restorehealth"))

    assert inner.framed
    assert sent_in(tasks.begun_in(text)).kind == "cmd"


def test_the_dialect_frames_it_for_the_account_that_logs_in():
    command = WindowsDialect().render(CODE, VALUES, step="mend", part="script", account="system")

    sent = sent_in(command.stdin)
    assert command.framed
    assert sent.kind == "plain"
    assert sent_in(tasks.begun_in(sent.text)).text == CODE.text


def test_how_the_script_ended_is_told_as_the_end_of_the_command():
    _, text = wrapped()
    assert text.rstrip().endswith("$global:OKTold = $okTold")
    assert text.index(".Kill() }\n$global:OKTold") > text.index("Clear-OkFolder\n# Nobody")


def test_its_runner_watches_over_the_process_that_waits_for_it():
    _, text = wrapped()
    assert "`$okWatch = $PID" in text
    assert text.index("`$okWatch = $PID") < text.index("  Start-OkScript\n} catch")


def test_every_script_has_a_folder_and_a_nonce_of_its_own():
    kept = re.compile(r"^\$ok(?:Name|Nonce) = '([^']+)'$", re.MULTILINE)
    found = [kept.findall(wrapped()[1]) for _ in range(2)]
    assert len({*found[0], *found[1]}) == 4
    assert all(len(nonce) == 32 for _, nonce in found)


def test_it_ends_when_its_time_is_over():
    _, text = wrapped(limit_s=90)
    assert "$okTaskLimit = [long]690" in text
    assert "$okLimit = [long]90" in text


def test_a_task_needs_neither_mains_nor_a_stored_password_and_is_alone():
    _, text = wrapped()
    for setting in (
        "$settings.DisallowStartIfOnBatteries = $false",
        "$settings.StopIfGoingOnBatteries = $false",
        "$settings.Hidden = $true",
        "$settings.MultipleInstances = 2",
        '$settings.ExecutionTimeLimit = "PT${limit}S"',
        "RegisterTaskDefinition($name, $definition, 2, $user, $null, $logon, $rules)",
    ):
        assert setting in text


def test_only_accounts_of_the_machine_itself_may_change_a_task_or_its_folder():
    _, text = wrapped()
    for sddl in re.findall(r"D:P[^\"']*", text):
        for account in re.findall(r"\(A;[A-Z]*;FA;;;([^)]*)\)", sddl):
            assert account in {"SY", "BA", "$okSid"}
    assert "icacls" not in text


@pytest.mark.parametrize("command", [Command("ver"), Command("powershell", b"x", framed=False)])
def test_a_command_that_cannot_say_how_it_ended_is_refused(command):
    with pytest.raises(OutagekitError, match="names no script"):
        tasks.as_system(command, step="mend", part="script")


def test_text_that_begins_nothing_holds_no_script():
    assert tasks.begun_in("$okScript = 5") == b""


def test_a_task_without_an_end_is_not_ended_by_windows():
    assert tasks.task_limit_s(10**9) == 0
    assert tasks.task_limit_s(60) == 60 + tasks.BACKSTOP_S
