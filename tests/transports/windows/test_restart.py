"""How Windows is told to restart, as text."""

from __future__ import annotations

import re

from outagekit.transports.windows.render import render, sent_in
from outagekit.transports.windows.restart import RESTART


def test_it_answers_before_the_machine_goes():
    assert "/r /t 5 /f /d p:4:1 /c outagekit 2>&1" in RESTART.text
    assert "'restarts in 5 s'" in RESTART.text


def test_another_shutdown_is_replaced_and_one_that_runs_is_enough():
    codes = re.findall(r"-eq (\d+)\)", RESTART.text)
    assert codes == ["1190", "0", "1115", "5"]
    scheduled = RESTART.text.index("-eq 1190")
    assert scheduled < RESTART.text.index("$tool /a") < RESTART.text.index("-eq 0")


def test_what_is_denied_fails():
    after = RESTART.text[RESTART.text.index("-eq 5)") :]
    assert after.index("exit 5") < after.index("exit 1") < after.index("exit 0")


def test_powershell_never_sees_the_stream_that_would_end_it():
    assert RESTART.text.count("2>&1") == RESTART.text.count('2>&1"') == 2


def test_it_can_be_sent():
    assert sent_in(render(RESTART, {}, step="again", part="script").stdin).text == RESTART.text
