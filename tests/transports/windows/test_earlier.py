"""Waiting on Windows for what an earlier try of a step left running, as text."""

from __future__ import annotations

import time

import pytest

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.transports.meaning import STILL_RUNS, STILL_RUNS_SAID, still_runs
from outagekit.transports.protocol import Captured, Outcome
from outagekit.transports.windows.earlier import after_earlier
from outagekit.transports.windows.render import render, sent_in


def waiting(text, wait_s=4.2):
    return after_earlier(Code("powershell", text), "mend", wait_s).text


def test_the_code_comes_after_the_wait():
    text = waiting("Test-Path C:\\mended\n")
    assert text.startswith("& {")
    assert text.endswith("\n}\nTest-Path C:\\mended\n")
    assert "-ge 5)" in text


def test_what_is_looked_for_is_what_a_command_line_shows():
    line = render(Code("powershell", "1"), {}, step="mend", part="script").line
    text = waiting("$true")
    assert '"OK_STEP=mend"' in line
    assert "'\"OK_STEP=mend\"'" in text
    assert '"OK_PART=script"' in line
    assert "'\"OK_PART=' + $part + '\"'" in text
    assert "'\\outagekit\\mend.' + $part + '.'" in text


def test_a_wait_in_vain_is_known_as_one():
    text = waiting("$true")
    assert f"rc = {STILL_RUNS};" in text
    assert f"throw '{STILL_RUNS_SAID}'" in text
    said = Captured(f"line 9: {STILL_RUNS_SAID}\n")
    assert still_runs(Outcome(STILL_RUNS, stderr=said))


def test_a_wait_needs_no_file_to_run_from():
    sent = sent_in(render(Code("powershell", waiting("1")), {}, step="mend", part="check").stdin)
    assert sent.kind == "plain"


@pytest.mark.parametrize(
    "text",
    [
        "param($a)\n$a",
        "# why\n\n<# more\n#>\nParam (\n)\n1",
        "[CmdletBinding()]\nparam()\n1",
        "begin { 1 }\nend { 2 }",
        "process{1}",
        "[CmdletBinding(\n  SupportsShouldProcess = $true\n)]\nparam()\n1",
    ],
)
def test_words_that_must_come_first_still_do(text):
    assert waiting(text).endswith(f"& {{\n{text}\n}}\n")


@pytest.mark.parametrize("text", ["$param = 1", "'param('", "parameter (1)", "#param(\n1"])
def test_no_other_text_is_put_into_a_block(text):
    assert waiting(text).endswith(f"\n}}\n{text}")


def test_cmd_cannot_look_and_does_not_wait():
    code = Code("cmd", "ver")
    assert after_earlier(code, "mend", 5) is code


@pytest.mark.parametrize("step", ["", "-", "a b", "a'b", "A"])
def test_only_a_step_can_be_looked_for(step):
    with pytest.raises(OutagekitError, match="names no command"):
        after_earlier(Code("powershell", "1"), step, 5)


@pytest.mark.parametrize(
    ("using", "rest", "wrapped"),
    [
        ("using namespace System.IO\n", "[Path]::PathSeparator", False),
        ("#requires -version 5\nusing module a\n<# and #>\nusing assembly b;", " 'x'", False),
        ("using namespace System.IO\n", "param($a)\n$a", True),
    ],
)
def test_nothing_comes_before_what_a_script_uses(using, rest, wrapped):
    text = waiting(using + rest)
    assert text.startswith(using + "\n& {\n")
    assert text.endswith(f"& {{\n{rest}\n}}\n" if wrapped else f"\n}}\n{rest}")


def test_many_comments_at_the_beginning_are_read_at_once():
    begin = time.perf_counter()
    text = "<# a #>" * 5000 + "# b\n" * 5000 + "[a]" * 5000 + "1"
    assert waiting(text).endswith(text)
    assert time.perf_counter() - begin < 5
