"""What an order is sent for: do its step, look at it again, foresee it, take it back."""

from __future__ import annotations

import threading

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.evidence import EvidenceStore
from outagekit.playbook.model import Code, Fetch, Push, Reboot, RunScript, Script
from outagekit.run.executing.detached import tidy
from outagekit.run.executing.execute import Bench, execute
from outagekit.run.orders import Order, Part
from outagekit.testing.builders import endpoints
from outagekit.testing.transport import ScriptedTransport, said
from outagekit.transports.protocol import Failure, Opened, Target

LOST = Failure(FailureKind.LOST, "reset", sent=True)


def sh(text):
    return Code("sh", text) if text else None


def order_of(purpose="do", *, check="", verify="", undo="", **fields):
    return Order(
        attempt="acme/pos-01:mend:1",
        target=Target(endpoint=endpoints(1)[0]),
        step="mend",
        action=fields.pop("action", RunScript(Script((Code("sh", "mend it"),)))),
        purpose=purpose,
        check=sh(check),
        verify=sh(verify),
        undo=sh(undo),
        changes=fields.pop("changes", True),
        **fields,
    )


class Done:
    """An order executed on an endpoint whose parts answer as told, else with exit code 0."""

    def __init__(self, tmp_path, order, **answers):
        self.transport = ScriptedTransport(
            lambda step, part: answers.get(part, said()), Opened("m-1", "SHA256:x", boot_id="b-7")
        )
        self.transport.open()
        self.reports = []
        bench = Bench(
            self.reports.append, b"k" * 32, EvidenceStore(tmp_path / "evidence"), threading.Event()
        )
        self.finished = execute(order, self.transport, bench)

    @property
    def parts(self):
        return [part for _, part in self.transport.commands]

    @property
    def end(self):
        return (self.finished.state, self.finished.failure)


@pytest.fixture
def done(tmp_path):
    return lambda order, **answers: Done(tmp_path, order, **answers)


LOOKS = pytest.mark.parametrize("purpose", ["probe", "recheck"])


@LOOKS
def test_a_look_asks_verify_and_runs_nothing_else(done, purpose):
    looked = done(order_of(purpose, check="c", verify="v", undo="u"))
    assert looked.end == (EndState.CHANGED, None)
    assert looked.parts == ["verify"]


@LOOKS
def test_a_look_asks_the_check_where_there_is_no_verify(done, purpose):
    looked = done(order_of(purpose, check="c"))
    assert (looked.end, looked.parts) == ((EndState.CHANGED, None), ["check"])


@LOOKS
def test_a_look_at_a_step_that_only_reads_is_ok(done, purpose):
    assert done(order_of(purpose, verify="v", changes=False)).end == (EndState.OK, None)


@LOOKS
@pytest.mark.parametrize("part", ["check", "verify"])
def test_a_look_that_finds_it_not_as_wanted_fails(done, purpose, part):
    looked = done(order_of(purpose, **{part: "text"}), **{part: said(code=1)})
    assert looked.end == (EndState.FAILED, FailureKind.VERIFY)
    assert looked.finished.detail == f"{part} says that it is not as wanted"


@LOOKS
def test_a_look_without_a_verdict_is_a_broken_check(done, purpose):
    looked = done(order_of(purpose, check="c"), check=said(code=127, stderr="c: not found"))
    assert looked.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)
    assert "not found" in looked.finished.detail


@LOOKS
def test_a_look_that_is_cut_off_stays_unknown(done, purpose):
    looked = done(order_of(purpose, verify="v"), verify=LOST)
    assert looked.end == (EndState.UNKNOWN, FailureKind.LOST)


@LOOKS
def test_a_look_with_nothing_to_ask_shows_that_the_endpoint_answers(done, purpose):
    looked = done(order_of(purpose))
    assert (looked.end, looked.parts) == ((EndState.CHANGED, None), ["probe"])
    assert [report.part for report in looked.reports] == ["probe"]
    assert done(order_of(purpose, changes=False)).end == (EndState.OK, None)
    assert done(order_of(purpose), probe=said(code=1)).end == (
        EndState.FAILED,
        FailureKind.EXIT_CODE,
    )
    assert done(order_of(purpose), probe=LOST).end == (EndState.UNKNOWN, FailureKind.LOST)


@LOOKS
def test_a_look_never_writes_the_file_a_step_pushes(done, purpose):
    looked = done(order_of(purpose, action=Push("a", "/etc/a", b"x")))
    assert looked.transport.files == {}


@LOOKS
@pytest.mark.parametrize(("own_s", "limit_s"), [(900.0, 60.0), (5.0, 5.0)])
@pytest.mark.parametrize("part", ["verify", "check", "probe"])
def test_a_look_takes_a_minute_at_most(done, purpose, part, own_s, limit_s):
    asked = {} if part == "probe" else {part: "text"}
    looked = done(order_of(purpose, timeout_s=own_s, **asked))
    waits_s = min(own_s, 30.0) if asked and purpose == "probe" else 0.0
    assert looked.transport.limits_s == [waits_s + limit_s]


def test_a_doubt_is_not_settled_while_an_earlier_try_still_runs(done):
    busy = said(code=75, stderr="outagekit: an earlier try of this step still runs here\n")
    looked = done(order_of("probe", verify="v", timeout_s=70.0), verify=busy)
    assert looked.end == (EndState.UNKNOWN, FailureKind.TIMEOUT)
    assert "still runs there" in looked.finished.detail
    assert looked.transport.limits_s == [90.0, 90.0, 70.0]


def test_a_look_after_the_bake_waits_for_nobody(done):
    busy = said(code=75, stderr="outagekit: an earlier try of this step still runs here\n")
    looked = done(order_of("recheck", verify="v"), verify=busy)
    assert looked.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


@pytest.mark.parametrize("purpose", ["do", "probe", "recheck"])
def test_a_verify_that_wants_false_is_proven_by_false(done, purpose):
    order = order_of(purpose, verify="v", verify_wants=False)
    assert done(order, verify=said(code=1)).end == (EndState.CHANGED, None)
    assert done(order).end == (EndState.FAILED, FailureKind.VERIFY)
    assert done(order, verify=said(code=2)).end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


def test_a_check_wants_true_whatever_verify_wants(done):
    order = order_of("probe", check="c", verify_wants=False)
    assert done(order).end == (EndState.CHANGED, None)


def test_an_undo_is_proven_by_its_check_being_false(done):
    undone = done(order_of("undo", check="c", verify="v", undo="u"), check=said(code=1))
    assert (undone.end, undone.parts) == ((EndState.CHANGED, None), ["undo", "check"])


def test_an_undo_whose_check_is_still_true_failed(done):
    undone = done(order_of("undo", check="c", undo="u"))
    assert undone.end == (EndState.FAILED, FailureKind.VERIFY)
    assert undone.finished.detail == "undone, but its check is still true"


def test_an_undo_whose_check_is_broken_is_not_taken_for_undone(done):
    undone = done(order_of("undo", check="c", undo="u"), check=said(code=3))
    assert undone.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


def test_an_undo_without_a_check_is_believed(done):
    undone = done(order_of("undo", undo="u"))
    assert (undone.end, undone.parts) == ((EndState.CHANGED, None), ["undo"])


def test_an_undo_that_fails_is_not_looked_at_further(done):
    undone = done(order_of("undo", check="c", undo="u"), undo=said(code=4, stderr="no copy"))
    assert undone.end == (EndState.FAILED, FailureKind.EXIT_CODE)
    assert (undone.finished.detail, undone.parts) == ("exit code 4: no copy", ["undo"])


def test_an_undo_that_is_cut_off_is_unknown(done):
    undone = done(order_of("undo", check="c", undo="u"), undo=LOST)
    assert (undone.end, undone.parts) == ((EndState.UNKNOWN, FailureKind.LOST), ["undo"])


def test_an_undo_of_a_step_that_has_none_runs_nothing(done):
    undone = done(order_of("undo", check="c"))
    assert (undone.finished.state, undone.parts) == (EndState.FAILED, [])


def test_an_undo_gets_the_values_the_step_got(done):
    sent = []

    class Listening(ScriptedTransport):
        def execute(self, command, limits, on_output=None):
            sent.append(command.stdin.decode())
            return super().execute(command, limits, on_output)

    transport = Listening(lambda step, part: said())
    bench = Bench(lambda report: None, b"k", None, threading.Event())
    execute(order_of("undo", undo="u", values={"folder": "it's here"}), transport, bench)
    assert "OK_FOLDER='it'\\''s here'\n" in sent[0]


def test_a_dry_run_asks_the_check_only(done):
    foreseen = done(order_of("foresee", check="c", verify="v", undo="u"))
    assert (foreseen.end, foreseen.parts) == ((EndState.OK, None), ["check"])


def test_a_dry_run_says_that_a_step_would_change_something(done):
    foreseen = done(order_of("foresee", check="c", verify="v"), check=said(code=1))
    assert (foreseen.end, foreseen.parts) == ((EndState.SKIPPED, None), ["check"])
    assert foreseen.finished.detail == "would change: its check is not true"


def test_a_dry_run_reports_a_broken_check(done):
    foreseen = done(order_of("foresee", check="c"), check=said(code=2))
    assert foreseen.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


def test_a_dry_run_sends_nothing_for_a_step_without_a_check(done):
    foreseen = done(order_of("foresee", verify="v"))
    assert (foreseen.end, foreseen.parts) == ((EndState.SKIPPED, None), [])


UNSENT = Failure(FailureKind.LOST, "the connection was gone")


def test_a_step_whose_script_ran_is_unknown_if_its_proof_is_not_reached(done):
    found = done(order_of(verify="is it"), verify=UNSENT)
    assert found.end == (EndState.UNKNOWN, FailureKind.LOST)
    assert "the script had run" in found.finished.detail


def test_an_undo_that_ran_is_unknown_if_its_proof_is_not_reached(done):
    found = done(order_of("undo", check="is it", undo="take it back"), check=UNSENT)
    assert found.end == (EndState.UNKNOWN, FailureKind.LOST)


def test_a_step_whose_check_is_not_reached_was_not_begun(done):
    found = done(order_of(check="is it"), check=UNSENT)
    assert found.end == (EndState.UNREACHABLE, FailureKind.LOST)


@pytest.mark.parametrize("purpose", ["do", "probe", "recheck", "undo", "foresee"])
def test_an_end_tells_on_which_boot_the_machine_was(done, purpose):
    assert done(order_of(purpose, check="c", undo="u")).finished.boot_id == "b-7"


def test_a_result_is_kept_when_verify_says_no(done):
    order = order_of(verify="v", result={"sick": "bool"})
    finished = done(order, script=said('{"sick": true}'), verify=said(code=1)).finished
    assert (finished.failure, finished.result) == (FailureKind.VERIFY, {"sick": True})


def test_every_command_of_an_order_is_reported_in_order(done):
    did = done(order_of(check="c", verify="v"), check=said(code=1))
    assert [r.part for r in did.reports if isinstance(r, Part)] == ["check", "script", "verify"]
    assert len({report.command for report in did.reports}) == 3


@pytest.mark.parametrize(
    ("purpose", "facts", "parts"),
    [
        ("do", {"check": "a", "verify": "b"}, ["check", "script", "verify"]),
        ("do", {"check": "a", "detach": "run:mend"}, ["collect", "check", "script"]),
        ("undo", {"check": "a", "undo": "b"}, ["undo", "check"]),
        ("probe", {"verify": "b"}, ["verify"]),
        ("recheck", {}, ["probe"]),
        ("foresee", {"check": "a"}, ["check"]),
    ],
)
def test_every_command_of_an_order_runs_under_its_account(done, monkeypatch, purpose, facts, parts):
    accounts = []
    plain = ScriptedTransport.execute

    def execute(self, command, limits, on_output=None):
        accounts.append(command.account)
        return plain(self, command, limits, on_output)

    monkeypatch.setattr(ScriptedTransport, "execute", execute)
    no = said(code=1)
    for account in ("login", "root"):
        accounts.clear()
        ran = done(order_of(purpose, account=account, **facts), check=no)
        assert ran.parts == parts
        assert accounts == [account] * len(parts)


def test_what_a_detached_script_left_is_removed_by_its_account(done, monkeypatch):
    accounts = []
    plain = ScriptedTransport.execute

    def execute(self, command, limits, on_output=None):
        accounts.append(command.account)
        return plain(self, command, limits, on_output)

    monkeypatch.setattr(ScriptedTransport, "execute", execute)
    order = order_of(account="root", detach="run:mend")
    tidy(order, done(order).transport)
    assert accounts == ["root", "root"]


@pytest.mark.parametrize("account", ["login", "root"])
@pytest.mark.parametrize(
    "action", [Push("f", "/f", b"x"), Fetch(("/a", "/b"), 10)], ids=["push", "fetch"]
)
def test_files_of_an_order_are_moved_under_its_account(done, monkeypatch, account, action):
    accounts = []
    refused = Failure(FailureKind.PROTOCOL, "no")
    for name in ("put", "fetch"):

        def move(self, *words, account="login", **facts):
            accounts.append(account)
            return refused

        monkeypatch.setattr(ScriptedTransport, name, move)
    done(order_of(account=account, action=action))
    assert accounts == [account]


def test_which_machine_it_is_is_asked_by_who_logged_in(done, monkeypatch):
    accounts = {}
    plain = ScriptedTransport.execute

    def execute(self, command, limits, on_output=None):
        accounts["identity" if "OK_PART=identity" in command.line else "other"] = command.account
        return plain(self, command, limits, on_output)

    monkeypatch.setattr(ScriptedTransport, "execute", execute)
    told = said("machine-id=0123456789abcdef\nboot-id=b-7777777\n")
    refused = said(code=1)
    done(order_of(account="root", action=Reboot(5)), identity=told, script=refused)
    assert accounts == {"identity": "login", "other": "root"}
