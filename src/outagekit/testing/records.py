"""Records of a run in a few words, for tests of whoever reads them."""

from __future__ import annotations

from outagekit.events import AnyEvent, Record, RunId

RUN = RunId("20261122T081403Z-demo-x7q2")


def records(*events: AnyEvent | tuple[float, AnyEvent], life: str = "k3f9") -> tuple[Record, ...]:
    """Return the events as records of one process life.

    An event may come with the monotonic second at which it happens; else that is 0.
    """
    timed = [each if isinstance(each, tuple) else (0.0, each) for each in events]
    return tuple(
        Record(
            seq=seq,
            at="2026-11-22T08:14:03.120411Z",
            mono=int(at_s * 1e9),
            life=life,
            run=RUN,
            event=event,
            sha="ab" * 32,
        )
        for seq, (at_s, event) in enumerate(timed)
    )
