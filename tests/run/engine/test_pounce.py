"""Endpoints that are seen for a moment only: what they get first, and what that needs."""

from __future__ import annotations

from outagekit.events import EndState, StepFinished, StepStarted, WaveJudged, WaveOpened
from outagekit.playbook.model import Gate, Rollout
from outagekit.run.engine.situation import Bounds
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, refuse

OPEN = Gate("0", "100%", "100%", "100%")
PROBE = {"newest": "text", "sick": "bool"}


def answer_well(order):
    result = {"newest": "v1", "sick": True} if order.result else None
    return Finished(attempt=order.attempt, state=succeed(order).state, result=result)


class Flapping:
    """One endpoint that shows its port again and again, and can be worked with from a time on."""

    def __init__(self, steps, *, looks, on=4, gate=OPEN, waves=("1", "100%"), pounce="remove"):
        rollout = Rollout(waves=waves, gate=gate, waiting_room_s=14_400.0, pounce=pounce)
        self.plan = plan_of(steps, on=on, rollout=rollout)
        self.looks = looks
        """So often its port is seen before a step can be taken there."""
        self.seen = 0

    def answer(self, order):
        away = order.target.endpoint.name == "pos-02" and self.seen <= self.looks
        return refuse(order) if away else answer_well(order)

    def flap(self, ran):
        if "acme/pos-02" in ran.driver.watched:
            self.seen += 1
            ran.driver.come_back("acme/pos-02")

    def run(self, tmp_path):
        return Ran(
            self.plan,
            tmp_path,
            self.answer,
            clock=FakeClock(),
            prepare=lambda ran: setattr(ran.driver, "while_idle", lambda: self.flap(ran)),
        )


def taken_by(ran):
    return [name for name, _ in ran.orders_of("acme/pos-02")]


def long_story():
    return [
        read("hello"),
        read("detect", result=PROBE),
        read("inventory"),
        step("prepare"),
        step("remove", with_={"newest": "detect.newest"}, when="detect.sick"),
        step("tidy"),
    ]


def test_it_gets_first_what_the_rollout_says_and_before_that_what_it_needs(tmp_path):
    """Seen twice in vain: then the look whose values the removal needs, the removal, the rest."""
    ran = Flapping(long_story(), looks=1).run(tmp_path)
    assert taken_by(ran) == [
        "hello",
        "hello",
        "detect",
        "remove",
        "hello",
        "inventory",
        "prepare",
        "tidy",
    ]
    removal = next(o for o in ran.driver.orders if o.attempt == "acme/pos-02:remove:1")
    assert removal.values["newest"] == "v1"
    assert ran.ending.exit_code == 0


def test_one_that_came_back_once_takes_its_steps_in_their_order(tmp_path):
    steps = [read("hello"), read("detect"), step("prepare"), step("remove")]
    ran = Flapping(steps, looks=0).run(tmp_path)
    assert taken_by(ran) == ["hello", "hello", "detect", "prepare", "remove"]


def test_without_such_a_step_nothing_is_taken_out_of_its_order(tmp_path):
    ran = Flapping(long_story(), looks=4, pounce=None).run(tmp_path)
    assert taken_by(ran)[-5:] == ["detect", "inventory", "prepare", "remove", "tidy"]


def test_what_it_gets_first_is_a_change_and_waits_for_the_first_gate_like_any_other(tmp_path):
    case = Flapping(long_story(), looks=2)
    holder = {}

    def flapping(order):
        if order.target.endpoint.name != "pos-02":
            case.flap(holder["ran"])
        return Flapping.answer(case, order)

    ran = Ran(
        case.plan,
        tmp_path,
        flapping,
        clock=FakeClock(),
        bounds=Bounds(running=2),
        prepare=lambda each: holder.update(ran=each),
    )
    assert ran.ending.state.progress["acme/pos-02"].returns > 1

    def place(found):
        return next(n for n, e in enumerate(ran.events) if found(e))

    opened = place(lambda e: isinstance(e, WaveOpened))
    looked = place(lambda e: isinstance(e, StepFinished) and e.attempt == "acme/pos-02:detect:1")
    passed = place(lambda e: isinstance(e, WaveJudged) and e.passed)
    began = place(lambda e: isinstance(e, StepStarted) and e.attempt == "acme/pos-02:remove:1")
    assert looked < passed < began
    assert opened < passed


def test_where_it_is_not_needed_the_rest_follows_at_once(tmp_path):
    case = Flapping(long_story(), looks=1)

    def healthy(order):
        found = case_answer(order)
        if found.result:
            return Finished(
                attempt=order.attempt, state=EndState.OK, result={"newest": "v1", "sick": False}
            )
        return found

    case_answer = case.answer
    case.answer = healthy
    ran = case.run(tmp_path)
    assert "remove" not in taken_by(ran)
    assert taken_by(ran)[-4:] == ["hello", "inventory", "prepare", "tidy"]
    assert ran.ending.exit_code == 0


def test_it_goes_before_those_that_are_continued(tmp_path):
    """Two run at once; it is up when one of them would go on with its next step."""
    case = Flapping([read("hello"), step("remove"), step("tidy")], looks=1)
    holder = {}

    def flapping(order):
        if order.attempt in {"acme/pos-03:hello:1", "acme/pos-03:remove:1"}:
            case.flap(holder["ran"])
        return case.answer(order)

    def prepare(ran):
        holder.update(ran=ran)

    bounds = Bounds(running=2)
    ran = Ran(case.plan, tmp_path, flapping, clock=FakeClock(), bounds=bounds, prepare=prepare)
    assert ran.ending.state.progress["acme/pos-02"].returns == 2
    first = ran.handed_out.index("pos-04 remove")
    assert ran.handed_out[first : first + 4] == [
        "pos-04 remove",
        "pos-03 tidy",
        "pos-02 remove",
        "pos-04 tidy",
    ]
