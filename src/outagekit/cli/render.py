"""The screen: the only place where something is printed. Data on stdout, people on stderr.

Text from outside becomes visible before it becomes `Text`; markup is never read. Without a
terminal, with `--plain` and with NO_COLOR nothing that a terminal obeys is written, apart from
the live view's cursor, which only exists on a terminal.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from outagekit.cli.fitting import fold_line, table_text
from outagekit.cli.problems import closing_line, problem_lines
from outagekit.cli.verdict import verdict_lines
from outagekit.errors import InvalidInput, OutagekitError, Refused, StoppedByPerson, UsageError
from outagekit.events import EndState
from outagekit.text import printable_json, visible, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from outagekit.errors import Problem
    from outagekit.log.verify import Verdict

STATE_STYLE: Final[dict[EndState, str]] = {
    EndState.FAILED: "bold red",
    EndState.UNKNOWN: "bold magenta",
    EndState.UNREACHABLE: "yellow",
    EndState.CHANGED: "cyan",
    EndState.OK: "green",
    EndState.SKIPPED: "dim",
}
"""The colour of an end state; the word always stands beside it."""

_MAX_NEXT: Final = 3
_WITHOUT_TERMINAL: Final = 120
_HINT_INDENT: Final = " " * len("hint: ")
"""Lines of a hint stand below each other, so that a caret points at what it means."""
_OURS = re.compile(r"(^|&& )outagekit(?= )")
_WITHOUT_STATE = re.compile(r"(^|&& )outagekit (init|check|schema|inventory|secret set)\b")
"""Commands that know of no state folder."""

named_state: ContextVar[Path | None] = ContextVar("named_state", default=None)
"""The state folder the running command was given on its command line."""


class _Console(Console):
    """A console whose reader may go away without anybody noticing."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _silence(self.file)


class Screen:
    """Where a command speaks. Made once per command; may be used from several threads.

    `stdout`, `stderr` and `stdin` are those of the process unless given. That the reader of
    either output goes away is no error: what is left to say is said to nobody.
    """

    def __init__(
        self,
        *,
        plain: bool = False,
        json: bool = False,
        quiet: bool = False,
        verbose: int = 0,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.plain = plain
        self.json = json
        self.quiet = quiet
        self.verbose = verbose
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._stdin = stdin or sys.stdin
        self._stdout_gone = False
        self._terminal = _is_terminal(self._stderr) and not plain
        colour = self._terminal and not os.environ.get("NO_COLOR")
        self.people: Final = _Console(
            file=self._stderr,
            force_terminal=self._terminal,
            force_jupyter=False,
            force_interactive=self._terminal,
            color_system="auto" if colour else None,
            width=None if self._terminal else _WITHOUT_TERMINAL,
            markup=False,
            emoji=False,
            highlight=False,
        )
        """The console on stderr: for the live view, which draws by itself."""

    @property
    def live(self) -> bool:
        """Whether a live view can be shown: stderr is a terminal that can do more than print."""
        able = self._terminal and not self.people.is_dumb_terminal
        return able and not (self.json or self.quiet) and _is_utf8(self._stderr)

    @property
    def page_width(self) -> int | None:
        """Columns of the terminal that stdout is; None where nothing is folded or shortened."""
        narrow = _is_terminal(self._stdout) and not self.plain
        return shutil.get_terminal_size().columns if narrow else None

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: stdin and stderr are terminals."""
        return _is_terminal(self._stdin) and _is_terminal(self._stderr)

    def say(self, what: RenderableType | tuple[Text, ...] | list[Text]) -> None:
        """Tell people something: text, lines, or anything Rich can draw.

        A `str` is made visible. On a terminal, long lines are folded between words with their
        indentation kept; a `Text` with `no_wrap` is left whole, so that it can be copied.
        """
        if isinstance(what, str):
            what = Text(visible(what))
        if isinstance(what, Text):
            what = (what,)
        if isinstance(what, tuple | list):
            self._print(Text("\n").join(self._folded(what)), whole=True)
        else:
            self._print(what)

    def note(self, what: str | Text | tuple[Text, ...]) -> None:
        """Tell people something they could do without; nothing with `-q`."""
        if not self.quiet:
            self.say(what)

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines to people in one go, made visible and never folded."""
        shown = "\n".join(map(visible_line, texts))
        if shown:
            self._print(Text(shown), whole=True)

    def warn(self, text: str) -> None:
        """Tell people of something that may be wrong."""
        self.say(Text.assemble(("warning: ", "yellow"), visible(text)))

    def error(self, error: OutagekitError) -> None:
        """Tell people why a command cannot go on, with every problem and what to try next."""
        if isinstance(error, InvalidInput) and error.problems:
            self.say(problem_lines(error.problems, width=self._width))
            if [problem.message for problem in error.problems] == [error.message]:
                return
        self.say(Text.assemble((f"{_name(error)}: ", "bold red"), visible(error.message)))
        if error.hint:
            hint = visible(error.hint).replace("\n", f"\n{_HINT_INDENT}")
            self.say(Text.assemble(("hint: ", "cyan"), hint))

    def problems(self, problems: Sequence[Problem]) -> None:
        """Tell people of every problem and warning, and how many there are."""
        self.say((*problem_lines(problems, width=self._width), closing_line(problems)))

    def next(self, commands: Sequence[str]) -> None:
        """Show at most three commands to paste; nothing with `-q`."""
        if not self.quiet and commands:
            self.say(next_lines(commands))

    def ask(self, question: str, *, flag: str, expected: str | None = None) -> str:
        """Ask a person and return the answer without blanks around it.

        With `expected` any other answer is a no; case does not matter, and `yes` is as good as
        `y`. Raises `UsageError` naming `flag` (empty: there is none) without a terminal,
        `StoppedByPerson` for a no, for no answer and for an end of input.
        """
        if not self.interactive:
            how = f"say it beforehand with {flag}" if flag else "run it at a terminal"
            missing = f"there is no terminal to ask at; {how}"
            raise UsageError(missing, hint=f"the question is: {visible(question)}")
        folded = Text("\n").join(self._folded([Text(visible(question))]))
        self._forget_typed()
        self.people.print(folded.append(" "), end="", soft_wrap=True)
        line = ""
        try:
            line = self._stdin.readline()
        finally:
            if not line.endswith("\n"):  # the cursor still stands behind the question
                self._print(Text())
        answer = line.strip()
        if not answer:
            raise StoppedByPerson("no answer, so nothing begins")
        if expected is not None and not _same(answer, expected):
            given = visible_line(answer[:40])
            raise StoppedByPerson(f'the answer was "{given}", not {expected}, so nothing begins')
        return answer

    def _forget_typed(self) -> None:
        """Let nothing answer a question that was typed before anybody could read it."""
        from outagekit.cli.people.keys import forget_typed

        with suppress(OSError, ValueError):
            if self._stdin.isatty():
                forget_typed(self._stdin.fileno())

    def print(self, what: str | Text) -> None:
        """Write a line (or several) to stdout, made visible; with `--json` to people instead.

        There stdout belongs to the one `document`.
        """
        text = what.plain if isinstance(what, Text) else what
        if self.json:
            self.say(text)
        else:
            self.data(f"{visible(text)}\n")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table to stdout; with `--json` to people instead, as `print` does.

        On a terminal that is too narrow the widest columns are shortened; a file or a pipe gets
        every cell whole.
        """
        if self.json:
            self.people_table(headers, rows)
        else:
            self.data(f"{table_text(headers, rows, self.page_width)}\n")

    def people_table(self, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show people a table, with no cell shortened: what they decide upon is all there."""
        self._print(Text(table_text(headers, rows, None)), whole=True)

    def verdict(self, verdict: Verdict, path: Path) -> None:
        """Write to stdout what verifying the log at `path` came to."""
        self.print("\n".join(verdict_lines(verdict, path)))

    def document(self, what: object) -> None:
        """Write one JSON document to stdout: structs, dataclasses and paths included.

        Characters a terminal might obey are escaped as JSON does it, so it is the same value.
        """
        plain = msgspec.to_builtins(what, str_keys=True, enc_hook=_builtin)
        self.data(f"{json_text(plain, indent=2)}\n")

    def data(self, text: str) -> None:
        """Write text to stdout as it is. Raises `OutagekitError` if it cannot be written."""
        if self._stdout_gone:
            return
        encoding = getattr(self._stdout, "encoding", None) or "utf-8"
        try:
            self._stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
            self._stdout.flush()
        except OSError as error:
            self._stdout_gone = True
            _silence(self._stdout)
            if not _reader_left(error):
                raise OutagekitError(f"stdout cannot be written: {error.strerror}") from error

    @property
    def _width(self) -> int:
        return self.people.width

    def _folded(self, texts: Iterable[Text]) -> list[Text]:
        lines = [line for text in texts for line in text.split("\n", allow_blank=True)]
        if not self._terminal:
            return lines
        return [piece for line in lines for piece in fold_line(line, self._width)]

    def _print(self, what: RenderableType, *, whole: bool = False) -> None:
        try:
            self.people.print(what, soft_wrap=whole)
        except (OSError, ValueError):  # the terminal was closed: nobody is left to be told
            self.people.quiet = True
            _silence(self._stderr)


def next_lines(commands: Sequence[str]) -> tuple[Text, ...]:
    """Return at most three commands as lines to paste, never folded."""
    return tuple(
        Text.assemble(("next: ", "dim"), (visible_line(as_called(command)), "bold"), no_wrap=True)
        for command in commands[:_MAX_NEXT]
    )


def as_called(command: str) -> str:
    """Return a command of ours so that it can be pasted where this process was started.

    `outagekit` becomes the path it was called by, unless that is what the name alone would find.
    A state folder that was named by its flag is named again.
    """
    return _by_our_name(command) + _with_our_state(command)


def _with_our_state(command: str) -> str:
    folder = named_state.get()
    if folder is None or _WITHOUT_STATE.search(command):
        return ""
    path = folder.absolute() if command.startswith("cd ") else folder
    return f" --state-dir {shlex.quote(str(path))}"


def _by_our_name(command: str) -> str:
    called = Path(sys.argv[0])
    if called.stem != "outagekit" or called.name == sys.argv[0]:
        return command
    found = shutil.which("outagekit")
    if found and Path(found).exists() and called.exists() and called.samefile(found):
        return command
    program = str(called.absolute() if command.startswith("cd ") else called)
    return _OURS.sub(lambda match: f"{match[1]}{shlex.quote(program)}", command)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a plain value as JSON in which everything unprintable is escaped."""
    separators = (",", ": ") if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return printable_json(text)


def _name(error: OutagekitError) -> str:
    match error:
        case StoppedByPerson():
            return "stopped"
        case Refused():
            return "refused"
        case _:
            return "error"


def _same(answer: str, expected: str) -> bool:
    given, wanted = answer.casefold(), expected.casefold()
    return given == wanted or {given, wanted} == {"y", "yes"}


def _builtin(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    # The way a hook tells msgspec that it does not know a type.
    raise NotImplementedError(f"a {type(value).__name__} has no form in JSON")


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _is_utf8(stream: TextIO) -> bool:
    name = (getattr(stream, "encoding", None) or "").lower()
    return name.replace("-", "").replace("_", "") in {"utf8", "cp65001"}


def _reader_left(error: OSError) -> bool:
    return isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL)


def _silence(stream: Any) -> None:
    """Let a stream whose reader is gone write to nowhere, also what it still holds."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
