"""A terminal that shows in a test what a person would see on it."""

from __future__ import annotations

import io
import re

_PIECE = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+")


class Terminal(io.StringIO):
    """Output that says it is a terminal; everything written to it is kept (`getvalue`).

    Its size is what `COLUMNS` and `LINES` say, its abilities what `TERM` says. It does not wrap.
    """

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Return True."""
        return True

    @property
    def rows(self) -> list[str]:
        """What stands on the screen, with line feeds, returns, cursor up and erasing obeyed."""
        rows, at, column = [""], 0, 0
        for piece in _PIECE.findall(self.getvalue()):
            if piece == "\n":
                at, column = at + 1, 0
                rows.extend([""] * (at + 1 - len(rows)))
            elif piece == "\r":
                column = 0
            elif piece.startswith("\x1b"):
                at -= int(piece[2:-1] or 1) if piece.endswith("A") else 0
                rows[at] = "" if piece.endswith("K") else rows[at]
            else:
                rows[at] = rows[at][:column].ljust(column) + piece
                column += len(piece)
        return [row.rstrip() for row in rows]


class Pipe(io.StringIO):
    """Output that is no terminal, in UTF-8."""

    encoding = "utf-8"


class Keyboard(io.StringIO):
    """Input that says it is a terminal; what it holds is what a person types."""

    def isatty(self) -> bool:
        """Return True."""
        return True
