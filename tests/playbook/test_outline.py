"""What a person reads of a playbook before trusting it."""

from __future__ import annotations

from outagekit.playbook.model import Approve, Code, Manual, Reboot, Script, WaitScript
from outagekit.playbook.outline import outline
from outagekit.testing.builders import plan_of, step


def test_what_people_are_asked_and_a_restart_stand_there_like_every_script():
    steps = (
        step("ask", action=Approve(text="May {{ client }} be\nrestarted? \x1b[2J"), risk="read"),
        step("restart", action=Reboot(within_s=900)),
        step("call", action=Manual(text="Ring them."), risk="read"),
    )
    lines = outline(plan_of(steps).playbook).splitlines()
    at = lines.index("    approve:")
    assert lines[at + 1 : at + 3] == [
        "      | May {{ client }} be",
        "      | restarted? \\x1b[2J",
    ]
    assert "    reboot, back within 15 min" in lines
    at = lines.index("    manual:")
    assert lines[at + 1] == "      | Ring them."


def test_what_is_asked_again_and_again_is_not_shown_as_run_once():
    again = WaitScript(Script((Code("sh", "true"),)), every_s=30)
    lines = outline(plan_of((step("settled", action=again, risk="read"),)).playbook).splitlines()
    assert "    wait until true (sh):" in lines
