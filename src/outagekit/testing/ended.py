"""What a command of outagekit did, as a test reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class Ended:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def ends(self) -> dict[str, tuple[str, str | None]]:
        """Endpoint of `--json` -> its end state and what kind of failure it met; client `acme`."""
        found = json.loads(self.out)["endpoints"]
        return {e["endpoint"].removeprefix("acme/"): (e["state"], e["failure"]) for e in found}

    def __repr__(self) -> str:
        """Show all of it where an assertion fails."""
        return f"exit {self.code}\n{self.out}\n{self.err}"
