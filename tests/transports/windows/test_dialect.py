"""Which words are said to which system."""

from __future__ import annotations

import pytest

from outagekit.playbook.model import Code
from outagekit.transports.dialects import dialect_of
from outagekit.transports.posix.dialect import PosixDialect
from outagekit.transports.windows.dialect import WindowsDialect
from outagekit.transports.windows.render import sent_in


def test_windows_is_spoken_to_in_its_own_way() -> None:
    assert isinstance(dialect_of("windows"), WindowsDialect)
    assert isinstance(dialect_of("linux"), PosixDialect)
    assert isinstance(dialect_of("macos"), PosixDialect)


def test_nothing_is_the_cheapest_command() -> None:
    dialect = dialect_of("windows")
    made = dialect.render(dialect.nothing, {}, step="fix", part="probe")
    assert not made.framed
    assert made.stdin == b""


def test_a_restart_is_rendered_like_any_code() -> None:
    dialect = dialect_of("windows")
    made = dialect.render(dialect.restart, {}, step="restart", part="script")
    assert made.framed


@pytest.mark.parametrize("code", [Code("powershell", "Get-Date"), Code("cmd", "ver")])
def test_as_system_a_script_is_carried_inside_of_another(code: Code) -> None:
    dialect = dialect_of("windows")
    made = dialect.render(code, {"name": "it's"}, step="fix", part="script", account="system")
    assert made.framed
    assert made.account == "system"
    sent = sent_in(made.stdin)
    assert sent is not None
    assert sent.kind == "plain"
    assert sent.prelude == ""
    assert "Get-Date" not in sent.text
    assert "OKTold" in sent.text


@pytest.mark.parametrize(("text", "kind"), [("Test-Path C:\\x", "plain"), ("exit 1", "exit")])
def test_a_look_after_an_earlier_try_runs_as_its_own_text_would(text: str, kind: str) -> None:
    dialect = dialect_of("windows")
    code = dialect.after_earlier(Code("powershell", text), "fix", 60)
    sent = sent_in(dialect.render(code, {}, step="fix", part="probe").stdin)
    assert sent is not None
    assert sent.text.endswith(text)
    assert sent.kind == kind
