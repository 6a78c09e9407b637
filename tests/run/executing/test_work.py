"""What the end of a command means for its order, and how it is told."""

from __future__ import annotations

import pytest

from outagekit.events import FailureKind
from outagekit.run.executing.work import exit_text, unsuccessful
from outagekit.transports.protocol import Captured, Outcome


@pytest.mark.parametrize(
    ("code", "success"),
    [
        (0, (0,)),
        (3010, (0, 3010)),
        (-1, (4294967295,)),
        (4294967295, (0, -1)),
        (-1073741510, (0xC000013A,)),
    ],
)
def test_a_code_that_means_success_is_none_to_complain_of_whatever_its_sign(code, success):
    assert unsuccessful(Outcome(exit_code=code), success) is None


@pytest.mark.parametrize(
    ("code", "success"), [(3010, (0,)), (1, (0, -1)), (0, (3010,)), (None, (0,))]
)
def test_any_other_code_fails(code, success):
    end = unsuccessful(Outcome(exit_code=code), success)
    assert end is not None
    assert end.failure == FailureKind.EXIT_CODE


def test_of_a_0_that_is_no_success_it_is_said_that_it_is_none():
    end = unsuccessful(Outcome(exit_code=0), (3010,))
    assert end is not None
    assert end.detail == "exit code 0 (no success of this step)"


def test_a_code_of_installers_is_told_with_its_meaning():
    said = Captured(text="Restart me\r\n")
    assert exit_text(Outcome(exit_code=3010, stdout=said)) == (
        "exit code 3010 (done, and a restart is needed): Restart me"
    )
    assert exit_text(Outcome(exit_code=4, stdout=said)) == "exit code 4: Restart me"
