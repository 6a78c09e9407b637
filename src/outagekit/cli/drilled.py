"""What a drill and a lab look like while they are up, and what a drill's end says."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.lab.drill import drill_plan, score_of
from outagekit.lab.faults import RIGHT
from outagekit.run.signals import signals_to
from outagekit.text import count

if TYPE_CHECKING:
    from outagekit.cli.options import Pace, Shown, Streamed
    from outagekit.cli.prepare import Desk
    from outagekit.credentials import SecretRef
    from outagekit.inventory.model import Endpoint
    from outagekit.lab.fleet import Fleet
    from outagekit.lab.score import Misjudged, Score, Tally
    from outagekit.playbook.model import Playbook
    from outagekit.transports.open import Access
    from outagekit.transports.protocol import Target, Transport

_MISSED = 3
_PROMPT = {None, "slow", "lie"}
"""Endpoints with one of these answer every command soon, as far as this computer lets them."""
_GATE = 5


def run_drill(
    desk: Desk, fleet: Fleet, *, pace: Pace, streamed: Streamed, shown: Shown, seed: int
) -> None:
    """Run the fleet's playbook over it, judge the run, tell, and exit with 0 or 3."""
    from outagekit.cli.end.document import counts_document
    from outagekit.cli.end.onward import playbook_words
    from outagekit.cli.end.summary import summary
    from outagekit.cli.running import keep_hands_on, resume_run, run_plan, said_of, verdict_text
    from outagekit.lab.rehearsal import rehearse
    from outagekit.run.replay import recorded
    from outagekit.transports.open import transport_for

    plan = drill_plan(fleet)
    access = lab_access(fleet)

    def connect(target: Target) -> Transport:
        return transport_for(target, access)

    over = rehearse(
        plan,
        lambda beginning: run_plan(
            desk, plan, connect, pace=pace, streamed=streamed, beginning=beginning
        ),
        lambda folder, how: resume_run(
            desk, recorded(folder), connect, how, pace=pace, streamed=streamed
        ),
        trust_folder=fleet.trust_folder,
        attended=desk.screen.interactive,
    )
    verdict = verdict_text(over.folder)
    said = said_of(over)
    keep_hands_on(desk, over)
    log_path = over.folder / "log.jsonl"
    score = score_of(fleet, plan, over.ending.state)
    if shown.json:
        document = counts_document(over.ending, plan, over.run, log_path=log_path, said=said)
        desk.screen.document({**document, "score": score_document(score), "seed": seed})
    # A gate that closes ends nothing that was rehearsed: whom it kept back is not judged.
    stopped = over.ending.why if over.ending.exit_code != _GATE else ""
    tell = desk.screen.note if score.passed and not over.ending.why else desk.screen.say
    ending = summary(
        over.ending, plan, over.run, log_path=log_path, verdict=verdict, said=said, drill=True
    )
    tell(ending)
    if stopped:
        desk.screen.say("the drill was stopped, so there is no score")
    else:
        tell_score(desk, score)
    named = playbook_words(plan.playbook, {})
    show = [f"outagekit playbooks show {named[0]}"] if named else []
    desk.screen.next(
        [f"outagekit log show {over.run}", "outagekit init my-workspace", *show],
    )
    if stopped:
        raise typer.Exit(over.ending.exit_code)
    if not score.passed:
        raise typer.Exit(_MISSED)


def tell_score(desk: Desk, score: Score) -> None:
    """Say how many endpoints were judged rightly, and what was not."""
    verdict = "passed" if score.passed else "FAILED"
    tell = desk.screen.note if score.passed else desk.screen.say
    tell(f"drill {verdict}: {score.right} of {score.total} endpoints judged rightly")
    injected = [_tally_text(tally) for tally in score.tallies if tally.fault]
    if injected:
        tell(f"faults put in and caught: {', '.join(injected)}")
    if score.unfinished:
        held = count(len(score.unfinished), "endpoint")
        desk.screen.say(f"not judged, because the run did not come to an end with them: {held}")
    for each in score.misjudged:
        fault = each.fault or "healthy"
        desk.screen.warn(f"{each.endpoint} ({fault}): expected {each.expected}, found {each.found}")
    if late := sum(_is_late(each) for each in score.misjudged):
        desk.screen.say(
            f"not waited for, although they answer: {count(late, 'endpoint')};"
            " give more --timeout or fewer --endpoints where this computer is busy"
        )
    for endpoint in score.wrong_targets:
        desk.screen.warn(f"{endpoint}: changed although nothing called for it")
    for endpoint in score.repeated:
        desk.screen.warn(f"{endpoint}: a change that had succeeded was made again")


def _is_late(each: Misjudged) -> bool:
    return each.fault in _PROMPT and f"({FailureKind.TIMEOUT.value})" in each.found


def _tally_text(tally: Tally) -> str:
    said = f"{tally.fault} {tally.right}/{tally.total}"
    restless = tally.fault is not None and RIGHT[tally.fault].also
    return f"{said} ({tally.fixed} as wanted in the end)" if restless else said


def score_document(score: Score) -> dict[str, object]:
    """Return the score as `--json` prints it."""
    return {
        "passed": score.passed,
        "total": score.total,
        "right": score.right,
        "wrong_targets": list(score.wrong_targets),
        "repeated": list(score.repeated),
        "misjudged": [
            {"endpoint": m.endpoint, "fault": m.fault, "expected": m.expected, "found": m.found}
            for m in score.misjudged
        ],
        "unfinished": list(score.unfinished),
        "faults": {
            t.fault: {"total": t.total, "right": t.right, "fixed": t.fixed}
            for t in score.tallies
            if t.fault
        },
    }


def lab_access(fleet: Fleet) -> Access:
    """Return how simulated endpoints are reached: by the drill's own key and password.

    No other secret is ever resolved, whatever an inventory or an environment says.
    """
    from outagekit.transports.open import Access
    from outagekit.transports.trust.store import TrustStore

    def resolve(reference: SecretRef, _endpoint: Endpoint, _label: str) -> str:
        password = fleet.password_of(reference)
        if password is None:
            raise OutagekitError("a drill resolves no secret but its own")
        return password

    return Access(trust=TrustStore(fleet.trust_folder), resolve_secret=resolve)


def keep_lab(desk: Desk, fleet: Fleet) -> None:
    """Write a workspace for the fleet beside its keys, say how to use it, and wait for Ctrl-C."""
    from outagekit.cli.end.onward import playbook_words
    from outagekit.lab.workspace import write_lab_workspace

    folder = write_lab_workspace(fleet)
    names = [endpoint.id for endpoint in fleet.inventory.endpoints()]
    number = count(len(names), "simulated endpoint")
    if desk.screen.json:
        desk.screen.document({"folder": folder, "endpoints": names})
    desk.screen.say(f"{number} up on loopback, as a workspace in {folder}")
    there = f"cd {shlex.quote(str(folder))} && outagekit"
    words = playbook_words(_seen_from_anywhere(fleet.playbook), fleet.params)
    run = [f"{there} run {' '.join(words)} --all-clients"] if words else []
    desk.screen.next([f"{there} ping --limit all --all-clients", *run])
    desk.screen.say("in a second terminal; Ctrl-C here ends them")
    over = threading.Event()
    with signals_to(lambda _why: over.set()):
        while not over.wait(0.2):
            pass


def _seen_from_anywhere(book: Playbook) -> Playbook:
    """Return the playbook as it is named where its workspace is not."""
    import msgspec

    if book.origin == "shipped":
        return book
    return msgspec.structs.replace(book, origin="outside", path=str(Path(book.path).absolute()))
