"""Pictures of the live screen and of a run's end, as SVG: `python -m outagekit.testing.picture`.

A small drill really runs; its records are counted and drawn by the code that draws the screen,
on a console that records. The best moment of the run and its end become a picture each. Two runs
give similar pictures, not the same ones: the endpoints and their faults are those of a seed, the
times are real. No address of the web and no path of this machine stands in them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from outagekit.cli.drilled import lab_access
from outagekit.cli.end.said import Said
from outagekit.cli.end.summary import summary
from outagekit.cli.fitting import fold_line
from outagekit.cli.live.frame import frame
from outagekit.cli.live.tally import Tally
from outagekit.cli.render import next_lines
from outagekit.cli.running import said_of
from outagekit.events import EndState, Record, RunId
from outagekit.lab.drill import Tempo, drill_plan, rehearsed
from outagekit.lab.faults import parse_faults
from outagekit.lab.fleet import Fleet
from outagekit.lab.rehearsal import rehearse
from outagekit.plan.model import Plan
from outagekit.playbook.catalogue import find_playbook
from outagekit.playbook.load import load_playbook
from outagekit.playbook.model import Drill, Gate, Playbook, Rollout
from outagekit.run.conduct import Conducted, Setting, conduct, conduct_on
from outagekit.transports.open import transport_for
from outagekit.transports.protocol import Target, Transport

PLAYBOOK: Final = "bad-update-rollback"
COLUMNS: Final = 80
ROWS: Final = 24

_ENDPOINTS: Final = 60
_SEED: Final = 4
_FAULTS: Final = "unreachable=3%,flap=8%,slow=10%,lie=2%"
_SPEED: Final = 40.0
_CHANGE_TAKES_S: Final = 3.6
"""So long a simulated change takes in the picture, so that there is something to see."""
_RUN: Final = RunId("20261122T081403Z-bad-update-rollback-x7q2")
"""The run's name in the pictures: a rerun shall not differ in what means nothing."""
_LOG: Final = Path("runs") / _RUN / "log.jsonl"
_ROLLOUT: Final = Rollout(
    waves=("1", "10%", "40%", "100%"),
    bake_s=240.0,
    gate=Gate("60%", "25%", "50%", "40%"),
    waiting_room_s=1800.0,
)
_FONTS: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
_SVG: Final = f"""\
<svg viewBox="0 0 {{width}} {{height}}" xmlns="http://www.w3.org/2000/svg">
<style>
.{{unique_id}}-matrix {{{{
font-family: {_FONTS}; font-size: {{char_height}}px; line-height: {{line_height}}px;
}}}}
.{{unique_id}}-title {{{{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}}}
{{styles}}
</style>
<defs>
<clipPath id="{{unique_id}}-clip-terminal">
<rect x="0" y="0" width="{{terminal_width}}" height="{{terminal_height}}" />
</clipPath>
{{lines}}
</defs>
{{chrome}}
<g transform="translate({{terminal_x}}, {{terminal_y}})"
 clip-path="url(#{{unique_id}}-clip-terminal)">
{{backgrounds}}
<g class="{{unique_id}}-matrix">
{{matrix}}
</g>
</g>
</svg>
"""
_THEME: Final = TerminalTheme(
    (24, 26, 31),
    (215, 218, 224),
    [
        (24, 26, 31),
        (224, 108, 117),
        (126, 188, 112),
        (229, 192, 123),
        (97, 175, 239),
        (208, 130, 228),
        (86, 182, 194),
        (215, 218, 224),
    ],
)


class Recording(NamedTuple):
    """A drill that is over, with every record of it."""

    plan: Plan
    over: Conducted
    records: tuple[Record, ...]
    said: tuple[Said, ...]
    """What steps said for people."""


def record(
    *,
    endpoints: int = _ENDPOINTS,
    seed: int = _SEED,
    speed: float = _SPEED,
    takes_s: float = _CHANGE_TAKES_S,
) -> Recording:
    """Run a drill on simulated endpoints and return it; it reaches loopback only.

    Waiting is divided by `speed`; a change takes `takes_s`.
    """
    book = _playbook(speed, takes_s)
    records: list[Record] = []
    with tempfile.TemporaryDirectory(prefix="outagekit-picture-") as scratch:
        started = Fleet.start(
            book,
            endpoints=endpoints,
            seed=seed,
            folder=Path(scratch, "fleet"),
            faults=parse_faults(_FAULTS),
            pace=_tempo(speed).pace(book),
        )
        with started as fleet:
            access = lab_access(fleet)

            def connect(target: Target) -> Transport:
                return transport_for(target, access)

            plan = drill_plan(fleet)
            setting = Setting(connect, subscribers=[records.extend])
            over = rehearse(
                plan,
                lambda beginning: conduct(plan, Path(scratch, "state"), setting, beginning),
                lambda folder, how: conduct_on(folder, setting, how),
                trust_folder=fleet.trust_folder,
            )
            said = said_of(over)
    named = tuple(msgspec.structs.replace(each, run=_RUN) for each in records)
    return Recording(plan, over, named, said)


def _playbook(speed: float, takes_s: float) -> Playbook:
    """Return the shipped playbook with a rollout in which there is something to see."""
    found = find_playbook(PLAYBOOK)
    book = load_playbook(found.path, origin=found.origin)
    drill = book.drill or Drill()
    slower = {
        step: msgspec.structs.replace(answer, takes_s=takes_s * speed)
        for step, answer in drill.steps.items()
        if answer.set
    }
    drill = msgspec.structs.replace(drill, steps={**drill.steps, **slower})
    book = msgspec.structs.replace(book, rollout=_ROLLOUT, drill=drill)
    return rehearsed(book, _tempo(speed))


def _tempo(speed: float) -> Tempo:
    return Tempo(timeout_s=8.0, speed=speed)


def live_lines(recording: Recording, *, columns: int = COLUMNS, rows: int = ROWS) -> list[Text]:
    """Return the screen at the best moment of a run, as a terminal of that size shows it."""
    best, at = -1, 0
    tally = Tally(recording.plan)
    for number, each in enumerate(recording.records):
        tally.take(each)
        worth = worth_of(tally)
        if worth > best:
            best, at = worth, number
    tally = Tally(recording.plan)
    for each in recording.records[: at + 1]:
        tally.take(each)
    return frame(tally, recording.records[at].mono / 1e9, columns - 1, rows - 1)


def worth_of(tally: Tally) -> int:
    """Return how much there is to see at a moment of a run."""
    wave = tally.wave
    if wave is None or wave.phase != "open" or tally.stuck is not None:
        return 0
    half_way = min(wave.ends.done, wave.size - wave.ends.done, 12)
    return sum(
        (
            100 * half_way * (wave.number == wave.of - 1),
            60 * min(len(tally.parked), 4),
            60 * min(tally.returned, 2),
            400 * (tally.ends.by_word[EndState.FAILED] > 0),
            100 * (tally.ends.by_word[EndState.UNKNOWN] > 0),
            20 * min(len(tally.running), 3),
        )
    )


def end_lines(recording: Recording, *, columns: int = COLUMNS) -> list[Text]:
    """Return what is printed at the end of a run, folded as a terminal folds it."""
    ending = recording.over.ending
    ending.state.run = _RUN
    told = summary(ending, recording.plan, _RUN, log_path=_LOG, said=recording.said, drill=True)
    lines = [*told[1:], *next_lines((f"outagekit log show {_RUN}", "outagekit init my-workspace"))]
    return [piece for line in lines for piece in fold_line(line, columns)]


def svg_of(lines: Sequence[Text], *, title: str, columns: int = COLUMNS) -> str:
    """Return lines as a picture of a terminal: no font is fetched, nothing tells of a machine."""
    console = Console(
        record=True,
        file=StringIO(),
        width=columns,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        _environ={},
    )
    for line in (*lines, Text()):
        console.print(line, soft_wrap=False, no_wrap=line.no_wrap, highlight=False)
    return console.export_svg(
        title=title, theme=_THEME, code_format=_SVG, unique_id="outagekit", font_aspect_ratio=0.6
    )


def main(words: Sequence[str]) -> int:
    """Write both pictures: the live screen to the first path, the end to the second."""
    if len(words) != 2:
        sys.stderr.write("say where the two pictures go: LIVE.svg END.svg\n")
        return 2
    recording = record()
    command = f"outagekit drill {PLAYBOOK}"
    for word, lines in zip(words, (live_lines(recording), end_lines(recording)), strict=True):
        Path(word).write_text(svg_of(lines, title=command), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
