"""The live view: a picture of the run that is drawn again while records come in.

A subscriber of the log. It can neither slow a run down nor end it: taking records is counting,
drawing happens in a thread of its own, and a terminal that goes away ends the drawing only.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from outagekit.cli.live.frame import frame
from outagekit.cli.live.tally import Tally
from outagekit.cli.people.keys import Echo
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from outagekit.cli.render import Screen
    from outagekit.events import Record
    from outagekit.plan.model import Plan

_EVERY_S: Final = 1 / 8
_JOIN_S: Final = 1.0


class LiveView:
    """Draws a run while it goes on: at most 8 times a second, and only what has changed.

    Entered before the first record, left after the last: then the picture is wiped away and the
    ending takes its place. If an exception ends the run, the last picture stays.
    """

    def __init__(
        self, plan: Plan, screen: Screen, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally = Tally(plan)
        self._lock = threading.Lock()
        self._console = screen.people
        self._echo = Echo(_descriptor_of(screen.people.file))
        self._now_s = now_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="live-view", daemon=True)
        self._drawing = threading.Lock()
        self._drawn: list[Text] = []
        self._width = 0
        self._notice = ""
        self._paused = False
        self._live = self._new_live()

    def _new_live(self) -> Live:
        return Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):  # the terminal was closed: nothing to draw on
            self._echo.off()
            self._live.start()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        if self._thread.ident is None:
            return
        self.resume()
        self._over.set()
        self._thread.join(_JOIN_S)
        self._live.transient = kind is None
        with suppress(OSError, ValueError):  # the terminal was closed
            if kind is not None:
                self._draw()
            self._live.stop()
        self._echo.on()

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Count records; called from the log's thread.

        Those of a run's earlier lives are given first, before the view is entered.
        """
        with self._lock:
            for record in records:
                self._tally.take(record)

    def pause(self, *, typed: bool = False) -> None:
        """Wipe the picture away and leave the terminal to a question; `resume` draws it again.

        `typed` says that somebody has pressed Enter below the picture.
        """
        with self._drawing, suppress(OSError, ValueError):
            if self._paused or self._thread.ident is None:
                return
            self._paused = True
            if typed and not self._echo.is_off:
                self._console.control(Control.move(0, -1))
            self._live.transient = True
            self._echo.on()
            self._live.stop()

    def resume(self, notice: str = "") -> None:
        """Draw again, below what was printed meanwhile; a `notice` is the picture's last line."""
        with self._drawing, suppress(OSError, ValueError):
            self._notice = notice
            if not self._paused:
                return
            self._paused = False
            self._drawn = []
            self._echo.off()
            self._live = self._new_live()
            self._live.start()

    def _keep_drawing(self) -> None:
        with suppress(Exception):  # whatever a terminal does, the run goes on without a picture
            while not self._over.wait(_EVERY_S):
                self._draw()

    def _draw(self) -> None:
        with self._drawing:
            if not self._paused:
                self._picture()

    def _picture(self) -> None:
        width, height = self._console.size
        # A row stays free, so that a Ctrl-C echoed by the terminal scrolls nothing away.
        rows = max(height - 1, 1)
        with self._lock:
            lines = frame(self._tally, self._now_s(), width - 1, rows - bool(self._notice))
        lines += [self._noticed(width - 1)] if self._notice else []
        if lines == self._drawn and width == self._width:
            return
        self._climb(width)
        self._drawn, self._width = lines, width
        self._live.update(Group(*lines), refresh=True)

    def _noticed(self, width: int) -> Text:
        line = Text(visible_line(self._notice), "bold yellow", no_wrap=True)
        line.truncate(max(width, 1), overflow="ellipsis")
        return line

    def _climb(self, width: int) -> None:
        """Wipe the rows that a narrower terminal has made of lines it folded."""
        if width >= self._width:
            return
        folded = sum(max(line.cell_len - 1, 0) // width for line in self._drawn)
        step = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        if folded:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *step * folded))


def _descriptor_of(stream: IO[str]) -> int | None:
    """Return the descriptor of a terminal that is drawn on, None for what only looks like one."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None
