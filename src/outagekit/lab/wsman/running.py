"""One command of a shell: its input, its output until somebody fetches it, its end.

Threads: the command's own runs the program; those of connections feed, fetch and stop it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Literal

from outagekit.lab.answers import Answer
from outagekit.lab.host import GoneError
from outagekit.lab.wsman.faults import (
    ABORTED,
    BUSY,
    NO_OUTPUT,
    UNKNOWN_SELECTOR,
    FaultError,
)
from outagekit.lab.wsman.program import Asked, Program, asked_by, is_framed, with_input

Stop = Literal["ctrl_c", "terminate"]

CONTROL_C: Final = -1073741510
"""Exit code of a program that ctrl_c ended: 0xC000013A as a signed number, as winrs shows it."""
_MOST_INPUT_BYTES: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 8191
"""Characters cmd.exe takes; with a longer line it says so and runs nothing."""
_REFUSED: Final = 1


class BrokenError(Exception):
    """The answer to whoever asks for this command is a connection that breaks."""


class RunningCommand:
    """A command, from Command to Terminate. `exit_code` is None while it runs."""

    def __init__(self, identity: str, line: str, program: Program) -> None:
        self.id = identity
        self.line = line
        self.exit_code: int | None = None
        self._program = program
        self._changed = threading.Condition()
        self._input = bytearray()
        self._input_ended = False
        self._output: list[tuple[str, bytes]] = []
        self._stop: Stop | None = None
        self._breaks = False
        self._removed = False
        self._fetches = 0

    def start(self) -> None:
        """Begin to run it, in a thread of its own."""
        name = "lab-wsman-command"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    # What the program does.

    def write(self, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Print something now. A command that was terminated prints into the void."""
        with self._changed:
            if not self._removed:
                self._output += [(n, d) for n, d in (("stdout", stdout), ("stderr", stderr)) if d]
            self._changed.notify_all()

    def read(self) -> bytes:
        """Return all of standard input, once it was ended or the command is to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._input_ended or self._stop is not None)
            return bytes(self._input)

    def wait(self, seconds: float) -> bool:
        """Rest; return at once, and True, when the command is to stop."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stop is not None, seconds)

    # What clients do.

    def feed(self, data: bytes, *, ends: bool) -> None:
        """Take input. Raises `FaultError`: busy after the end of the input."""
        with self._changed:
            if self._input_ended or len(self._input) + len(data) > _MOST_INPUT_BYTES:
                raise FaultError(BUSY)
            self._input += data
            self._input_ended = ends
            self._changed.notify_all()

    def fetch(
        self, most_bytes: int, wait_s: float, *, is_there: Callable[[], bool] = lambda: True
    ) -> tuple[list[tuple[str, bytes]], int | None]:
        """Return output as soon as there is any, and the exit code once nothing is left.

        Raises `FaultError` if there is none within `wait_s`, if the command is removed meanwhile,
        and if somebody else fetches: the later one counts. Raises `BrokenError` for a command that
        breaks connections, and if nobody is there any more who could take the output.
        """
        with self._changed:
            if self._removed:
                raise FaultError(UNKNOWN_SELECTOR)
            self._fetches += 1
            mine = self._fetches
            self._changed.notify_all()
            told = self._changed.wait_for(
                lambda: self._is_telling() or self._fetches != mine, wait_s
            )
            if not told:
                raise FaultError(NO_OUTPUT)
            if self._is_aborted(mine):
                raise FaultError(ABORTED)
            if self._breaks or not is_there():
                raise BrokenError
            pieces = self._taken(most_bytes)
            return pieces, None if self._output else self.exit_code

    def stop(self, how: Stop) -> None:
        """Send a signal. After `terminate` the command is gone, whatever it was about."""
        with self._changed:
            self._stop = self._stop or how
            if how == "terminate":
                self._removed = True
                self._output.clear()
            self._changed.notify_all()

    def _is_aborted(self, fetch: int) -> bool:
        return self._removed or self._fetches != fetch

    def _is_telling(self) -> bool:
        return bool(self._output or self._breaks or self._removed or self.exit_code is not None)

    def _taken(self, most_bytes: int) -> list[tuple[str, bytes]]:
        """Take from the front of the output what fits, a stream in as few pieces as can be."""
        taken: list[tuple[str, bytes]] = []
        room = most_bytes
        while self._output and room > 0:
            name, data = self._output.pop(0)
            if len(data) > room:
                self._output.insert(0, (name, data[room:]))
                data = data[:room]
            room -= len(data)
            if taken and taken[-1][0] == name:
                data = taken.pop()[1] + data
            taken.append((name, data))
        return taken

    def _run(self) -> None:
        try:
            asked, answer = self._answered()
        except GoneError:
            # Its shell is gone as well: whoever asks is told that by the shells.
            return
        if answer.ending != "exit":
            self._break(answer)
            return
        self._end(asked, answer)

    def _answered(self) -> tuple[Asked, Answer]:
        asked = asked_by(self.line)
        if len(self.line) > _LONGEST_LINE:
            return asked, Answer(_REFUSED, stderr="lab: longer than cmd.exe takes\r\n")
        if is_framed(asked):
            data = self.read()
            if self._stop is not None:
                return asked, Answer(CONTROL_C)
            asked = with_input(asked, data)
        return asked, self._program.run(asked, self)

    def _break(self, answer: Answer) -> None:
        with self._changed:
            self._breaks = answer.ending == "reset"
            self._changed.notify_all()

    def _end(self, asked: Asked, answer: Answer) -> None:
        with self._changed:
            stopped = self._stop is not None
            self.write(answer.stdout.encode(), answer.stderr.encode())
            if asked.nonce and not stopped:
                trailer = self._program.trailer(asked, answer)
                self.write(f"\n{asked.nonce} {trailer}\n".encode())
            self.exit_code = CONTROL_C if stopped else answer.exit_code
            self._changed.notify_all()
        self._program.answered(answer)
