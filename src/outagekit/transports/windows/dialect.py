"""All there is to say to a Windows endpoint, in one place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outagekit.playbook.model import Code
from outagekit.transports.protocol import Account, Command
from outagekit.transports.windows.detached import collect, collect_rest, release, start, stop
from outagekit.transports.windows.earlier import after_earlier
from outagekit.transports.windows.identity import IDENTITY
from outagekit.transports.windows.render import Sent, framed, render
from outagekit.transports.windows.restart import RESTART
from outagekit.transports.windows.tasks import as_system


class WindowsDialect:
    """The `Dialect` of Windows: PowerShell and cmd.exe."""

    identity: Final = IDENTITY
    restart: Final = RESTART
    nothing: Final = Code("cmd", "ver>nul")

    def render(
        self,
        code: Code,
        values: Mapping[str, Any],
        *,
        step: str,
        part: str,
        account: Account = "login",
    ) -> Command:
        """Return the command that runs code of a step with its values at hand, as in `render`.

        As SYSTEM it is run by a scheduled task, and the command tells its end as its own.
        """
        command = render(code, values, step=step, part=part, account=account)
        if account != "system":
            return command
        wrapped = Sent("plain", "", as_system(command, step=step, part=part))
        return framed(wrapped, step=step, part=part, account=account)

    after_earlier = staticmethod(after_earlier)
    start = staticmethod(start)
    collect = staticmethod(collect)
    collect_rest = staticmethod(collect_rest)
    stop = staticmethod(stop)
    release = staticmethod(release)
