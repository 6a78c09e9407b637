"""The live view: a picture of the run that is drawn again while records come in.

A subscriber of the log. It can neither slow a run down nor end it: taking records is counting,
drawing happens in a thread of its own, and a terminal that goes away ends the drawing only.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from outagekit.cli.frame import frame
from outagekit.cli.tally import Tally

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
        self._now_s = now_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="live-view", daemon=True)
        self._drawn: list[Text] = []
        self._width = 0
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):  # the terminal was closed: nothing to draw on
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
        self._over.set()
        self._thread.join(_JOIN_S)
        self._live.transient = kind is None
        with suppress(OSError, ValueError):  # the terminal was closed
            if kind is not None:
                self._draw()
            self._live.stop()

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Count records; called from the log's thread."""
        with self._lock:
            for record in records:
                self._tally.take(record)

    def _keep_drawing(self) -> None:
        with suppress(Exception):  # whatever a terminal does, the run goes on without a picture
            while not self._over.wait(_EVERY_S):
                self._draw()

    def _draw(self) -> None:
        width, height = self._console.size
        with self._lock:
            # A row stays free, so that a Ctrl-C echoed by the terminal scrolls nothing away.
            lines = frame(self._tally, self._now_s(), width - 1, max(height - 1, 1))
        if lines == self._drawn and width == self._width:
            return
        self._climb(width)
        self._drawn, self._width = lines, width
        self._live.update(Group(*lines), refresh=True)

    def _climb(self, width: int) -> None:
        """Wipe the rows that a narrower terminal has made of lines it folded."""
        if width >= self._width:
            return
        folded = sum(max(line.cell_len - 1, 0) // width for line in self._drawn)
        step = ((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        if folded:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *step * folded))
