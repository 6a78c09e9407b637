"""The keyboard of a run's own terminal: lines as they are typed, waited for in small pieces.

What is typed is not shown while a picture stands on the terminal. The seam between the systems.
Nobody reads here in the background of a shell: that would stop the whole process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_LINE_BYTES = 4096


class Keys(Protocol):
    """Where lines are typed. Used by one thread."""

    def begin(self) -> None:
        """Prepare the calling thread, which is the one that reads."""
        ...

    def forget(self) -> None:
        """Throw away what was typed and not read. May raise `OSError`."""
        ...

    def line(self, wait_s: float) -> str | None:
        """Return a line without its end, or None if none was finished within `wait_s`.

        Raises `EOFError` for an end of input, `OSError` if there is no terminal any more.
        """
        ...


class Typing:
    """A line in the making, key by key, for terminals that do not edit lines themselves."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._text = ""
        self._skip = False

    def clear(self) -> None:
        """Begin anew."""
        self._text = ""

    def press(self, key: str) -> str | None:
        """Take a key and return the line if that key ends it. Raises `EOFError` for Ctrl-Z."""
        if self._skip:
            self._skip = False
        elif key in {"\x00", "\xe0"}:  # Windows: the next one says which arrow or function key
            self._skip = True
        elif key in {"\r", "\n"}:
            line, self._text = self._text, ""
            self._echo("\n")
            return line
        elif key == "\x1a":
            raise EOFError
        elif key == "\b" and self._text:
            self._text = self._text[:-1]
            self._echo("\b \b")
        elif key.isprintable():
            self._text += key
            self._echo(key)
        return None


if sys.platform == "win32":
    import msvcrt

    class TerminalKeys:
        """The console of this process."""

        def __init__(self) -> None:
            self._typing = Typing(_echo)

        def begin(self) -> None:
            """Nothing has to be prepared."""

        def forget(self) -> None:
            """Throw away the keys nobody asked for yet."""
            while msvcrt.kbhit():
                msvcrt.getwch()
            self._typing.clear()

        def line(self, wait_s: float) -> str | None:
            """Return a line as `Keys.line` says."""
            until_s = time.monotonic() + wait_s
            while True:
                while msvcrt.kbhit():
                    line = self._typing.press(msvcrt.getwch())
                    if line is not None:
                        return line
                if time.monotonic() >= until_s:
                    return None
                time.sleep(0.02)

    def forget_typed(_descriptor: int) -> None:
        """Throw away the keys nobody asked for yet."""
        TerminalKeys().forget()

    class Echo:
        """What is typed is shown only by whoever reads it, so there is nothing to do."""

        def __init__(self, _descriptor: int | None) -> None:
            self.is_off = False

        def off(self) -> None:
            """Do nothing."""

        def on(self) -> None:
            """Do nothing."""

    def _echo(text: str) -> None:
        for character in text:
            msvcrt.putwch("\r" if character == "\n" else character)
            if character == "\n":
                msvcrt.putwch("\n")

else:
    import select
    import signal
    import termios

    class TerminalKeys:
        """The terminal on stdin, or on another descriptor; it edits lines itself."""

        def __init__(self, descriptor: int = 0) -> None:
            self._descriptor = descriptor
            self._rest = b""

        def begin(self) -> None:
            """Let a read in the background fail in this thread instead of stopping everybody."""
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})

        def forget(self) -> None:
            """Throw away what was typed so far, whole lines and begun ones."""
            self._rest = b""
            if self._is_ours():
                with_error_as_os_error(termios.tcflush, self._descriptor, termios.TCIFLUSH)

        def line(self, wait_s: float) -> str | None:
            """Return a line as `Keys.line` says."""
            if not self._is_ours():
                time.sleep(wait_s)
                return None
            if b"\n" not in self._rest:
                if not select.select([self._descriptor], [], [], wait_s)[0]:
                    return None
                data = os.read(self._descriptor, _LINE_BYTES)
                if not data:
                    raise EOFError
                self._rest += data.replace(b"\r", b"\n")
            line, end, rest = self._rest.partition(b"\n")
            if not end:
                return None
            self._rest = rest
            return line.decode("utf-8", "backslashreplace")

        def _is_ours(self) -> bool:
            return is_ours(self._descriptor)

    def forget_typed(descriptor: int) -> None:
        """Throw away what was typed at a terminal and not read. Raises `OSError`."""
        TerminalKeys(descriptor).forget()

    class Echo:
        """Whether a terminal shows what is typed; nothing is changed where that cannot be.

        A line feed somebody types would move a picture that is drawn again in its place.
        """

        def __init__(self, descriptor: int | None) -> None:
            self._descriptor = descriptor
            self.is_off = False
            """Whether it was turned off here."""

        def off(self) -> None:
            """Show nothing of what is typed until `on`."""
            self.is_off = self.is_off or self._set(on=False)

        def on(self) -> None:
            """Show what is typed again, if it was turned off here; what nobody saw is forgotten.

            Else it would answer a question, or be a command of the shell.
            """
            if self.is_off:
                self._set(on=True)
            self.is_off = False

        def _set(self, *, on: bool) -> bool:
            """Return whether something was changed."""
            if self._descriptor is None or not is_ours(self._descriptor):
                return False
            try:
                modes = termios.tcgetattr(self._descriptor)
                if bool(modes[3] & termios.ECHO) == on:
                    return False
                modes[3] ^= termios.ECHO
                if on:
                    termios.tcflush(self._descriptor, termios.TCIFLUSH)
                termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)
            except termios.error:
                return False
            return True

    def is_ours(descriptor: int) -> bool:
        """Return whether this process is in the foreground of the terminal."""
        try:
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:
            return True  # it controls nobody, so it stops nobody

    def with_error_as_os_error(call: Callable[[int, int], None], first: int, second: int) -> None:
        """Call a function of `termios`, whose errors are not `OSError`."""
        try:
            call(first, second)
        except termios.error as error:
            raise OSError(*error.args) from error
