"""Having a Windows endpoint parse PowerShell: what is sent, and what is understood."""

from __future__ import annotations

import base64
import json
import re

import pytest

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.testing.transport import said
from outagekit.transports.protocol import Failure, Outcome
from outagekit.transports.windows.parsing import ParseProblem, parse_command, parse_problems
from outagekit.transports.windows.render import sent_in

END = '{"parsed":%d,"version":"5.1.17763.1"}'


@pytest.mark.parametrize("text", ["", "exit 5", "'@'\n$(x)\n\u2019 '", "x" * 100_000])
def test_the_text_arrives_as_data_and_is_run_by_nothing(text):
    sent = sent_in(parse_command(Code("powershell", text)).stdin)

    assert sent.kind == "plain"
    data = re.match(r"\$data = '([A-Za-z0-9+/=\n]*)'\n", sent.text)
    assert base64.b64decode(data[1]).decode() == text
    rest = sent.text[data.end() :]
    assert "PSParser]::Tokenize($text, [ref]$faults)" in rest
    assert "ScriptBlock" not in rest
    assert "Invoke" not in rest


@pytest.mark.parametrize("language", ["cmd", "sh", "bash"])
def test_another_language_is_refused(language):
    with pytest.raises(OutagekitError, match="cannot be parsed"):
        parse_command(Code(language, "ver"))


def test_text_that_cannot_be_sent_is_refused():
    with pytest.raises(OutagekitError, match="NUL"):
        parse_command(Code("powershell", "a\0b"))


def test_what_the_parser_found_is_read():
    fault = json.dumps({"line": 3, "column": 7, "message": "missing }\u001b[2J"})

    found = parse_problems(said(f"{fault}\n{END % 1}\n"))

    assert found is not None
    assert (found[0].line, found[0].column) == (3, 7)
    assert "\x1b" not in found[0].message


def test_nothing_found_is_nothing():
    assert parse_problems(said(END % 0)) == ()


def test_more_than_can_be_told_is_still_a_verdict():
    fault = json.dumps({"line": 1, "column": 1, "message": "x"})
    found = parse_problems(said("\n".join([*[fault] * 1000, END % 1001])))
    assert found == (ParseProblem(1, 1, "x"),) * 1000


@pytest.mark.parametrize(
    "outcome",
    [
        said(""),
        said("hello\n[]\n5"),
        said('{"line":1,"column":1,"message":"x"}'),
        said('{"line":"1","column":1,"message":"x"}\n' + END % 1),
        said(END % 2),
        said(END % 0, code=1),
        Outcome(None, failure=Failure("lost", "gone", sent=True)),
    ],
)
def test_an_answer_that_is_not_whole_is_no_verdict(outcome):
    assert parse_problems(outcome) is None
