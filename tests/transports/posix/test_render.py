"""Commands for POSIX shells, proven by running them with real shells."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.playbook.model import Code
from outagekit.transports.meaning import parse_result, verdict
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Captured, Command, Failure, Outcome

SHELLS = [shell for shell in ("sh", "bash") if shutil.which(shell)]
HOSTILE = [
    "",
    " ",
    "'",
    "''\\''",
    '"$(touch oops)"',
    "`touch oops`; touch oops",
    "$HOME ${PATH} $((1+1)) !! ~ * ? [a]",
    "line one\nline two\n\n",
    "tab\tcarriage\rbell\x07escape\x1b[2J",
    "} </dev/null\n}\ntouch oops\n{ {",
    "EOF\n<<EOF\n",
    "\\",
    "-n -e",
    "äöü 漢字 🎉 \u202e\u2028",
    "x" * 100_000,
    "'" * 10_000,
]


def command(text: str, language: str = "sh", **values: Any) -> Command:
    return render(Code(language, text), values, step="step", part="script")


def run(made: Command, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command line as sshd does: through a login shell, with the script as its input."""
    return subprocess.run(
        ["/bin/sh", "-c", made.line],
        input=made.stdin if stdin is None else stdin,
        capture_output=True,
        cwd=cwd,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_arrives_as_it_is(shell: str, value: str, tmp_path: Path) -> None:
    ran = run(command('printf %s "$OK_VALUE"', shell, value=value), tmp_path)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.decode() == value
    assert list(tmp_path.glob("oops*")) == []


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=25)
@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@example(value="'\n'")
def test_any_value_arrives_as_it_is(shell: str, value: str) -> None:
    ran = run(command('printf %s "$OK_VALUE"', shell, value=value), Path("/"))
    assert ran.stdout.decode() == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-17, "-17"),
        (10**30, "1" + "0" * 30),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (1e22, "10000000000000000000000"),
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 7, 19, 5, 27, tzinfo=UTC), "2024-07-19T05:27:00Z"),
        (
            datetime(2024, 7, 19, 7, 27, tzinfo=timezone(timedelta(hours=2))),
            "2024-07-19T05:27:00Z",
        ),
        ([1, "a b", None, {"k": True}], '[1,"a b",null,{"k":true}]'),
        ({"ü": "'"}, '{"ü":"\'"}'),
        ((), "[]"),
    ],
)
def test_values_are_written_as_scripts_expect_them(value: Any, text: str, tmp_path: Path) -> None:
    assert run(command('printf %s "$OK_V"', v=value), tmp_path).stdout.decode() == text


@pytest.mark.parametrize(
    "value",
    [
        "a\0b",
        "\ud800",
        float("nan"),
        float("inf"),
        object(),
        {1, 2},
        datetime(2024, 7, 19, 5, 27),  # noqa: DTZ001
        {"k": object()},
        [float("nan")],
    ],
)
def test_what_no_shell_can_take_is_refused(value: Any) -> None:
    with pytest.raises(OutagekitError):
        command(":", v=value)


@pytest.mark.parametrize("name", ["a b", "a=b", "", "1a", "a;b", "ü", "a\n"])
def test_a_name_that_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(OutagekitError):
        render(Code("sh", ":"), {name: "x"}, step="step", part="script")


def test_nothing_but_known_words_reaches_the_command_line() -> None:
    for step, part in (("a b", "script"), ("a;b", "script"), ("step", "else"), ("", "check")):
        with pytest.raises(OutagekitError):
            render(Code("sh", ":"), {}, step=step, part=part)
    with pytest.raises(OutagekitError):
        command("Get-Service", "powershell")
    with pytest.raises(OutagekitError):
        command("echo \0")
    made = render(Code("bash", ":"), {}, step="-", part="identity")
    assert made.line == "exec env LC_ALL=C.UTF-8 OK_STEP=- OK_PART=identity bash -s"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_transfer_cut_at_any_byte_runs_nothing(shell: str, tmp_path: Path) -> None:
    text = (
        "touch ran\n"
        "if true; then touch ran; fi\n"
        "cat <<END\ntouch ran\nEND\n"
        "f() { touch ran; }\nf # comment\n"
        "( touch ran )\n"
        "touch ran"
    )
    script = command(text, shell, value="it's; touch ran\n}").stdin
    # Every byte of the two ends, where a shell might find something whole, and some between.
    middle = range(60, len(script) - 60, 7)
    for cut in (*range(60), *middle, *range(len(script) - 60, len(script))):
        subprocess.run(
            [shell, "-s"], input=script[:cut], capture_output=True, cwd=tmp_path, check=False
        )
        assert not (tmp_path / "ran").exists(), script[:cut]
    ran = subprocess.run([shell, "-s"], input=script, capture_output=True, cwd=tmp_path, check=True)
    assert (ran.stdout, ran.stderr) == (b"touch ran\n", b"")
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_children_cannot_eat_the_script(shell: str, tmp_path: Path) -> None:
    ran = run(command("echo one\ncat\nread -r line || :\necho two", shell), tmp_path)
    assert (ran.returncode, ran.stdout) == (0, b"one\ntwo\n")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("text", "code", "out"),
    [
        ("echo one; false; echo two", 1, b"one\n"),
        ("echo $OK_NOT_GIVEN; echo two", None, b""),
        ("exit 42", 42, b""),
        ("echo last # comment", 0, b"last\n"),
        ("#!/bin/sh\r\necho windows\r\n", 0, b"windows\n"),
        ("if true; then echo unclosed", None, b""),
    ],
)
def test_errors_end_a_script(
    shell: str, text: str, code: int | None, out: bytes, tmp_path: Path
) -> None:
    ran = run(command(text, shell), tmp_path)
    assert ran.stdout == out
    assert ran.returncode == code if code is not None else ran.returncode != 0


def test_no_translation_is_left_on_from_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LANGUAGE wins over LC_ALL, and scripts read what tools say."""
    monkeypatch.setenv("LANGUAGE", "de")
    ran = run(command("sh -c 'echo \"[${LANGUAGE-}]\"'"), tmp_path)
    assert ran.stdout == b"[]\n"


def test_a_script_sees_its_facts(tmp_path: Path) -> None:
    ran = run(command('echo "$OK_STEP $OK_PART $LC_ALL"'), tmp_path)
    assert ran.stdout == b"step script C.UTF-8\n"


def outcome(code: int | None, text: str = "", failure: Failure | None = None) -> Outcome:
    return Outcome(code, Captured(text), failure=failure)


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [
        (0, "", True),
        (0, "fine\n", True),
        (0, "true\n", True),
        (0, "FALSE\n\n \n", False),
        (0, "false\nreally\n", True),
        (0, " False \r\n", False),
        (1, "true", False),
        (2, "true", None),
        (126, "", None),
        (255, "false", None),
        (None, "", None),
    ],
)
def test_the_verdict_of_a_check(code: int | None, text: str, said: bool | None) -> None:
    assert verdict(outcome(code, text)) is said


def test_a_failure_is_no_verdict() -> None:
    assert verdict(outcome(None, "", Failure(FailureKind.LOST, "gone", sent=True))) is None


class TestResults:
    declared = {"impacted": "bool", "newest": "datetime", "count": "int"}  # noqa: RUF012

    def test_the_last_line_is_the_result(self) -> None:
        line = json.dumps({"impacted": True, "newest": "2024-07-19T06:09:00+02:00", "count": 3})
        assert parse_result(f"noise\n{line}\n\n", self.declared) == {
            "impacted": True,
            "newest": "2024-07-19T04:09:00Z",
            "count": 3,
        }

    def test_fields_nobody_declared_are_dropped(self) -> None:
        assert parse_result('{"a": 1, "b": 2}', {"a": "int"}) == {"a": 1}

    @pytest.mark.parametrize(
        ("kind", "value", "good"),
        [
            ("text", '"x"', True),
            ("text", "1", False),
            ("text", "null", False),
            ("text", '"\\ud800"', False),
            ("text", '"a\u2028b"', True),
            ("bool", "true", True),
            ("bool", "1", False),
            ("bool", '"true"', False),
            ("int", "1", True),
            ("int", "1.0", False),
            ("int", "true", False),
            ("number", "1.5", True),
            ("number", "2", True),
            ("number", "false", False),
            ("number", "1e999", False),
            ("datetime", '"2024-07-19T04:09:00Z"', True),
            ("datetime", '"2024-07-19T04:09:00"', False),
            ("datetime", '"0001-01-01T00:00:00+14:00"', False),
            ("datetime", '"yesterday"', False),
            ("datetime", "1721361600", False),
            ("list", "[1, []]", True),
            ("list", "{}", False),
            ("list", "[1e999]", False),
        ],
    )
    def test_types_are_judged_strictly(self, kind: Any, value: str, good: bool) -> None:
        found = parse_result(f'{{"field": {value}}}', {"field": kind})
        assert isinstance(found, dict) is good, found
        if not good:
            assert "'field'" in found

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n\n",
            "[1]",
            "nope",
            '{"a": NaN}',
            "{" * 5000,
            "[" * 60_000,
            "1" * 70_000,
            '{"a": 1',
        ],
    )
    def test_what_is_no_result_gives_a_reason(self, text: str) -> None:
        found = parse_result(text, {"a": "int"})
        assert isinstance(found, str)
        assert len(found) < 200
        assert found.isprintable()

    @given(text=st.text())
    def test_any_text_gives_a_result_or_a_reason(self, text: str) -> None:
        assert isinstance(parse_result(text, {"a": "int"}), dict | str)
