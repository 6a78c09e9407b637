"""How a kind of system is spoken to: from a step's code and values to commands for it.

Everything a lane wants of an endpoint besides files is said by one of these. What comes back means
the same for all of them: see `meaning`, `identity` and `detached`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from outagekit.playbook.model import Code
from outagekit.transports.protocol import Account, Command


class Dialect(Protocol):
    """The commands of one kind of system. Pure: the same arguments give the same command.

    Methods raise `OutagekitError` for what the system cannot be given: another language, a value
    that is not data, an account it does not have.
    """

    @property
    def identity(self) -> Command:
        """Has the machine say what `parse_identity` reads."""
        ...

    @property
    def restart(self) -> Code:
        """Restarts the machine, and ends before it goes down."""
        ...

    @property
    def nothing(self) -> Code:
        """Does nothing, and succeeds."""
        ...

    def render(
        self,
        code: Code,
        values: Mapping[str, Any],
        *,
        step: str,
        part: str,
        account: Account = "login",
    ) -> Command:
        """Return the command that runs code of a step with its values at hand."""
        ...

    def after_earlier(self, code: Code, step: str, wait_s: float) -> Code:
        """Return code that first waits until no script or undo of this step runs there.

        It waits about `wait_s` at most; then the code is not run, and `still_runs` is true of the
        outcome.
        """
        ...

    def start(
        self,
        detach: str,
        code: Code,
        values: Mapping[str, Any],
        *,
        step: str,
        wait_s: int,
        limit_s: int,
        account: Account = "login",
    ) -> Command:
        """Return the command that starts a script under an id, or finds the one already there.

        It waits at most `wait_s` for the script's end, and no longer once it has run for
        `limit_s`. This command and the next four are answered as `detached.parse_answer` reads it.
        """
        ...

    def collect(
        self, detach: str, *, step: str, wait_s: int, limit_s: int, account: Account = "login"
    ) -> Command:
        """Return the command that waits for a script's end as `start` does, then tells of it."""
        ...

    def collect_rest(self, detach: str, *, step: str, account: Account = "login") -> Command:
        """Return the command that sends the end of streams longer than what is kept."""
        ...

    def stop(self, detach: str, *, step: str, account: Account = "login") -> Command:
        """Return the command that ends a script with all it started."""
        ...

    def release(self, detach: str, *, step: str, account: Account = "login") -> Command:
        """Return the command that removes what a script left, unless it still runs."""
        ...
