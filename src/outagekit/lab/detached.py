"""Scripts that go on without a connection, as a simulated machine keeps them.

What they do, they do when they are started; what they say, and that they have ended, can be
asked for when their time is over. No clock but the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from outagekit.lab.answers import Answer
from outagekit.lab.shell import Asks
from outagekit.transports.detached import answer_ended, answer_released, answer_started

State = Literal["running", "ended", "gone", "stopped", "absent"]

_SECOND_NS: Final = 1_000_000_000


@dataclass(slots=True)
class _Script:
    answer: Answer
    began_ns: int
    ends_ns: int
    cut: Literal["", "gone", "stopped"] = ""
    """Why it never came to its end."""

    def state(self, now_ns: int) -> State:
        if self.cut:
            return self.cut
        return "running" if now_ns < self.ends_ns else "ended"


class DetachedScripts:
    """The scripts of one machine by the name of their folder."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._scripts: dict[str, _Script] = {}

    def has(self, name: str) -> bool:
        """Say whether a script was started under the name, and not released since."""
        return name in self._scripts

    def begin(self, name: str, answer: Answer) -> None:
        """Keep what a script that was just started will say; it takes as long as its answer."""
        now_ns = self._clock()
        ends_ns = now_ns + int(answer.takes_s * _SECOND_NS)
        self._scripts[name] = _Script(replace(answer, takes_s=0.0), now_ns, ends_ns)

    def tell(self, name: str, asks: Asks) -> Answer:
        """Return what the machine answers about a script, having waited as it is asked to."""
        script = self._scripts.get(name)
        if script is None:
            return Answer(stdout=_line("absent"))
        now_ns = self._clock()
        if asks.stops and script.state(now_ns) == "running":
            script.cut = "stopped"
        waits_ns = 0
        if script.state(now_ns) == "running":
            until_ns = [script.ends_ns, now_ns + asks.wait_s * _SECOND_NS]
            until_ns.append(script.began_ns + asks.limit_s * _SECOND_NS)
            waits_ns = max(0, min(until_ns) - now_ns)
        said = _said(script, now_ns + waits_ns, rest=asks.rest)
        return replace(said, takes_s=waits_ns / _SECOND_NS)

    def release(self, name: str) -> Answer:
        """Forget a script that runs no more."""
        script = self._scripts.get(name)
        if script is not None and script.state(self._clock()) == "running":
            return _said(script, self._clock(), rest=False)
        self._scripts.pop(name, None)
        return Answer(stdout=answer_released())

    def crash(self) -> None:
        """Hear that the machine was restarted: what ran then has no end."""
        for script in self._scripts.values():
            if script.state(self._clock()) == "running":
                script.cut = "gone"


def _said(script: _Script, now_ns: int, *, rest: bool) -> Answer:
    age_s = (min(now_ns, script.ends_ns) - script.began_ns) // _SECOND_NS
    state = script.state(now_ns)
    if state == "running":
        return Answer(stdout=answer_started(age_s))
    if state != "ended":
        return Answer(stdout=_line(state))
    done = script.answer
    stdout = answer_ended(done.exit_code, done.stdout, done.stderr, age_s=age_s)
    if rest:  # nothing a simulated script says is too long to be told at once
        return Answer(stdout=stdout.partition("\n")[0] + "\n")
    return Answer(stdout=stdout, stderr=done.stderr)


def _line(state: State) -> str:
    return f"outagekit-detached {state} code= age=0 out=0 err=0\n"
