"""The log of each client's trust: written before anything is changed, read for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.events import Note, RunId
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from outagekit.events import Record
    from outagekit.log.journal import Journal
    from outagekit.transports.trust.store import Act


@dataclass(frozen=True, slots=True)
class TrustLog:
    """Records what is done to the trust below a folder, with who does it."""

    folder: Path
    _journals: dict[str, Journal] = field(default_factory=dict)

    def record(self, client: str, acts: Sequence[Act]) -> None:
        """Record acts on a client's trust; the caller holds the lock of the client's folder.

        Raises `LogDamaged` or `LogUnwritable`: then nothing may be done.
        """
        import msgspec

        from outagekit.run.inbox import user_name

        who = user_name()
        signed = [
            msgspec.structs.replace(act, **{"who" if isinstance(act, Note) else "os_user": who})
            for act in acts
        ]
        try:
            self._journal(client).append(signed)
        except LogDamaged as damage:
            log = self.folder / client / "log.jsonl"
            hint = (
                f"find out who changed {log}; put it aside to begin a new one,"
                " together with anchors.txt"
            )
            raise LogDamaged(damage.message, hint=hint) from damage

    def _journal(self, client: str) -> Journal:
        from outagekit.log.journal import Journal

        if client not in self._journals:
            self._journals[client] = Journal(self.folder / client, RunId(client))
        return self._journals[client]

    def records(self, client: str) -> list[Record]:
        """Return what was done to a client's trust, in order; nothing if there is no log.

        Raises `LogDamaged` if the log was altered, its last act included, if it was taken away,
        or is another client's.
        """
        from outagekit.log.reader import read_records
        from outagekit.log.verify import verify

        folder = self.folder / client
        try:
            verdict = verify(folder)
        except NothingMatched:
            return []
        if not verdict.ok:
            raise LogDamaged(f"the log of {client}'s trust: {verdict.reason}")
        if verdict.run not in {None, client}:
            whose = visible_line(verdict.run or "")
            raise LogDamaged(f"the log of {client}'s trust is that of {whose}")
        return list(read_records(folder))
