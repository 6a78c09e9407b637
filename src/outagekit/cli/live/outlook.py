"""Parts of the picture that look ahead: who is waited for, and what is decided next.

Pure functions of a tally, the time and a number of rows and cells. Text from outside is made
visible; a command to paste is left whole wherever it fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import fold_line
from outagekit.cli.live.bars import first_that_fits
from outagekit.cli.live.waves import wave_name
from outagekit.cli.saying import answering, short_run
from outagekit.events import RunPaused
from outagekit.playbook.model import Approve, Manual
from outagekit.text import count, duration, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.cli.live.standing import Question, WaveCount
    from outagekit.cli.live.tally import Tally
    from outagekit.plan.model import Stage

_ASKED: Final = "bold yellow"


def news(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return what is waited for: answers of people, endpoints in the waiting room."""
    if rows <= 0:
        return []
    room = _waiting_room(tally, now_s, width)
    asked = _questions(tally, now_s, width, rows - len(room)) if rows > len(room) else []
    if not asked and tally.questions:
        room, asked = [], _questions(tally, now_s, width, rows)
    return [*room, *asked][:rows]


def _waiting_room(tally: Tally, now_s: float, width: int) -> list[Text]:
    """Return who is waited for and until when, who came back, and who was given up."""
    if not (tally.parked or tally.returned or tally.expired):
        return []
    there, until = f"waiting room {len(tally.parked)}", _given_up_in(tally, now_s)
    late = tally.late[-1] if tally.late else None
    back = f"came back {tally.returned}" if tally.returned else ""
    done = f"{back} ({late.ends.done} of {late.size} done)" if back and late is not None else back
    gone = f"given up {tally.expired}" if tally.expired else ""
    wordings = (
        (there, until, done, gone),
        (there, until, back, gone),
        (there, until.partition(" to ")[0], back, gone),
        (there, back, gone),
        (there, back),
        (there,),
    )
    style = "yellow" if tally.parked else "dim"
    return [
        first_that_fits((Text(" · ".join(filter(None, each)), style) for each in wordings), width)
    ]


def _given_up_in(tally: Tally, now_s: float) -> str:
    """Return when the first and the last in the waiting room are waited for no longer."""
    if not tally.parked:
        return ""
    first_s, last_s = (
        max(round(until_ns / 1e9 - now_s), 0)
        for until_ns in (min(tally.parked.values()), max(tally.parked.values()))
    )
    first, last = duration(first_s), duration(last_s)
    return f"given up in {first}" if first == last else f"given up in {first} to {last}"


def _questions(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return the oldest question with the command that answers it, and how many more there are."""
    if not tally.questions:
        return []
    oldest = next(iter(tally.questions.values()))
    more = len(tally.questions) - 1
    command = first_that_fits(
        (
            Text(f"  {visible_line(answering(oldest.event, run))}", "bold")
            for run in (short_run(tally.run), "last")
        ),
        width - (cell_len(f"  and {more} more") if more else 0),
    )
    if rows == 1:
        head = f"asked {more + 1}  " if more else "asked  "
        return [Text.assemble((head, _ASKED), (command.plain.strip(), "bold"))]
    others = [_others(tally, more, width)] if more and rows > 2 else []  # noqa: PLR2004  (the question, its command, the others)
    asked = _asked(oldest, width, rows - 1 - len(others))
    for extra in _after_command(oldest, now_s, 0 if others else more):
        if command.cell_len + extra.cell_len <= width:
            command.append_text(extra)
    return [*asked, command, *others]


def _after_command(question: Question, now_s: float, more: int) -> Iterator[Text]:
    if more:
        yield Text(f"  and {more} more", _ASKED)
    if question.until_ns is not None:
        left_s = max(round(question.until_ns / 1e9 - now_s), 0)
        yield Text(f"  waits {duration(left_s)} more", "dim")


def _asked(question: Question, width: int, rows: int) -> list[Text]:
    """Return a question in at most so many lines, with whom it is about."""
    event = question.event
    about = event.endpoint or event.client
    head = f"asked for {about}: " if about else "asked: "
    text = Text(visible_line(head + " ".join(event.text.split())))
    text.stylize(_ASKED, 0, len(visible_line(head)))
    lines = fold_line(text, width)
    if len(lines) > rows:
        last = lines[rows - 1]
        last.truncate(max(width - 2, 1))
        lines = [*lines[: rows - 1], last.append(" …")]
    return lines


def _others(tally: Tally, more: int, width: int) -> Text:
    names: list[str] = []
    for name in tally.questions:
        names.append(visible_line(name))
        if len(names) > 6:  # noqa: PLR2004  (a line holds no more)
            break
    wordings = [
        Text(f"  and {count(more, 'more question')}: {fold_list(names[1 : 1 + shown], shown)}")
        for shown in range(min(len(names) - 1, 6), 0, -1)
        if shown == more
    ]
    wordings += [
        Text(f"  and {more} more questions: {', '.join(names[1 : 1 + shown])}, …")
        for shown in range(min(more - 1, 4), 0, -1)
    ]
    wordings.append(Text(f"  and {count(more, 'more question')}"))
    return first_that_fits(wordings, width)


def footer(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return what is decided next, and what Ctrl-C does."""
    after, keys = _what_next(tally, now_s, width)
    lines = [after, Text(keys, "dim")]
    return lines[-rows:] if rows else []


def _what_next(tally: Tally, now_s: float, width: int) -> tuple[Text, str]:
    if tally.until_ns is not None:
        what = "paused" if isinstance(tally.over, RunPaused) else "over"
        return Text(), f"the run is {what}; its log is being closed"
    running = count(len(tally.running), "running step")
    if tally.stopping:
        by = visible_line(tally.stopping)
        stopping = (
            Text(f"stopping{who}: {running} may end, nothing new begins", "yellow")
            for who in (f" ({by})", "")
        )
        return first_that_fits(stopping, width), "Ctrl-C again: leave running steps in doubt"
    keys = "Ctrl-C: running steps end, nothing new begins"
    if tally.is_waiting_only:
        keys = "Ctrl-C: wait no longer; a resume waits for them again"
    return first_that_fits(_decisions(tally, now_s), width), keys


def _decisions(tally: Tally, now_s: float) -> Sequence[Text]:
    """Return what comes after what runs now, in wordings from long to short."""
    if tally.stuck is not None:
        return _after_closed_gate(tally, tally.stuck)
    steps = _steps_ahead(tally, now_s)
    asked = sum(_holds_up(each) for each in tally.questions.values())
    then = "after the answer" if asked == 1 else "after the answers" if asked else "next"
    whole = f"{then}: {', '.join(steps)}"
    brief = f"{then}: {', '.join([*steps[:-1], _brief(steps[-1])])}"
    return [Text(visible_line(text)) for text in (whole, brief, f"{then}: {steps[0]}")]


def _holds_up(question: Question) -> bool:
    """Return whether the run waits for the answer, not only the endpoint it is about."""
    event = question.event
    return event.endpoint is None or (event.kind == "doubt" and event.for_ms > 0)


def _brief(text: str) -> str:
    return text.partition(" (")[0].partition(": ")[0]


def _after_closed_gate(tally: Tally, wave: WaveCount) -> list[Text]:
    running = count(len(tally.running), "running step")
    if wave.phase == "retried":
        who = f"{wave_name(wave)}: who closed the gate is tried again"
        return [Text(f"{who}; then: the gate once more"), Text(who)]
    ended = f"when {running} {'has' if len(tally.running) == 1 else 'have'} ended"
    ended = ended if tally.running else "now"
    return [
        Text(f"nothing new begins; the run pauses {ended} (exit 5)"),
        Text(f"nothing new begins; it pauses {ended}"),
        Text("nothing new begins; then the run pauses (exit 5)"),
    ]


def _steps_ahead(tally: Tally, now_s: float) -> list[str]:
    stage = tally.open
    steps: list[str] = []
    wave = stage.wave if stage is not None else None
    if stage is not None and stage.sizes:
        steps += _rest_of_wave(tally, wave)
        at = wave.number if wave is not None else 0
        if at < len(stage.sizes):
            size = count(stage.sizes[at], "endpoint")
            return [*steps, f"wave {at + 1} of {len(stage.sizes)} ({size})"]
    following = tally.following
    if following is not None:
        return [*steps, _stage_ahead(tally, following)]
    steps += _rest_of_late(tally)
    if tally.parked and not tally.is_waiting_only:
        left_s = max(round(max(tally.parked.values()) / 1e9 - now_s), 0)
        waits = count(len(tally.parked), "endpoint")
        return [*steps, f"wait for {waits} in the waiting room (at most {duration(left_s)})"]
    return [*steps, "the run is over"]


def _rest_of_late(tally: Tally) -> list[str]:
    """Return what those who came back too late for a wave have before them, after all others."""
    bake_s = tally.plan.rollout.bake_s
    if any(late.phase == "open" for late in tally.late):
        if not bake_s:
            return ["the gate of those who came back"]
        return [f"bake {duration(bake_s)} for those who came back", "their gate"]
    if any(late.phase == "baking" for late in tally.late):
        return ["verify again who came back", "their gate"]
    return []


def _rest_of_wave(tally: Tally, wave: WaveCount | None) -> list[str]:
    if wave is None:
        return []
    rollout = tally.plan.rollout
    steps: list[str] = []
    if rollout.bake_s and wave.phase == "open":
        steps.append(f"bake {duration(rollout.bake_s)}")
    if wave.phase == "baking":
        steps.append("verify again")
    if wave.phase in {"open", "baking"}:
        steps.append("the gate")
    pauses = rollout.pause == "each" or (rollout.pause == "first" and wave.number == 1)
    if (
        pauses
        and wave.number < wave.of
        and f"pause-{wave.stage}.{wave.number}" not in tally.questions
    ):
        steps.append("a person is asked")
    return steps


def _stage_ahead(tally: Tally, stage: Stage) -> str:
    steps = fold_list(stage.steps, 3)
    if stage.once is not None:
        first = next(step for step in tally.plan.steps if step.id == stage.steps[0])
        what = "a person is asked" if isinstance(first.action, Approve | Manual) else stage.phase
        return f"{what} once per {stage.once}: {steps}"
    most = count(tally.alive, "endpoint")
    if stage.changes and not tally.plan.dry_run:
        waves = tally.plan.rollout.waves
        how = f"waves of {', '.join(waves)}" if len(waves) > 1 else "one wave"
        return f"stage {stage.phase} in {how}: {steps} on up to {most}"
    return f"stage {stage.phase}: {steps} on up to {most}"
