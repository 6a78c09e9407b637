"""What the lab's tests share: a small playbook with a drill, and commands as they are sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outagekit.events import EndpointId, StepId
from outagekit.lab.machine import Machine
from outagekit.playbook.model import (
    Code,
    Drill,
    DrillStep,
    Playbook,
    RunScript,
    Script,
    Step,
)


def code(text: str = "true") -> Script:
    return Script((Code("sh", text),))


def step(name: str, **given: Any) -> Step:
    fields: dict[str, Any] = {
        "id": StepId(name),
        "title": name,
        "phase": "fix",
        "action": RunScript(code()),
        "risk": "read",
        "needs": ("diagnose",),
    }
    return Step(**{**fields, **given})


def small_playbook(**given: Any) -> Playbook:
    fields: dict[str, Any] = {
        "name": "small",
        "title": "Small",
        "targets": "os:linux",
        "steps": (
            step("detect", phase="assess", result={"impacted": "bool"}),
            step("fix", risk="change", when="detect.impacted", check=code(), verify=code()),
        ),
        "drill": Drill(
            state={"impacted": "60%"},
            steps={
                StepId("detect"): DrillStep(stdout='{"impacted": {{ impacted | tojson }}}\n'),
                StepId("fix"): DrillStep(stdout="done\n", set={"impacted": False}),
            },
        ),
    }
    return Playbook(**{**fields, **given})


def sent(text: str = "true", **values: str) -> bytes:
    """A script as the transport sends it."""
    lines = [f"OK_{n.upper()}=" + "'" + v.replace("'", "'\\''") + "'" for n, v in values.items()]
    return "\n".join(("{ {", "set -eu", *lines, text, "} </dev/null", "}")).encode()


@pytest.fixture(name="step")
def _step() -> Callable[..., Step]:
    return step


@pytest.fixture(name="script")
def _script() -> Callable[..., Script]:
    return code


@pytest.fixture(name="sent")
def _sent() -> Callable[..., bytes]:
    return sent


@pytest.fixture(name="book")
def _book() -> Callable[..., Playbook]:
    return small_playbook


@pytest.fixture
def drilled() -> Callable[..., Playbook]:
    """The small playbook with another drill block for its step `fix`."""

    def made(state: dict[str, Any], **fix: Any) -> Playbook:
        book = small_playbook()
        assert book.drill is not None
        steps = {**book.drill.steps, StepId("fix"): DrillStep(**fix)}
        return msgspec.structs.replace(book, drill=Drill(state=state, steps=steps))

    return made


@pytest.fixture(name="machine")
def _machine() -> Callable[..., Machine]:
    def made(book: Playbook | None = None, name: str = "acme/srv-001", **given: Any) -> Machine:
        return Machine(EndpointId(name), book or small_playbook(), **given)

    return made


@pytest.fixture
def lab_folder(tmp_path: Path) -> Path:
    return tmp_path / "lab"
