"""Rows of a table become machines; each row that cannot is a fault with its line."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from outagekit.inventory.address import LARGEST_PORT, address_fault
from outagekit.inventory.foreign.columns import Columns, find_columns
from outagekit.inventory.foreign.findings import Findings, Place
from outagekit.inventory.foreign.proposal import Gathered, LeftOut, Login, Proposal, Way, Wishes
from outagekit.inventory.foreign.systems import is_other, system_of
from outagekit.inventory.foreign.table import read_table
from outagekit.inventory.foreign.winrm import (
    KEY_LEFT_OUT,
    NO_WAY_IN,
    auth_named,
    scheme_named,
)
from outagekit.inventory.windows import clear_fault, scheme_of, user_fault
from outagekit.source import shown
from outagekit.text import count, fold_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outagekit.errors import Problem
    from outagekit.events import OperatingSystem
    from outagekit.inventory.foreign.table import Row, Table
    from outagekit.inventory.model import Scheme

_BETWEEN_TAGS = re.compile(r"[,;|]")
_BETWEEN_ADDRESSES = re.compile(r"[,;|\s]+")
_LONGEST_CELL: Final = 200
_MOST_LINES: Final = 10


def read_rows(path: Path, wishes: Wishes, findings: Findings) -> Gathered:
    """Return the machines of a table; what is wrong becomes a fault."""
    table = read_table(path, findings)
    columns = find_columns(path, table, wishes.columns, findings) if table else None
    if table is None or columns is None:
        return Gathered("CSV")
    gathered = Gathered(table.form, several_clients="client" in columns.at)
    told: Counter[str] = Counter()
    found_in: dict[str, list[Problem]] = {}
    for row in table.rows:
        own = Findings()
        place = Place(path, row.line)
        found = _Reading(row, place, columns, wishes, own).judged(told)
        if isinstance(found, Proposal):
            gathered.proposals.append(found)
        elif found is not None:
            gathered.left_out.append(found)
        elif wishes.leave_out and own.problems:
            name = columns.cell(row, "name") or f"line {row.line}"
            reason = next(each.message for each in own.problems if not each.warning)
            gathered.left_out.append(LeftOut(name, place, reason))
            continue
        for problem in own.problems:
            found_in.setdefault(problem.message, []).append(problem)
    for alike in found_in.values():
        findings.add(_folded(alike))
    gathered.notes = [*_notes(table, columns)]
    gathered.notes += [text.format(count(number, "endpoint")) for text, number in told.items()]
    gathered.unused = _unused(table, columns)
    return gathered


def _notes(table: Table, columns: Columns) -> Iterator[str]:
    if table.titles:
        above = count(table.titles, "row")
        yield f"header: line {table.header.line}; {above} of one cell above it passed over"
    if columns.guessed:
        yield f"columns: {', '.join(columns.guessed)}"


def _folded(alike: list[Problem]) -> Problem:
    """Return what several rows have in common as one problem that names their lines."""
    first, *others = alike
    if not others:
        return first
    lines = fold_list((str(each.line) for each in others), limit=_MOST_LINES)
    what = "line" if len(others) == 1 else "lines"
    return replace(first, message=f"{first.message}, and in {what} {lines}")


def _unused(table: Table, columns: Columns) -> dict[str, int]:
    used = {position for positions in columns.at.values() for position in positions}
    return {
        header: sum(at < len(row.cells) and bool(row.cells[at]) for row in table.rows)
        for at, header in enumerate(table.header.cells)
        if header and at not in used
    }


class _Reading(NamedTuple):
    row: Row
    place: Place
    columns: Columns
    wishes: Wishes
    findings: Findings

    def judged(self, told: Counter[str]) -> Proposal | LeftOut | None:
        """Return the machine of the row, or why it is left out; None if the row has a fault."""
        notes: list[str] = []
        name = self._cell("name")
        if not name:
            self._fault("name", "the name is missing")
        system = self._system(notes)
        if system is None and not self.findings.faults:
            return LeftOut(name, self.place, f"its system is {shown(self._cell('os'))}")
        address = self._address(name, notes)
        port = self._port()
        windows = system == "windows"
        scheme = self._scheme() if windows else None
        login = self._windows_login(scheme, port, notes) if windows else self._login(notes)
        client = self._cell("client")
        if "client" in self.columns.at and not client:
            self._fault("client", f"the client of {shown(name)} is missing")
        if self.findings.faults or system is None:
            return None
        told.update(notes)
        site = self._cell("site")
        cells = self.columns.cells(self.row, "tags")
        tags = (tag.strip() for cell in cells for tag in _BETWEEN_TAGS.split(cell))
        return Proposal(
            name=name,
            place=self.place,
            address=address,
            os=system,
            port=port,
            tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
            login=login,
            scheme=scheme,
            way=Way(name=site) if site else None,
            client=client,
        )

    def _cell(self, field: str) -> str:
        cell = self.columns.cell(self.row, field)
        if not cell.isprintable() or len(cell) > _LONGEST_CELL:
            self._fault(field, f"the {field} must be one line of at most {_LONGEST_CELL} signs")
            return ""
        return cell

    def _fault(self, field: str, message: str, hint: str = "") -> None:
        if any(each.message.startswith(f"the {field} must be") for each in self.findings.problems):
            return  # what is said next would only follow from it
        column = self.columns.at.get(field, (-1,))[0] + 1
        where = f" (column {column})" if column else ""
        self.findings.fault(self.place, f"{message}{where}", hint)

    def _system(self, notes: list[str]) -> OperatingSystem | None:
        """Return the system; None if it is none of ours, or with a fault."""
        text = self._cell("os")
        if not text:
            if self.wishes.os is None:
                hint = "import it with --os linux"
                self._fault("os", f"the system of {shown(self._cell('name'))} is missing", hint)
            return self.wishes.os
        said = self.wishes.os_values.get(text.casefold())
        system = said or system_of(text)
        if system is None and not is_other(text):
            hint = f"import it with --os {shlex.quote(f'{text}=linux')}"
            self._fault("os", f"{shown(text)} is no system that is known", hint)
        if system is not None and not said and text.casefold() != system:
            notes.append("os: made out from the words of the table for {}")
        return system

    def _address(self, name: str, notes: list[str]) -> str:
        address = self._cell("address")
        several = [each for each in _BETWEEN_ADDRESSES.split(address) if _is_number(each)]
        if several and several[0] != address:
            notes.append("address: the first of several for {}")
            return next((each for each in several if not _is_own(each)), several[0])
        if not address and "address" not in self.columns.at:
            notes.append("address: the name itself for {}, as there is no column of addresses")
            address = name
        if not address:
            self._fault("address", f"the address of {shown(name)} is missing")
            return ""
        fault = address_fault(address)
        if fault:
            self._fault("address" if "address" in self.columns.at else "name", *fault)
        elif _is_own(address):
            message = f"{shown(address)} is no address another machine is reached by"
            self.findings.warn(self.place, message, "it leads to this machine, or nowhere")
        return address

    def _port(self) -> int | None:
        text = self._cell("port")
        if not text:
            return None
        number = int(text) if re.fullmatch("[0-9]{1,5}", text) else 0
        if not 1 <= number <= LARGEST_PORT:
            self._fault("port", f"{shown(text)} is no port", f"from 1 to {LARGEST_PORT}")
        return number

    def _login(self, notes: list[str]) -> Login | None:
        key = self._cell("key") or None
        user = self._cell("user") or self.wishes.user
        if not user:
            if key:
                self._fault("key", "the key has no user", "import it with --user NAME")
            return None
        passwords, sudo = self.wishes.passwords, self.wishes.sudo_passwords
        password = passwords.get(user) or passwords.get("")
        if key is None and password is None:
            notes.append("login: no key is named for {}: keys of your SSH agent are offered")
        return Login(user, key, password, sudo=sudo.get(user) or sudo.get(""))

    def _scheme(self) -> Scheme | None:
        text = self._cell("scheme")
        return scheme_named(text, self.place, self.findings) if text else None

    def _windows_login(
        self, scheme: Scheme | None, port: int | None, notes: list[str]
    ) -> Login | None:
        text = self._cell("auth")
        auth = auth_named(text, self.place, self.findings) if text else None
        user = self._cell("user") or self.wishes.user
        fault = clear_fault(auth, scheme_of(scheme, port))
        if fault:
            self._fault("auth", *fault)
        if auth == "certificate":
            hint = "write it into a file of ours"
            self._fault("auth", "a table cannot name the files of a certificate", hint)
        if self._cell("key"):
            notes.append(KEY_LEFT_OUT)
        if not user:
            return None
        if auth == "kerberos" and user.count("@") != 1:
            hint = "write the user like ops@ACME.EXAMPLE"
            self._fault("user", "`kerberos` needs the realm of the user", hint)
        odd = user_fault(user)
        if odd:
            self._fault("user", *odd)
        password = self.wishes.passwords.get(user) or self.wishes.passwords.get("")
        if password is None and auth != "kerberos":
            notes.append(NO_WAY_IN)
            return None
        return Login(user, password=password, auth=auth)


def _is_number(text: str) -> bool:
    """Return whether a word is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return address_fault(text) is None


def _is_own(text: str) -> bool:
    """Return whether an address means something else on every machine."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text.casefold() == "localhost"
    return address.is_loopback or address.is_link_local or address.is_unspecified


def clients_named(gathered: Gathered) -> str:
    """Return the clients a table names, for a sentence; empty if it is at most one."""
    names = dict.fromkeys(proposal.client for proposal in gathered.proposals)
    return fold_list(map(shown, names)) if len(names) > 1 else ""
