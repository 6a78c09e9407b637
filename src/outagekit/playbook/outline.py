"""A playbook as text a person reads before trusting it: every step, every line it would run."""

from __future__ import annotations

from collections.abc import Iterator

from outagekit.playbook.model import (
    Action,
    Approve,
    Fetch,
    Manual,
    Playbook,
    Push,
    Reboot,
    RunScript,
    Script,
    Step,
    WaitHttp,
    WaitScript,
    WaitTcp,
)
from outagekit.text import duration, visible, visible_line

_MARGIN = "    "


def outline(book: Playbook) -> str:
    """Return the steps with their risks and scripts; safe to print as it is."""
    return "\n".join(line for step in book.steps for line in _step(step))


def _step(step: Step) -> Iterator[str]:
    yield ""
    yield f"{step.id}  [{step.phase}, {step.risk}]  {visible_line(step.title)}"
    if step.when:
        yield f"{_MARGIN}when: {visible_line(step.when)}"
    for name, value in step.with_.items():
        yield f"{_MARGIN}with: {name} = {visible_line(str(value))}"
    yield from _action(step)
    for part in ("check", "verify", "undo"):
        script: Script | None = getattr(step, part)
        if script is not None and not (part == "verify" and script == step.check):
            yield from _script(part, script)


def _action(step: Step) -> Iterator[str]:
    match step.action:
        case RunScript(script=script):
            yield from _script("script", script)
        case WaitScript(script=script):
            yield from _script("wait until true", script)
        case WaitTcp(port=port):
            yield f"{_MARGIN}wait until TCP port {port} accepts"
        case WaitHttp(scheme=scheme, port=port, path=path, status=status):
            yield f"{_MARGIN}wait until {scheme} port {port} {visible_line(path)} answers {status}"
        case Fetch(paths=paths, max_bytes=max_bytes):
            for path in paths:
                yield f"{_MARGIN}fetch {visible_line(path)}, at most {max_bytes} bytes"
        case Push(file=file, to=to, content=content):
            yield f"{_MARGIN}push {visible_line(file)} ({len(content)} bytes) to {visible_line(to)}"
        case other:
            yield from _without_script(other)


def _without_script(action: Action) -> Iterator[str]:
    name = f"{_MARGIN}{type(action).__name__.lower()}"
    match action:
        case Approve(text=text) | Manual(text=text):
            yield f"{name}:"
            yield from _lines(text)
        case Reboot(within_s=within_s):
            yield f"{name}, back within {duration(within_s)}"
        case _:
            yield name


def _script(part: str, script: Script) -> Iterator[str]:
    for code in script.variants:
        source = f" {visible_line(code.file)}" if code.file else ""
        yield f"{_MARGIN}{part} ({code.language}{source}):"
        yield from _lines(code.text)


def _lines(text: str) -> Iterator[str]:
    for line in visible(text.rstrip("\n")).splitlines():
        yield f"{_MARGIN}  | {line}"
