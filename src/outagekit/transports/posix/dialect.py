"""All there is to say to a POSIX endpoint, in one place. Pure."""

from __future__ import annotations

from typing import Final

from outagekit.playbook.model import Code
from outagekit.transports.posix.detached import collect, collect_rest, release, start, stop
from outagekit.transports.posix.earlier import after_earlier
from outagekit.transports.posix.identity import IDENTITY
from outagekit.transports.posix.render import render
from outagekit.transports.posix.restart import RESTART


class PosixDialect:
    """The `Dialect` of Linux and macOS."""

    identity: Final = IDENTITY
    restart: Final = RESTART
    nothing: Final = Code("sh", "true")

    render = staticmethod(render)
    after_earlier = staticmethod(after_earlier)
    start = staticmethod(start)
    collect = staticmethod(collect)
    collect_rest = staticmethod(collect_rest)
    stop = staticmethod(stop)
    release = staticmethod(release)
