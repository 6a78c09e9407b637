"""What can be decided: a fact to be written down, or an attempt to be begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outagekit.events import AnyEvent, AttemptId, EndpointId, Purpose, StepStarted
from outagekit.playbook.model import Step


@dataclass(frozen=True, slots=True)
class Start:
    """Begin an attempt of a step on an endpoint, with the values its scripts get."""

    endpoint: EndpointId
    step: Step
    attempt: AttemptId
    number: int
    values: Mapping[str, Any] = field(default_factory=dict)
    purpose: Purpose = "do"
    tries: int = 1
    """How often the step was begun, this time included."""
    detach: str = ""

    @property
    def event(self) -> StepStarted:
        """The record that has to be durable before anything is sent."""
        return StepStarted(
            endpoint=self.endpoint,
            step=self.step.id,
            attempt=self.attempt,
            number=self.number,
            purpose=self.purpose,
        )


Command = AnyEvent | Start
"""An event is a decision that needs nothing but to be recorded."""
