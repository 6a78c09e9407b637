"""Which column of a table means what: as a person says, else by the headers tools are known for.

A header is compared by its letters and digits alone. Addresses as the internet sees them are
never taken for the machine's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import UsageError
from outagekit.inventory.foreign.findings import Findings, Place
from outagekit.source import shown
from outagekit.text import closest, fold_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from outagekit.inventory.foreign.table import Row, Table

FIELDS: Final = (
    *("name", "address", "os", "site", "tags", "client", "user", "key", "port"),
    *("scheme", "auth"),
)

_GUESSES: Final[dict[str, str]] = {
    "name": "name|hostname|host|computername|computer|machinename|machine|devicename|device"
    "|systemname|system|endpoint|endpointname|devicehostname|hostnames|servername|server|agentname"
    "|assetname|friendlyname|displayname|guestmachinename|machineid|nodename|dnsname|fqdn",
    "address": "address|ip|ipaddress|ipv4|ipv4address|localip|localipaddress|lanip|lanipaddress"
    "|privateip|privateipaddress|internalip|internalipaddress|intipaddress|intip|ipaddresses"
    "|guestprivatenetworkaddress|primaryip|primaryipaddress|hostip|managementip|dnsname|fqdn",
    "os": "os|operatingsystem|osname|platform|operatingsystemname|guestoperatingsystemname"
    "|operatingsystemtype|osfullname|ostype|osversion",
    "site": "site|location|sitename|locationname|office|branch",
    "tags": "tags|tag|group|groups|devicegroup|groupname|machinegroup|role|devicerole|foldername",
    "client": "client|customer|organization|organisation|company|clientname|customername"
    "|companyname|organizationname|organisationname|tenant",
    "user": "user|sshuser|username|login|loginname",
    "key": "key|keyfile|sshkey|identityfile|privatekeyfile",
    "port": "port|sshport|winrmport",
    "scheme": "scheme|winrmscheme",
    "auth": "winrmauth|winrmtransport|winrmauthentication",
}
"""Field -> headers it is guessed by, the better ones first."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Field -> positions of the columns it is taken from."""

    at: Mapping[str, tuple[int, ...]]
    guessed: tuple[str, ...]
    """Sentences on what was guessed."""

    def cell(self, row: Row, field: str) -> str:
        """Return what a row says of a field; empty where it says nothing."""
        return next(iter(self.cells(row, field)), "")

    def cells(self, row: Row, field: str) -> list[str]:
        """Return everything a row says of a field."""
        places = self.at.get(field, ())
        return [row.cells[at] for at in places if at < len(row.cells) and row.cells[at]]


def parse_columns(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return `FIELD=HEADER` words as field -> headers; raises `UsageError`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        field, equals, header = word.partition("=")
        if not equals or not header.strip():
            message = f"--map {shown(word)} is not like FIELD=HEADER"
            raise UsageError(message, hint='for example --map os="Operating System"')
        if field not in FIELDS:
            near = closest(field, FIELDS)
            hint = f"did you mean {near}?" if near else f"known are {fold_list(FIELDS, limit=20)}"
            raise UsageError(f"--map knows no field {shown(field)}", hint=hint)
        if field in found and field != "tags":
            raise UsageError(f"--map names the field {field} twice", hint="only tags can be")
        found[field] = (*found.get(field, ()), header.strip())
    return found


def find_columns(
    path: Path, table: Table, said: Mapping[str, tuple[str, ...]], findings: Findings
) -> Columns | None:
    """Return which column is which; None, with a fault, without a name for the machines."""
    before = findings.faults
    header = table.header
    names = [_letters(cell) for cell in header.cells]
    place = Place(path, header.line)
    at = {
        field: tuple(_position(header, names, each, (place, findings)) for each in headers)
        for field, headers in said.items()
    }
    taken = {position for positions in at.values() for position in positions}
    guessed: list[str] = []
    for field, guesses in _GUESSES.items():
        known = guesses.split("|")
        found = [
            names.index(each) for each in known if each in names and names.index(each) not in taken
        ]
        if field in at or not found:
            continue
        at[field] = (found[0],)
        taken.add(found[0])
        if _differ(table, [each for each, name in enumerate(names) if name == names[found[0]]]):
            message = f"more than one column is called {shown(header.cells[found[0]])}"
            findings.fault(place, message, "rename all but one in the first row")
        guessed.append(f"{field} from {shown(header.cells[found[0]])}")
    if "name" not in at:
        headers = fold_list((shown(cell) for cell in header.cells if cell), limit=12)
        message = f"no column is known to hold names; there are {headers}"
        findings.fault(place, message, "import it with --map name=HEADER")
        return None
    return Columns(at, tuple(guessed)) if findings.faults == before else None


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def _differ(table: Table, columns: list[int]) -> bool:
    """Return whether columns of one name say different things of a machine."""
    if len(columns) < 2:  # noqa: PLR2004  (one column has no twin)
        return False
    said = ([row.cells[at] if at < len(row.cells) else "" for at in columns] for row in table.rows)
    return any(len(set(cells)) > 1 for cells in said)


def _position(header: Row, names: list[str], wanted: str, where: tuple[Place, Findings]) -> int:
    """Return the column of a header, exactly as written or by its letters; -1 with a fault."""
    place, findings = where
    exact = [at for at, cell in enumerate(header.cells) if cell == wanted]
    alike = exact or [at for at, name in enumerate(names) if name == _letters(wanted)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        findings.fault(place, f"more than one column is called {shown(wanted)}")
        return -1
    near = closest(wanted, [cell for cell in header.cells if cell])
    hint = f"did you mean {shown(near)}?" if near else ""
    findings.fault(place, f"no column is called {shown(wanted)}", hint)
    return -1
