"""What the end of a command means, where Windows told how it ended and where it did not."""

from __future__ import annotations

from typing import Literal

import pytest

from outagekit.events import FailureKind
from outagekit.transports.meaning import named_code, verdict
from outagekit.transports.protocol import Captured, Failure, Outcome, Told


def outcome(
    how: Literal["end", "exit", "error"] | None, code: int | None, stdout: str = ""
) -> Outcome:
    return Outcome(code, Captured(stdout), told=None if how is None else Told(how))


@pytest.mark.parametrize(
    ("how", "code", "stdout", "said"),
    [
        ("end", 0, "True\r\n", True),
        ("end", 0, "some service\r\nFalse\r\n\r\n", False),
        ("end", 1, "True\r\n", True),
        ("end", 0, "", None),
        ("end", 0, "Running\r\n", None),
        ("end", 0, "1\r\n", None),
        ("error", 1, "True\r\n", None),
        ("error", 1, "", None),
        ("exit", 0, "", True),
        ("exit", 0, "whatever\r\n", True),
        ("exit", 0, "False\r\n", False),
        ("exit", 1, "True\r\n", False),
        ("exit", 3010, "True\r\n", None),
        (None, 0, "", True),
        (None, 0, "false\r\n", False),
        (None, 1, "", False),
        (None, 2, "", None),
    ],
)
def test_a_verdict_is_the_last_output_unless_the_script_exits(
    how: Literal["end", "exit", "error"] | None, code: int, stdout: str, said: bool | None
) -> None:
    assert verdict(outcome(how, code, stdout)) is said


def test_a_failure_gives_no_verdict_whatever_was_printed() -> None:
    lost = Failure(FailureKind.LOST, "gone", sent=True)
    assert verdict(Outcome(None, Captured("True\n"), failure=lost)) is None


def test_the_codes_of_installers_have_words_and_no_other_code_has() -> None:
    assert "restart is needed" in named_code(3010)
    assert "restart has begun" in named_code(1641)
    assert "another installation" in named_code(1618)
    assert [named_code(code) for code in (None, 0, 1, -1, 3011)] == [""] * 5


@pytest.mark.parametrize(
    ("how", "code", "said"), [("end", 0, None), ("exit", 0, None), ("exit", 1, False)]
)
def test_what_may_be_missing_is_not_taken_for_a_verdict(
    how: Literal["end", "exit"], code: int, said: bool | None
) -> None:
    lost = Outcome(code, Captured("True\r\n"), told=Told(how), missing=True)
    assert verdict(lost) is said
    assert verdict(Outcome(code, Captured(""), missing=True)) is (False if code else None)
