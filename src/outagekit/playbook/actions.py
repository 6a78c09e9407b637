"""From a step as written to what it does: its action, and the scripts of its other parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from outagekit.playbook import model
from outagekit.playbook.folder import Folder, Unusable
from outagekit.playbook.input import (
    FETCH_BYTES,
    CodeInput,
    FetchInput,
    PushInput,
    StepInput,
    WaitInput,
)
from outagekit.source import shown
from outagekit.text import fold_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from outagekit.playbook.findings import Findings
    from outagekit.source import Location

LANGUAGES: Final = ("sh", "bash", "powershell", "cmd")
LATER: Final = ("http", "vendor_status", "notify")
ACTIONS: Final = (
    *LANGUAGES,
    *("script", "reboot", "wait", "fetch", "push", "manual", "approve"),
    *LATER,
)
LANGUAGE_OF: Final[dict[str, model.Language]] = {
    ".sh": "sh",
    ".bash": "bash",
    ".ps1": "powershell",
    ".cmd": "cmd",
    ".bat": "cmd",
}
"""What a script file's extension says."""
_SHORTEST_EVERY_S = 0.1


@dataclass(slots=True)
class Written:
    """A piece of code and where the playbook has it."""

    code: model.Code
    loc: Location


@dataclass(slots=True)
class ActionBuilder:
    """Builds the actions and scripts of one playbook; what is wrong goes to `findings`."""

    findings: Findings
    folder: Folder
    written: list[Written] = field(default_factory=list)
    """All code met so far, for the checks that read scripts."""

    def action(self, loc: Location, step: StepInput) -> model.AnyAction | None:
        """Return what the step does, or None after noting why that cannot be said."""
        action = self._action(loc, step)
        if action is None:
            self.findings.repaired.add((*loc, "action"))
        return action

    def _action(self, loc: Location, step: StepInput) -> model.AnyAction | None:
        given = [key for key in ACTIONS if getattr(step, key) is not None]
        if len(given) != 1:
            self._count_fault(loc, given)
            return None
        key = given[0]
        inside = (*loc, key)
        if key in LANGUAGES:
            script = self._text(inside, key, getattr(step, key))
            return model.RunScript(script) if script else None
        return self._makers()[key](inside, getattr(step, key))

    def part(
        self, loc: Location, value: str | CodeInput | None, language: model.Language | None
    ) -> model.Script | None:
        """Return a check, verify or undo; `language` is what a plain text is in, if any."""
        script = None if value is None else self._part(loc, value, language)
        if script is None and value is not None:
            self.findings.repaired.add(loc)
        return script

    def _part(
        self, loc: Location, value: str | CodeInput, language: model.Language | None
    ) -> model.Script | None:
        if isinstance(value, CodeInput):
            return self._code(loc, value)
        if language is None:
            hint = f"write `{loc[-1]}: {{sh: ...}}`, or another of {', '.join(LANGUAGES[1:])}"
            self.findings.add(loc, f"`{loc[-1]}` must name its language here", hint)
            return None
        return self._text(loc, language, value)

    def _makers(self) -> dict[str, Callable[..., model.AnyAction | None]]:
        later = dict.fromkeys(LATER, self._later)
        return {
            "script": self._run_files,
            "reboot": self._reboot,
            "wait": self._wait,
            "fetch": self._fetch,
            "push": self._push,
            "manual": lambda _, text: model.Manual(text),
            "approve": lambda _, text: model.Approve(text),
            **later,
        }

    def _count_fault(self, loc: Location, given: list[str]) -> None:
        if self.findings.uncertain(loc):
            return
        if given:
            listed = fold_list([f"`{key}`" for key in given], limit=len(given))
            message = f"a step has one action, this one has {listed}"
            self.findings.add((*loc, given[1]), message, "make it several steps", key=True)
        else:
            wanted = ", ".join(key for key in ACTIONS if key not in LATER)
            self.findings.add(loc, "the step has no action", f"give it one of {wanted}")

    def _run_files(self, loc: Location, files: str | list[str]) -> model.RunScript | None:
        script = self._files(loc, files)
        return model.RunScript(script) if script else None

    def _reboot(self, loc: Location, within_s: float) -> model.Reboot:
        if not within_s:
            self.findings.add(loc, "`reboot` must be more than 0", "15m is a good start")
        return model.Reboot(within_s)

    def _later(self, loc: Location, settings: object) -> model.Later:
        name = next(key for key in LATER if key == loc[-1])
        return model.Later(name, settings)

    def _fetch(self, _: Location, value: str | list[str] | FetchInput) -> model.Fetch:
        if isinstance(value, FetchInput):
            return model.Fetch(tuple(value.paths), value.max)
        paths = (value,) if isinstance(value, str) else tuple(value)
        return model.Fetch(paths, FETCH_BYTES)

    def _push(self, loc: Location, value: PushInput) -> model.Push | None:
        try:
            content = self.folder.content(value.file)
        except Unusable as error:
            self.findings.add((*loc, "file"), error.message, error.hint)
            return None
        return model.Push(value.file, value.to, content, int(value.mode, 8))

    def _wait(self, loc: Location, value: WaitInput) -> model.AnyAction | None:
        keys = ("tcp", "http", *LANGUAGES)
        given = [key for key in keys if getattr(value, key) is not None]
        if value.every < _SHORTEST_EVERY_S:
            self.findings.add((*loc, "every"), "`every` must be at least 100ms")
        if len(given) != 1:
            if not self.findings.uncertain(loc):
                self.findings.add(loc, f"`wait` needs exactly one of {', '.join(keys)}")
            return None
        if value.tcp is not None:
            return model.WaitTcp(value.tcp, value.every)
        if value.http is not None:
            http = value.http
            return model.WaitHttp(http.port, http.path, http.scheme, http.status, value.every)
        script = self._text((*loc, given[0]), given[0], getattr(value, given[0]))
        return model.WaitScript(script, value.every) if script else None

    def _code(self, loc: Location, value: CodeInput) -> model.Script | None:
        given = [key for key in (*LANGUAGES, "script") if getattr(value, key) is not None]
        if len(given) != 1:
            if not self.findings.uncertain(loc):
                message = f"`{loc[-1]}` needs exactly one of {', '.join(LANGUAGES)}, script"
                self.findings.add(loc, message)
            return None
        if value.script is not None:
            return self._files((*loc, "script"), value.script)
        return self._text((*loc, given[0]), given[0], getattr(value, given[0]))

    def _text(self, loc: Location, language: str, text: str) -> model.Script | None:
        if not text.strip():
            self.findings.add(loc, f"`{loc[-1]}` is empty")
            return None
        code = model.Code(_language(language), text)
        self.written.append(Written(code, loc))
        return model.Script((code,))

    def _files(self, loc: Location, files: str | list[str]) -> model.Script | None:
        named = [(loc, files)] if isinstance(files, str) else list(_places(loc, files))
        found = [self._file(place, name) for place, name in named]
        variants = tuple(code for code in found if code)
        taken: dict[str, str] = {}
        for (place, name), code in zip(named, found, strict=True):
            if code and code.language in taken:
                other = taken[code.language]
                message = f"{shown(name)} and {shown(other)} are both {code.language}"
                self.findings.add(place, message, "one file for each language")
            elif code:
                taken[code.language] = name
        return model.Script(variants) if variants else None

    def _file(self, loc: Location, name: str) -> model.Code | None:
        language = LANGUAGE_OF.get(PurePosixPath(name).suffix.lower())
        if language is None:
            hint = f"the name ends in {', '.join(LANGUAGE_OF)}"
            self.findings.add(loc, f"the language of {shown(name)} is not known", hint)
            return None
        try:
            code = model.Code(language, self.folder.text(name), name)
        except Unusable as error:
            if error.problem:
                self.findings.problems.append(error.problem)
            else:
                self.findings.add(loc, error.message, error.hint)
            return None
        self.written.append(Written(code, loc))
        return code


def _places(loc: Location, files: list[str]) -> list[tuple[Location, str]]:
    return [((*loc, index), name) for index, name in enumerate(files)]


def _language(word: str) -> model.Language:
    return next(language for language in LANGUAGE_OF.values() if language == word)
