"""A resume asks first what became of attempts: one that still runs is waited for."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind, StepFinished, StepInDoubt, StepPart, StepStarted
from outagekit.run.orders import Finished, Part, Settled, Stream
from outagekit.testing.builders import plan_of, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.runs import Ran, succeed

ATTEMPT = "acme/pos-01:mend:1"


class Killed(BaseException):
    pass


def left(tmp_path, **fields):
    """Return the folder of a run that was killed while its step ran."""
    folder = {}

    def die(_order):
        raise Killed

    plan = plan_of([step("mend", **fields), step("tidy")], on=1)
    with pytest.raises(Killed):
        Ran(plan, tmp_path, die, prepare=lambda ran: folder.update(path=ran.folder))
    return folder["path"]


def still_running(*reports):
    """Return a way to prepare a run whose attempt goes on and then says this."""

    def prepare(ran):
        ran.driver.known = {ATTEMPT: Settled(kind="running")}
        coming = list(reports)
        told = ran.driver.reports
        ran.driver.reports = lambda timeout_s: [coming.pop(0)] if coming else told(timeout_s)

    return prepare


def test_the_end_of_an_attempt_that_still_ran_at_the_resume_is_heard(tmp_path):
    said = Stream(text="done", size_bytes=4)
    part = Part(
        attempt=ATTEMPT,
        part="script",
        command="c",
        exit_code=0,
        duration_ms=1,
        stdout=said,
        stderr=Stream(),
    )
    reports = (part, Finished(attempt=ATTEMPT, state=EndState.CHANGED))
    ran = Ran(left(tmp_path), tmp_path, prepare=still_running(*reports), clock=FakeClock())
    assert ran.handed_out == ["pos-01 tidy"]
    assert ran.of(StepPart)[0].stdout.text == "done"
    assert [e.step for e in ran.of(StepFinished)] == ["mend", "tidy"]
    assert not ran.of(StepInDoubt)
    assert ran.ending.exit_code == 0


def test_an_attempt_that_still_ran_at_the_resume_may_end_in_doubt_like_any_other(tmp_path):
    lost = Finished(attempt=ATTEMPT, state=EndState.UNKNOWN, failure=FailureKind.LOST)
    folder = left(tmp_path, check="is it")
    ran = Ran(folder, tmp_path, succeed, prepare=still_running(lost), clock=FakeClock())
    assert ran.handed_out == ["pos-01 mend probe", "pos-01 tidy"]
    assert [e.number for e in ran.of(StepStarted) if e.step == "mend"] == [1, 2]
    assert ran.ending.exit_code == 0
