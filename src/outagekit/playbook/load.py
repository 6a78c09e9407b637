"""A playbook file and the files beside it, read and judged as a whole.

All problems are reported at once: where one part cannot be used it is left out, and the rest is
still judged.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from outagekit.errors import InvalidInput, Problem
from outagekit.playbook.findings import Findings
from outagekit.source import (
    Document,
    Location,
    invalid,
    parse_document,
    place_of,
    problems_of,
    read_bytes,
)
from outagekit.text import slug

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError

    from outagekit.playbook.input import PlaybookInput
    from outagekit.playbook.model import Playbook

Origin = Literal["shipped", "workspace", "outside"]

LIMIT_BYTES = 1024 * 1024
_ROUNDS = 5
_DID_YOU_MEAN = re.compile(r"did you mean `(.+)`\?")


def load_playbook(path: Path, *, origin: Origin = "outside") -> Playbook:
    """Return the playbook at `path`; raises InvalidInput with every problem of all its files."""
    playbook, problems = inspect(path, origin=origin)
    if playbook is None:
        raise invalid(path, tuple(problem for problem in problems if not problem.warning))
    return playbook


def inspect(
    path: Path, *, origin: Origin = "outside"
) -> tuple[Playbook | None, tuple[Problem, ...]]:
    """Return the playbook, or None if it has faults, and all faults and warnings in order."""
    try:
        data = read_bytes(path, limit_bytes=LIMIT_BYTES)
        document = parse_document(path, data)
    except InvalidInput as error:
        return None, error.problems
    findings = Findings(document, list(document.problems), set(document.broken()))
    playbook = _judged(document, findings, data)
    problems = tuple(sorted(set(findings.problems)))
    if playbook is None or not all(problem.warning for problem in problems):
        return None, problems
    return msgspec.structs.replace(playbook, origin=origin), problems


def _judged(document: Document, findings: Findings, data: bytes) -> Playbook | None:
    # The heavy parts (pydantic) are loaded by the first playbook that is read.
    from outagekit.playbook.actions import ActionBuilder  # noqa: PLC0415
    from outagekit.playbook.build import PlaybookBuilder  # noqa: PLC0415
    from outagekit.playbook.check import check  # noqa: PLC0415
    from outagekit.playbook.folder import Folder, digest  # noqa: PLC0415
    from outagekit.playbook.lint import lint  # noqa: PLC0415

    read = _validated(document, findings)
    if read is None:
        return None
    folder = Folder(document.path.parent)
    actions = ActionBuilder(findings, folder)
    playbook = PlaybookBuilder(actions).build(read, name_of(document.path))
    check(playbook, findings)
    lint(playbook, actions.written, findings)
    return msgspec.structs.replace(
        playbook,
        digest=digest(document.path.name, data, folder.used),
        path=str(document.path),
    )


def name_of(path: Path) -> str:
    """Return a playbook's name: its file's, or its folder's if the file is `playbook.yaml`."""
    stem = path.absolute().parent.name if path.stem == "playbook" else path.stem
    return slug(stem)


def _validated(document: Document, findings: Findings) -> PlaybookInput | None:
    """Return the file as input values, with what is wrong in it noted and left out.

    None if not even the rest makes sense.
    """
    from pydantic import ValidationError  # noqa: PLC0415  (heavy)

    from outagekit.playbook.input import PlaybookInput  # noqa: PLC0415

    tree = document.root.value
    for number in range(_ROUNDS):
        try:
            return PlaybookInput.model_validate(tree)
        except ValidationError as error:
            if number == 0:
                findings.problems += problems_of(error, document, PlaybookInput)
                tree = copy.deepcopy(tree)
            if not isinstance(tree, dict) or not _repair(tree, error, findings):
                return None
    return None


def _repair(tree: dict[str, Any], error: ValidationError, findings: Findings) -> bool:
    """Leave out or replace what pydantic refused; return whether that may have helped."""
    hopeful = True
    for detail in error.errors(include_url=False, include_context=False):
        loc = place_of(detail)
        if detail["type"] == "extra_forbidden":
            _rename(tree, loc, findings)
            continue
        cut = loc[:-1] if detail["type"] == "missing" else loc
        if loc == ("outagekit",):
            tree["outagekit"] = 1
        elif loc == ("title",):
            tree["title"] = "Untitled"
        else:
            hopeful = _cut(tree, cut, findings) and hopeful
    return hopeful


def _rename(tree: Any, loc: Location, findings: Findings) -> None:
    """Give an unknown key the name it was probably meant to have, else remove it."""
    above = _at(tree, loc[:-1])
    if not isinstance(above, dict) or loc[-1] not in above:
        return
    value = above.pop(loc[-1])
    place = findings.document.mark(loc, key=True)
    hints = [p.hint for p in findings.problems if (p.line, p.column) == place]
    meant = next((m[1] for hint in hints if (m := _DID_YOU_MEAN.fullmatch(hint))), None)
    if meant and meant not in above:
        above[meant] = value
    else:
        findings.repaired.add(loc)


def _cut(tree: Any, loc: Location, findings: Findings) -> bool:
    """Remove a refused value, or the mapping's key above it if it is in a list."""
    while loc and isinstance(loc[-1], int) and loc[:-1] != ("steps",):
        loc = loc[:-1]
    findings.repaired.add(loc)
    above = _at(tree, loc[:-1])
    if not loc or loc == ("steps",) or not above:
        return False
    if loc[:-1] == ("steps",):
        above[loc[-1]] = {"id": f"step_{loc[-1]}", "manual": "-"}
    elif loc[:-1] == ("params",):
        above[loc[-1]] = {}
    else:
        above.pop(loc[-1], None)
    return True


def _at(tree: Any, loc: Location) -> Any:
    """Return the list or mapping at a place, or None if it was removed meanwhile."""
    for part in loc:
        inside = isinstance(tree, dict) and part in tree
        within = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if not (inside or within):
            return None
        tree = tree[part]
    return tree
