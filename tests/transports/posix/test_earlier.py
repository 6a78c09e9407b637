"""Waiting for what an earlier try of a step left running, in every shell at hand."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outagekit.playbook.model import Code
from outagekit.testing.transport import said
from outagekit.transports.meaning import still_runs
from outagekit.transports.posix.earlier import after_earlier
from outagekit.transports.posix.render import render

STEP = f"step_{os.getpid()}"
"""Nobody else who runs these tests has it."""
SHELLS = [name for name in ("sh", "dash", "bash", "busybox") if shutil.which(name)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a /proc")


@pytest.fixture(params=SHELLS)
def path(request, tmp_path, monkeypatch):
    """A folder in front of PATH in which `sh` is another shell."""
    found = shutil.which(request.param)
    applet = " sh" if request.param == "busybox" else ""
    (tmp_path / "sh").write_text(f'#!/bin/sh\nexec {found}{applet} "$@"\n')
    (tmp_path / "sh").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def command(text, *, step, part="verify"):
    return render(Code("sh", text), {}, step=step, part=part)


def begin(given, env=None):
    words = shlex.split(given.line.removeprefix("exec "))
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    process.stdin.write(given.stdin.decode())
    process.stdin.close()
    process.stdin = None
    while Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"env"):
        time.sleep(0.005)
    return process


def end(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def look(step, wait_s, env=None, text="echo looked"):
    code = after_earlier(Code("sh", text), step, wait_s)
    process = begin(command(code.text, step=step), env)
    out, err = process.communicate(timeout=20)
    return said(out, code=process.returncode, stderr=err)


def test_it_looks_at_once_where_nothing_runs(path):
    began_s = time.monotonic()
    outcome = look(STEP, 10, path)
    assert (outcome.exit_code, outcome.stdout.text, outcome.stderr.text) == (0, "looked\n", "")
    assert time.monotonic() - began_s < 5
    assert not still_runs(outcome)


def test_the_look_still_runs_as_strictly_as_any_other(path):
    assert look(STEP, 10, path, "false\necho on").exit_code == 1
    assert look(STEP, 10, path, 'echo "$unset"').exit_code != 0


@pytest.mark.parametrize("part", ["script", "undo"])
def test_it_waits_for_the_end_of_an_earlier_try(path, tmp_path, part):
    mark = tmp_path / "mark"
    earlier = begin(command(f"sleep 1\necho x > {mark}", step=STEP, part=part))
    outcome = look(STEP, 10, path, f"cat {mark}")
    assert outcome.stdout.text == "x\n"
    earlier.communicate()


def test_an_earlier_try_that_does_not_end_is_told_and_nothing_is_looked_at(path):
    earlier = begin(command("sleep 20\n:", step=STEP, part="script"))
    outcome = look(STEP, 1, path)
    end(earlier)
    assert still_runs(outcome)
    assert outcome.stdout.text == ""


def test_another_step_and_what_a_script_has_started_is_not_waited_for(path):
    other = begin(command("sleep 20\n:", step=f"{STEP}_more", part="script"))
    checking = begin(command("sleep 20\n:", step=STEP, part="check"))
    env = {**path, "OK_STEP": STEP, "OK_PART": "script"}
    service = subprocess.Popen(["sleep", "20"], env=env, start_new_session=True)
    assert look(STEP, 0, path).exit_code == 0
    for each in (other, checking, service):
        end(each)


def test_an_exit_code_alone_does_not_say_that_something_runs():
    assert not still_runs(said(code=75, stderr="try again later"))
