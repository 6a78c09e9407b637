"""The PowerShell around every script: what can be said of it without a Windows machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import tree_sitter
import tree_sitter_powershell

from outagekit.transports.windows.bootstrap import (
    BOOTSTRAP,
    CONSTRAINED_CODE,
    CUT_CODE,
    MOST_CHARACTERS,
    PROGRAM,
    RUNNER,
)
from outagekit.transports.windows.dialect import WindowsDialect
from outagekit.transports.windows.quoting import assignments, environment
from outagekit.transports.windows.render import Sent, framed, sent_in
from outagekit.transports.windows.trailer import Trailer, parse_trailer

NONCE = "5f" * 16
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
IDENTITY_TEXT = (sent_in(WindowsDialect.identity.stdin) or Sent("plain", "", "")).text
VALUES = {
    "text": "it's \u2019; $(x)\n`n",
    "flag": True,
    "nothing": None,
    "number": -1.5e-7,
    "moment": "2024-07-19T05:27:00Z",
    "many": [1, [2], [[3]], {"a": {"b": []}}],
}
TEXTS = {
    "bootstrap": BOOTSTRAP,
    "runner": RUNNER,
    "identity": IDENTITY_TEXT,
    "values": assignments(VALUES),
    "environment": environment({"text": "it's \u2019 $(x)`n"}),
}


def nodes(text: str) -> Iterator[tree_sitter.Node]:
    waiting = [PARSER.parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_of_ours_parses(name: str) -> None:
    faults = [n.start_point for n in nodes(TEXTS[name]) if n.type == "ERROR" or n.is_missing]
    assert TEXTS[name].strip()
    assert faults == []


def test_a_text_that_does_not_parse_would_be_found() -> None:
    assert any(node.type == "ERROR" for node in nodes(RUNNER + "\nif($true{"))


@pytest.mark.parametrize("text", [BOOTSTRAP, RUNNER, PROGRAM, IDENTITY_TEXT])
def test_what_is_always_sent_is_ascii(text: str) -> None:
    assert text.isascii()
    assert "\r" not in text
    assert "\0" not in text


def test_the_longest_command_line_fits_into_cmd() -> None:
    made = framed(
        Sent("plain", "", ""), step="s" * 120, part="identity", facts={"DETACHED": "d" * 60}
    )
    assert len(made.line) <= MOST_CHARACTERS - 1000
    assert made.line.endswith(PROGRAM)


@pytest.mark.parametrize("text", [BOOTSTRAP, RUNNER, IDENTITY_TEXT])
@pytest.mark.parametrize(
    "newer",
    [
        r"ConvertTo-Json|ConvertFrom-Json",
        r"Get-Cim|Get-WmiObject",  # the one is newer than 2.0, the other hangs on sick machines
        r"\s-(?:in|notin|shl|shr)\s",
        r"\[ordered\]|\[pscustomobject\]",
        r"::new\(",
        r"\$PSScriptRoot|\$PSCommandPath|\$PSItem",
        r"-Raw\b|\.ForEach\(|\.Where\(",
        r"\?\?|\?\.",
        r"#",  # comments cost, and one on the last line would swallow what comes after it
    ],
)
def test_nothing_newer_than_powershell_2_is_used(text: str, newer: str) -> None:
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert re.search(newer, code, re.IGNORECASE) is None


def test_standard_input_is_named_outside_of_every_block() -> None:
    found = [n for n in nodes(BOOTSTRAP) if n.type == "variable" and n.text == b"$input"]
    assert len(found) == 1
    above = found[0].parent
    while above is not None:
        assert above.type not in {"script_block", "script_block_expression", "function_statement"}
        above = above.parent


def test_a_constrained_language_is_seen_before_anything_it_forbids() -> None:
    ends = BOOTSTRAP.index(f"exit {CONSTRAINED_CODE}")
    allowed = BOOTSTRAP[:ends]
    assert "LanguageMode" in allowed
    assert re.findall(r"\[([A-Za-z.]+)\]", allowed) == ["string", "string"]
    assert "::" not in allowed
    assert "New-Object" not in allowed
    assert BOOTSTRAP.index("[Convert]") > ends


def test_a_cut_script_ends_before_anything_of_it_is_run() -> None:
    assert BOOTSTRAP.index(f"exit {CUT_CODE}") < BOOTSTRAP.index("[ScriptBlock]::Create")
    assert BOOTSTRAP.count("[ScriptBlock]::Create") == 1


def test_every_word_of_ours_is_told_from_a_scripts_own() -> None:
    allowed = {
        *("input", "null", "_", "true", "false"),
        *("executioncontext.sessionstate.languagemode", "psversiontable.psversion"),
        *("progresspreference", "erroractionpreference", "outputencoding", "global:lastexitcode"),
        *("env:outagekit_file", "env:comspec", "env:systemroot", "host.ui.rawui.buffersize"),
    }
    local = {
        *("how", "code", "rc", "s", "far", "turns", "near", "native", "boot", "line", "bytes"),
        *("out", "record", "said", "info", "fault", "text", "extension", "mark", "name", "path"),
        *("why", "folder"),
    }
    words = {w.lower() for w in re.findall(r"\$([A-Za-z_][\w:]*)", BOOTSTRAP + RUNNER)}
    known = {word.split(".")[0] for word in allowed} | local
    assert {w for w in words if not w.startswith(("ok_", "global:ok")) and w not in known} == set()


def concatenated(text: str, **variables: str) -> str:
    """Work out a PowerShell expression that puts texts and variables together."""
    made = ""
    for found in re.finditer(r"'([^']*)'|\"`n\"|\$([A-Za-z_.]+)", text):
        if found[1] is not None:
            made += found[1]
        else:
            made += variables[found[2].replace(".", "_").lower()] if found[2] else "\n"
    return made


def expression(text: str) -> str:
    begin = text.index('"`n"+$ok_nonce')
    return text[begin : text.index("\"}'", begin) + 3]


COMMON = {"ok_nonce": NONCE, "ok_mode": "FullLanguage", "psversiontable_psversion": "5.1.19041.1"}


@pytest.mark.parametrize(("how", "code"), [("constrained", CONSTRAINED_CODE), ("cut", CUT_CODE)])
def test_a_refusal_is_read_as_nothing_run(how: str, code: int) -> None:
    said = concatenated(expression(BOOTSTRAP), **COMMON, how=how, code=str(code))
    assert said.startswith(f"\n{NONCE} ")
    trailer = parse_trailer(said.encode("ascii"), NONCE)
    assert trailer is not None
    assert (trailer.rc, trailer.told) == (code, None)
    assert trailer.failure is not None
    assert trailer.failure.sent is False


@pytest.mark.parametrize(
    ("how", "rc", "native"),
    [("end", "0", "0"), ("exit", "-1073741510", "3"), ("error", "1", "null")],
)
def test_what_the_runner_says_last_is_read(how: str, rc: str, native: str) -> None:
    boot = "2026-11-20T03:04:05Z"
    words = {**COMMON, "how": how, "rc": rc, "native": native, "boot": boot}
    trailer = parse_trailer(concatenated(expression(RUNNER), **words).encode("ascii"), NONCE)
    assert isinstance(trailer, Trailer)
    assert trailer.told is not None
    assert trailer.rc == int(rc)
    assert trailer.told.how == how
    assert trailer.told.native_code == (None if native == "null" else int(native))
    assert trailer.told.version == "5.1.19041.1"
    assert trailer.told.language_mode == "FullLanguage"
    assert trailer.told.boot_time == boot


def test_the_exit_of_a_block_leaves_its_code_to_the_process() -> None:
    words = {**COMMON, "how": "exit", "rc": "null", "native": "0", "boot": ""}
    trailer = parse_trailer(concatenated(expression(RUNNER), **words).encode("ascii"), NONCE)
    assert trailer is not None
    assert trailer.rc is None
    assert trailer.told is not None
    assert trailer.told.how == "exit"


def test_a_script_file_is_removed_however_it_ended() -> None:
    finally_block = RUNNER[RUNNER.index("}finally{") :]
    assert "[IO.File]::Delete($ok_file)" in finally_block[: finally_block.index("$ok_how='end'")]


def test_a_refusal_is_not_broken_where_the_console_is_narrow() -> None:
    """PowerShell 2.0 breaks what goes to the console by itself; a broken line is no trailer."""
    assert f"[Console]::Out.WriteLine((Get-OkRefusal 'cut' {CUT_CODE}))" in BOOTSTRAP


def test_a_long_line_of_output_is_not_broken_by_powershell_2() -> None:
    before = RUNNER.index("if($PSVersionTable.PSVersion.Major -lt 3){& $ok_run|Out-OkText|")
    assert RUNNER.index("filter Out-OkText{if($_ -is [string]){[Console]::Out.") < before
    assert "else{& $ok_run|Out-Default}" in RUNNER[before:]


def test_what_could_not_be_written_whole_is_removed_and_another_folder_tried() -> None:
    save = RUNNER[RUNNER.index("function Save-OkScript") : RUNNER.index("filter Out-OkText")]
    assert save.index("GetTempPath()") < save.index("$env:SystemRoot+'\\Temp'")
    failed = save[save.index("}catch{") :]
    assert failed.index("[IO.File]::Delete($path)") < failed.index("throw $why")
