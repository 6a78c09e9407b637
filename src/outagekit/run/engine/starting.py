"""Which endpoints take their next step now, in a fair order and within all bounds. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from outagekit.events import EndpointId
from outagekit.run.engine.attempts import next_command
from outagekit.run.engine.commands import Command, Start
from outagekit.run.engine.doubts import settle_one
from outagekit.run.engine.placing import next_index, stage_at
from outagekit.run.engine.questions import waits_for_a_yes
from outagekit.run.engine.situation import Bounds, Situation
from outagekit.run.engine.spread import STRAGGLERS, Spread
from outagekit.run.engine.state import State, place_of
from outagekit.run.engine.turns import Place


def next_steps(
    state: State, situation: Situation, *, only: Collection[EndpointId] | None = None
) -> list[Command]:
    """Return the steps that can begin now; with `only` no other endpoint is considered.

    Begun endpoints go before new ones, clients and sites take turns, and one that is seen for a
    moment only goes before everybody.
    """
    return list(_Picking(state, situation).commands(only))


class _Picking:
    """One round of choosing, with the room that is left in it."""

    def __init__(self, state: State, situation: Situation) -> None:
        self._state = state
        self._now_ns = situation.now_ns
        self._bounds = situation.bounds
        self._room = situation.bounds.running - len(state.running)
        self._taken: Counter[Place] = Counter()
        self._limits: dict[Place, int | None] = {}
        self._late: Counter[int] = Counter()

    def commands(self, only: Collection[EndpointId] | None) -> Iterator[Command]:
        for identity in self._candidates():
            if self._room <= 0:
                return
            doubtful = identity in self._state.attention
            if only is not None and not doubtful and not self._is_retried(identity, only):
                continue
            progress = self._state.progress[identity]
            command = (
                settle_one(self._state, progress, self._now_ns)
                if doubtful
                else next_command(self._state, progress)
            )
            if isinstance(command, Start):
                self._room -= 1
                self._taken[place_of(progress.endpoint)] += 1
            yield command

    def _is_retried(self, identity: EndpointId, only: Collection[EndpointId]) -> bool:
        """Return whether one may go although a gate is closed, and only as far as that gate.

        What is to be taken back is taken back, so that nothing is left half done while it is shut.
        """
        state = self._state
        progress = state.progress[identity]
        if progress.undo:
            return True
        if identity not in only or state.closed_gate is None:
            return False
        if progress.recheck:
            return True
        return stage_at(state, next_index(state, progress)) <= state.closed_gate[0]

    def _candidates(self) -> Iterator[EndpointId]:
        state = self._state
        for identity in state.pouncing:
            if not self._is_full(self._place(identity)) and self._may_straggle(identity):
                yield identity
        for identity in state.attention:
            if not self._is_full(self._place(identity)):
                yield identity
        for identity, due_ns in state.delayed.items():
            if due_ns <= self._now_ns and not self._is_full(self._place(identity)):
                yield identity
        yield from state.continuing.next(self._is_full)
        yield from filter(self._may_straggle, state.straggling.next(self._is_full))
        yield from state.fresh.next(self._is_full)

    def _place(self, identity: EndpointId) -> Place:
        return place_of(self._state.progress[identity].endpoint)

    def _is_full(self, place: Place) -> bool:
        if place not in self._limits:
            self._limits[place] = _site_limit(self._state, place, self._bounds)
        limit = self._limits[place]
        return limit is not None and self._state.running_at[place] + self._taken[place] >= limit

    def _may_straggle(self, identity: EndpointId) -> bool:
        """Return whether one that came back may take its step in a stage with waves.

        Not before the first gate has passed, not while a person is asked whether to go on, and
        never more at once than have proven the change.
        """
        state = self._state
        progress = state.progress[identity]
        stage = stage_at(state, next_index(state, progress))
        if not state.spreads_in(state.plan.stages[stage - 1]):
            return True
        spread = state.spreads.get(stage)
        if spread is None:  # a stage nobody was left for when the others passed it
            return state.stage is not None and stage < state.stage.number
        if spread.waves and not spread.judged:
            return False
        tally = spread.tally(STRAGGLERS)
        proven = sum(map(len, spread.waves[: spread.judged])) + tally["good"]
        joins = identity not in spread.stragglers or not _is_at_work(spread, identity)
        if joins and waits_for_a_yes(state, state.plan.stages[stage - 1]):
            return False
        if joins and tally["busy"] + self._late[stage] >= max(1, proven):
            return False
        self._late[stage] += joins
        return True


def _is_at_work(spread: Spread, identity: EndpointId) -> bool:
    return identity in spread.counted and "busy" in spread.counted[identity][1]


def _site_limit(state: State, place: Place, bounds: Bounds) -> int | None:
    client, name = place
    if not name:
        return None
    own = state.plan.client(client).sites[name].concurrency
    return own if own is not None else bounds.per_site
