"""Detached scripts on Windows: what can be said of the commands for them without a Windows."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import pytest
import tree_sitter
import tree_sitter_powershell
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.transports import detached as answers
from outagekit.transports.protocol import Captured, Command, Outcome
from outagekit.transports.windows import detached, files, parsing, tasks
from outagekit.transports.windows.bootstrap import MOST_CHARACTERS
from outagekit.transports.windows.earlier import after_earlier
from outagekit.transports.windows.render import render, sent_in
from outagekit.transports.windows.restart import RESTART
from outagekit.transports.windows.runner_texts import RUNNER

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
ID = "20261122T081403Z-mend-x7q2:acme/web-01:mend"
CODE = Code("powershell", "'mended'\nexit 3\n")
PATH = "C:\\it's\u2019s\\file.txt"


def text_of(command: Command) -> str:
    sent = sent_in(command.stdin)
    assert sent is not None
    assert sent.kind == "plain"
    return sent.text


def as_system() -> str:
    command = render(CODE, {}, step="mend", part="script", account="system")
    return tasks.as_system(command, step="mend", part="script")


TEXTS = {
    "start": text_of(detached.start(ID, CODE, {"text": "it's"}, step="mend", limit_s=60)),
    "collect": text_of(detached.collect(ID, step="mend")),
    "rest": text_of(detached.collect_rest(ID, step="mend")),
    "stop": text_of(detached.stop(ID, step="mend")),
    "release": text_of(detached.release(ID, step="mend")),
    "runner": tasks.RUNNING,
    "as system": as_system(),
    "earlier": after_earlier(Code("powershell", "Test-Path C:\\a"), "mend", 5).text,
    "restart": RESTART.text,
    "put": text_of(files.put_command(PATH, 3, "0" * 64)),
    "stat": text_of(files.stat_command(PATH, digest=True)),
    "chunk": text_of(files.chunk_command(PATH, 0)),
    "parsing": text_of(parsing.parse_command(CODE)),
}


def faults(text: str) -> list[tuple[int, int]]:
    return [tuple(n.start_point) for n in nodes(text) if n.type == "ERROR" or n.is_missing]


def nodes(text: str) -> Iterator[tree_sitter.Node]:
    waiting = [PARSER.parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_parses(name):
    assert faults(TEXTS[name]) == []
    assert faults(TEXTS[name] + "\nif ($true {") != []


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize(
    "newer",
    [
        r"ConvertTo-Json|ConvertFrom-Json|Get-Cim|ScheduledTask\b",
        r"\s-(?:in|notin|shl|shr)\s",
        r"\[ordered\]|\[pscustomobject\]|\[NullString\]|TickCount64",
        r"::new\(",
        r"\$PSScriptRoot|\$PSCommandPath|\$PSItem",
        r"-Raw\b|\.ForEach\(|\.Where\(",
        r"\?\?|\?\.|&&|\|\|",
    ],
)
def test_nothing_newer_than_powershell_2_is_used(name, newer):
    assert re.search(newer, TEXTS[name], re.IGNORECASE) is None


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {"restart"}))
def test_no_text_but_one_needs_a_file_to_run_from(name):
    code = re.sub(r"'[A-Za-z0-9+/=\n]*'", "''", TEXTS[name])
    assert re.search(r"\bexit\b(?!`)", code.replace("`exit`", ""), re.IGNORECASE) is None


@pytest.mark.parametrize("name", TEXTS)
def test_every_function_that_is_called_is_there(name):
    texts = [TEXTS[name]]
    if name in {"start", "as system"}:
        texts[0] = texts[0].replace(RUNNER.replace("'", "''"), "")
    made = set(re.findall(r"^function ([A-Za-z]+-Ok\w*|Join-Ok)", texts[0], re.MULTILINE))
    called = set(re.findall(r"\b([A-Z][a-z]+-Ok\w*|Join-Ok)\b", texts[0]))
    assert called <= made


def test_a_start_brings_the_script_as_a_command_of_its_own_would():
    values = {"name": "it's \u2019 $(x)", "count": 3}
    command = detached.start(ID, CODE, values, step="mend", wait_s=20, limit_s=60)

    request = detached.request_in(command.stdin)

    assert request is not None
    assert (request.kind, request.wait_s, request.limit_s) == ("start", 20, 60)
    assert request.script == render(CODE, values, step="mend", part="script").stdin


def test_a_line_for_cmd_is_given_a_frame():
    command = detached.start(ID, Code("cmd", "dism /online"), {}, step="mend")

    request = detached.request_in(command.stdin)

    assert request is not None
    assert sent_in(request.script).kind == "cmd"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (detached.collect(ID, step="mend", wait_s=5, limit_s=9), "collect"),
        (detached.collect_rest(ID, step="mend"), "rest"),
        (detached.stop(ID, step="mend"), "stop"),
        (detached.release(ID, step="mend"), "release"),
    ],
)
def test_what_is_asked_for_can_be_read(command, kind):
    request = detached.request_in(command.stdin)

    assert request is not None
    assert request.kind == kind
    assert request.script == b""
    assert f'set "OK_DETACHED={answers.folder_name(ID)}"' in command.line
    assert command.framed
    assert command.account == "login"


@pytest.mark.parametrize("stdin", [b"", b"!", base64.b64encode(b"x"), b"\xff" * 9])
def test_what_is_no_request_is_none(stdin):
    assert detached.request_in(stdin) is None


def test_a_script_of_its_own_is_no_request():
    command = render(CODE, {}, step="mend", part="script")
    assert detached.request_in(command.stdin) is None


def test_every_start_has_a_place_and_a_task_of_its_own():
    one, other = (text_of(detached.start(ID, CODE, {}, step="mend")) for _ in range(2))
    nonces = [re.search(r"^\$okNonce = '([0-9a-f]{32})'$", t, re.MULTILINE) for t in (one, other)]
    assert nonces[0][1] != nonces[1][1]
    for text, nonce in zip((one, other), nonces, strict=True):
        task = f"mend.script.{answers.folder_name(ID)}.{nonce[1]}"
        assert f"$okTask = '{task}'" in text


@pytest.mark.parametrize(("limit_s", "ends"), [(60, 60 + tasks.BACKSTOP_S), (answers.FOREVER_S, 0)])
def test_windows_ends_a_task_after_its_runner_would_have(limit_s, ends):
    text = text_of(detached.start(ID, CODE, {}, step="mend", limit_s=limit_s))
    assert f"$okTaskLimit = [long]{ends}" in text
    assert f"$okLimit = [long]{limit_s}" in text


@pytest.mark.parametrize(("account", "said"), [("login", "'login'"), ("system", "'system'")])
def test_a_task_runs_as_whom_the_step_says(account, said):
    text = text_of(detached.start(ID, CODE, {}, step="mend", account=account))
    assert f"$okAs = {said}" in text


def test_there_is_no_root():
    with pytest.raises(OutagekitError, match="no root on Windows"):
        detached.start(ID, CODE, {}, step="mend", account="root")


@pytest.mark.parametrize("step", ["", "-", "a b", "a&b", 'a"', "A", "a\nb"])
def test_only_a_step_names_a_command(step):
    with pytest.raises(OutagekitError, match="names no"):
        detached.collect(ID, step=step)
    with pytest.raises(OutagekitError, match="name"):
        detached.start(ID, CODE, {}, step=step)


@given(st.text())
def test_an_id_is_never_part_of_a_text(detach):
    text = text_of(detached.collect(detach, step="mend"))
    name = answers.folder_name(detach)
    assert re.fullmatch(r"[a-z0-9._-]+", name)
    assert f"$okName = '{name}'\n" in text


def test_the_line_a_runner_calls_fits_into_cmd():
    step = "s" * 100
    command = detached.start("i" * 200, CODE, {}, step=step)
    line = re.search(r"^\$okLine = '(.*)'$", text_of(command), re.MULTILINE)
    longest_path = 260
    assert len(line[1]) + 3 * longest_path + 100 < MOST_CHARACTERS


def test_an_exit_code_may_be_negative():
    said = "outagekit-detached ended code=-1073741510 age=3 out=2 err=0\nhi"
    answer = answers.parse_answer(Outcome(0, Captured(said, len(said))))
    assert answer is not None
    assert answer.code == -1073741510
    assert answer.stdout.text == "hi"


def test_begun_is_made_by_the_runner_alone_and_in_one_step():
    makers = [name for name, text in TEXTS.items() if "$claim, $okBegun)" in text]
    assert makers == ["start", "runner", "as system"]
    assert RUNNER.index("Get-OkGate\n  if ($null -eq $gate)") < RUNNER.index("$claim, $okBegun)")
    outside = TEXTS["start"].replace(RUNNER.replace("'", "''"), "")
    assert "$claim" not in outside


def test_nothing_is_run_before_begun_is_there():
    tail = RUNNER[RUNNER.index("if (Set-OkBegun) {") :]
    assert tail.index("Set-OkBegun") < tail.index("Start-OkChild")
    assert RUNNER.count("[Diagnostics.Process]::Start(") == 1


def test_a_release_looks_again_once_nothing_can_begin_any_more():
    text = TEXTS["release"]
    tail = text[text.index("\n  Assert-OkOurs\n") :]
    gate = tail.index("[IO.File]::Delete((Join-Ok $okOne 'gate'))")
    assert tail.index("$okIt = Get-OkState") < gate < tail.rindex("$okIt = Get-OkState")
    assert tail.rindex("$okIt = Get-OkState") < tail.index("[IO.Directory]::Delete($okOne, $true)")


def test_a_task_that_does_not_begin_tells_what_windows_says_of_it():
    text = TEXTS["start"]
    assert "(Windows says ' + (Get-OkResult $okTask)" in text
    assert "LastTaskResult" in text
