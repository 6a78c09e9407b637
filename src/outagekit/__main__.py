"""`python -m outagekit` is `outagekit`; both begin here, with next to nothing to load."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_CTRL_C = 130
_STANDARD = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def main() -> None:
    """Run the command line. A Ctrl-C while it is loaded, or while Python ends, is no traceback."""
    loading = True

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        # Later on every command listens for itself, and after it there is nothing to stop.
        if loading:
            raise KeyboardInterrupt

    _open_closed_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    try:
        from outagekit.cli.app import main as run  # noqa: PLC0415  (loading it takes a while)

        loading = False
        run()
    except KeyboardInterrupt:
        sys.exit(_CTRL_C)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open_closed_streams() -> None:
    """Lead a stream this process was started without to nowhere.

    Else the next file that is opened, the log perhaps, would take its number and its output.
    """
    for name, mode in _STANDARD:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


if __name__ == "__main__":
    main()
