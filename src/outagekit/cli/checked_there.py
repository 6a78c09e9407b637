"""`check --on`: an endpoint parses what a playbook would run on it, and nothing of it is run.

Only the endpoint's own parser knows what it takes: another version, another shell, another truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from outagekit.errors import Problem, UsageError
from outagekit.text import fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.cli.prepare import Desk
    from outagekit.inventory.model import Endpoint
    from outagekit.playbook.model import Code, Playbook, Script, Step
    from outagekit.source import Document, Location
    from outagekit.transports.protocol import Command, Failure, Outcome, Transport

_PARSE_S: Final = 60.0
"""How long an endpoint may take for one text; PowerShell starts slowly on a busy machine."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Piece:
    """A text of a playbook, and where it stands: in a file of its own, or in the playbook's."""

    code: Code
    document: Document
    loc: Location | None
    """None: the document is the text's own file."""

    def problem(self, line: int, column: int, message: str) -> Problem:
        """Return a problem at a place of the text; line 0: somewhere in it."""
        offset = _offset(self.code.text, line, column)
        if self.loc is not None:
            return self.document.problem(self.loc, message, offset=offset)
        from outagekit.source.document import problem_at

        before = self.code.text[:offset]
        place = (before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
        return problem_at(self.document.path, self.document.lines, place, message)


@dataclass(frozen=True, slots=True)
class There:
    """What came of having an endpoint parse a playbook."""

    endpoint: str
    parsed: int = 0
    passed_over: int = 0
    """Texts of a language nothing can parse without running it: cmd."""
    problems: tuple[Problem, ...] = ()
    failure: Failure | None = None
    """Why not everything was parsed."""

    @property
    def exit_code(self) -> int:
        """As of a run: 3 failed, 4 unreachable or unknown; 0 where the problems say it all."""
        from outagekit.events import EndState

        if self.failure is None:
            return 0
        return 3 if self.failure.state is EndState.FAILED else 4


def check_there(desk: Desk, playbook: Playbook, endpoints: Sequence[Endpoint]) -> There:
    """Connect to the one endpoint that was named and have it parse what it would run.

    Raises `UsageError` for more than one, `InvalidInput` for files that cannot be read.
    """
    from outagekit.cli.prepare import open_access
    from outagekit.cli.reaching import targets_of
    from outagekit.transports.open import transport_for
    from outagekit.transports.protocol import Failure

    if len(endpoints) != 1:
        named = fold_list([endpoint.id for endpoint in endpoints], _SHOWN)
        raise UsageError(f"--on names one endpoint, this names {len(endpoints)}: {named}")
    endpoint = endpoints[0]
    pieces = tuple(pieces_of(playbook, endpoint))
    access = open_access(desk, endpoints)
    transport = transport_for(targets_of(desk, endpoints)[0], access)
    try:
        opened = transport.open()
        if isinstance(opened, Failure):
            return There(endpoint.id, failure=opened)
        return _parsed(endpoint, transport, pieces)
    finally:
        transport.close()
        access.close()


def pieces_of(playbook: Playbook, endpoint: Endpoint) -> Iterator[Piece]:
    """Yield every text of a playbook that an endpoint would be given, each place once."""
    from outagekit.source import parse_document

    path = Path(playbook.path)
    document = parse_document(path)
    seen: set[tuple[Path, Location | None]] = set()
    for index, step in enumerate(playbook.steps):
        for key, script in _scripts(step):
            code = script.for_os(endpoint.os)
            if code is None:
                continue
            piece = _placed(code, document, ("steps", index, key) if key else ("steps", index))
            if (piece.document.path, piece.loc) not in seen:
                seen.add((piece.document.path, piece.loc))
                yield piece


def document_of(there: There) -> dict[str, Any]:
    """Return what `--json` prints."""
    from outagekit.cli.problems import problems_document

    failure = there.failure
    said = {"kind": failure.kind.value, "detail": failure.detail} if failure else None
    return {
        "endpoint": there.endpoint,
        "parsed": there.parsed,
        "passed_over": there.passed_over,
        "problems": problems_document(there.problems),
        "failure": said,
    }


def _scripts(step: Step) -> Iterator[tuple[str, Script]]:
    from outagekit.playbook.model import RunScript, WaitScript

    if isinstance(step.action, RunScript | WaitScript):
        yield "", step.action.script
    for key, script in (("check", step.check), ("verify", step.verify), ("undo", step.undo)):
        # A check that stands for verify, too, is written only once.
        if script is not None and not (key == "verify" and script is step.check):
            yield key, script


def _placed(code: Code, document: Document, under: Location) -> Piece:
    """Return a text with the place it is written at; near it where it cannot be found."""
    if code.file:
        from outagekit.source.document import Document, Node

        path = document.path.parent / code.file
        lines = tuple(code.text.split("\n"))
        return Piece(code, Document(path, lines, Node(code.text, 1, 1)), None)
    parts = {"check", "verify", "undo"} if len(under) == 2 else set()  # noqa: PLR2004  (a step)
    waiting = [under]
    while waiting:
        loc = waiting.pop(0)
        node = document.node(loc)
        if node.value == code.text:
            return Piece(code, document, loc)
        waiting += [(*loc, key) for key in node.children if not (loc == under and key in parts)]
    return Piece(code, document, under)


def _offset(text: str, line: int, column: int) -> int:
    """Return which character a place is; the end of the text for one behind it."""
    lines = text.split("\n")
    if line <= 0:
        return 0
    if line > len(lines):
        return len(text.rstrip())
    there = lines[line - 1]
    begin = sum(len(each) + 1 for each in lines[: line - 1])
    if column <= 0:  # only the line is known: where its text begins
        column = len(there) - len(there.lstrip()) + 1
    return min(begin + min(column - 1, len(there)), len(text.rstrip()))


def _parsed(endpoint: Endpoint, transport: Transport, pieces: Sequence[Piece]) -> There:
    from outagekit.transports.protocol import Limits

    problems: list[Problem] = []
    parsed = passed_over = 0
    for piece in pieces:
        if piece.code.language == "cmd":
            passed_over += 1
            continue
        outcome = transport.execute(_command(piece.code), Limits(run_s=_PARSE_S))
        found = _found(piece, outcome)
        if found is None:
            failure = outcome.failure or _nonsense(outcome)
            return There(endpoint.id, parsed, passed_over, tuple(problems), failure)
        parsed += 1
        problems += found
    return There(endpoint.id, parsed, passed_over, tuple(problems))


def _command(code: Code) -> Command:
    from outagekit.transports.posix import parsing as posix
    from outagekit.transports.windows import parsing as windows

    if code.language == "powershell":
        return windows.parse_command(code)
    return posix.parse_command(code)


def _found(piece: Piece, outcome: Outcome) -> list[Problem] | None:
    from outagekit.transports.posix.parsing import parse_problem
    from outagekit.transports.windows.parsing import parse_problems

    if piece.code.language == "powershell":
        told = parse_problems(outcome)
        return None if told is None else [piece.problem(t.line, t.column, t.message) for t in told]
    said = parse_problem(outcome)
    if said is None:
        return None
    return [piece.problem(said.line, 0, said.message)] if said.message else []


def _nonsense(outcome: Outcome) -> Failure:
    from outagekit.events import FailureKind
    from outagekit.transports.protocol import Failure

    lines = (outcome.stderr.text.strip() or outcome.stdout.text.strip()).splitlines()
    said = f": {visible_line(lines[-1])[:200]}" if lines else ""
    return Failure(FailureKind.PROTOCOL, f"the endpoint did not parse the script{said}")
