"""Redaction of what libraries write through `logging`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outagekit.redaction.redactor import Redactor

_FORMATTER = logging.Formatter()


class RedactingFilter(logging.Filter):
    """Cleans records: message with its arguments, exception text and stack.

    Belongs on handlers: a logger's filters do not see what its children log. `redactor` may be
    exchanged at any time, as more secrets become known.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self.redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place; always True."""
        clean = self.redactor.clean
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  (arguments of any library; a log line never hurts a run)
            message = f"{record.msg!s} (its arguments do not fit)"
        record.msg, record.args = clean(message), None
        if record.exc_info:
            record.exc_text = _FORMATTER.formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = clean(record.exc_text)
        if record.stack_info:
            record.stack_info = clean(record.stack_info)
        return True
