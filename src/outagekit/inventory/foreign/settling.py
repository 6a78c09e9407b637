"""Machines of a foreign file become clients: names made valid, logins and sites shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outagekit.inventory.address import canonical
from outagekit.inventory.foreign.findings import Findings
from outagekit.inventory.foreign.names import Register, valid_client, valid_name
from outagekit.inventory.foreign.proposal import LeftOut, Login, Proposal, Way
from outagekit.inventory.model import Client, Credential, Endpoint, Site, Winrm
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from outagekit.inventory.foreign.proposal import Gathered


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a foreign file, and everything a person should know of how."""

    path: Path
    form: str
    clients: tuple[Client, ...] = ()
    renamed: tuple[tuple[str, str, str], ...] = ()
    """Kind, name as written, name here."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    unused: dict[str, int] = field(default_factory=dict)
    """Variables or columns of no use here -> for how many machines."""


def settle(
    path: Path, gathered: Gathered, findings: Findings, *, client: str, leave_out: bool = False
) -> Taken:
    """Return the clients of a file in its order; `client` is whose machines they are by default.

    With `leave_out` an endpoint whose name cannot be used is left out instead of being a fault.
    """
    by_client: dict[str, list[Proposal]] = {}
    for proposal in gathered.proposals:
        by_client.setdefault(proposal.client, []).append(proposal)
    written: dict[str, str] = {}
    clients: list[Client] = []
    renamed: list[tuple[str, str, str]] = []
    left_out = gathered.left_out if leave_out else None
    for name, proposals in (by_client or {"": []}).items():
        short = valid_client(name) if name else client
        first = written.setdefault(short, name)
        if not short or first != name:
            why = f"has the short name of {shown(first)}" if short else "has no short name"
            message = f"the client {shown(name)} {why}"
            findings.fault(proposals[0].place, message, "rename it there")
            continue
        table = _Table(short)
        taken = [each for each in proposals if _is_taken(table, each, findings, left_out)]
        _warn_of_shared(taken, findings)
        clients.append(table.client(_one_line(name, short), _authorities(taken, findings)))
        renamed += [("client", name, short)] if name and name != short else []
        renamed += table.renamed()
    return Taken(
        path=path,
        form=gathered.form,
        clients=tuple(clients),
        renamed=tuple(dict.fromkeys(renamed)),
        left_out=tuple(gathered.left_out),
        notes=tuple(gathered.notes),
        unused=gathered.unused,
    )


def _is_taken(
    table: _Table, proposal: Proposal, findings: Findings, left_out: list[LeftOut] | None
) -> bool:
    """Add a machine to its client; what is wrong with it is a fault, or why it is left out."""
    own = Findings()
    endpoint = table.endpoint(proposal, own)
    if own.problems and left_out is not None:
        left_out.append(LeftOut(proposal.name, proposal.place, own.problems[0].message))
        return False
    for problem in own.problems:
        findings.add(problem)
    if endpoint is not None:
        table.endpoints[endpoint.name] = endpoint
    return True


def _one_line(text: str, otherwise: str) -> str:
    text = text.strip()
    return text if text.isprintable() and 0 < len(text) <= 200 else otherwise  # noqa: PLR2004


class _Table:
    """A client's values while they are gathered."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._kinds = {kind: Register(kind) for kind in ("endpoint", "tag", "site")}
        self._written: set[str] = set()
        self._logins: dict[Login, str] = {}
        self._ways: dict[Way, str] = {}
        self.credentials: dict[str, Credential] = {}
        self.sites: dict[str, Site] = {}
        self.endpoints: dict[str, Endpoint] = {}

    def endpoint(self, proposal: Proposal, findings: Findings) -> Endpoint | None:
        """Return a machine under its name here; None, with a fault, if it cannot have one."""
        place = proposal.place
        if proposal.name in self._written:
            message = f"the endpoint {shown(proposal.name)} stands twice"
            findings.fault(place, message, "rename one of them there")
            return None
        self._written.add(proposal.name)
        name = self._kinds["endpoint"].name(proposal.name, place, findings)
        tags = [self._kinds["tag"].name(tag, place, findings) for tag in proposal.tags]
        site = self._site(proposal, findings)
        if name is None or findings.faults:
            return None
        return Endpoint(
            client=self._client,
            name=name,
            address=proposal.address,
            os=proposal.os,
            port=proposal.port,
            credential=self._credential(proposal.login) if proposal.login else None,
            site=site,
            tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
            become="sudo" if proposal.become else None,
            scheme=proposal.scheme,
        )

    def client(self, name: str, ca: str | None) -> Client:
        return Client(
            client=self._client,
            name=name,
            credentials=self.credentials,
            sites=self.sites,
            winrm=Winrm(ca=ca),
            endpoints=self.endpoints,
        )

    def renamed(self) -> Iterable[tuple[str, str, str]]:
        for kind, register in self._kinds.items():
            for written, name in register.changed.items():
                yield kind, written, name

    def _credential(self, login: Login) -> str:
        if login not in self._logins:
            name = _free(valid_name(login.user) or "login", self.credentials)
            self._logins[login] = name
            self.credentials[name] = Credential(
                name=name,
                user=login.user,
                password=login.password,
                key=login.key,
                passphrase=login.passphrase,
                certificate=login.certificate,
                agent=login.key is None and login.password is None and login.auth is None,
                sudo=login.sudo,
                auth=login.auth,
            )
        return self._logins[login]

    def _site(self, proposal: Proposal, findings: Findings) -> str | None:
        way = proposal.way
        if way is None:
            return None
        if way not in self._ways:
            if way.name:
                name = self._kinds["site"].name(way.name, proposal.place, findings)
                if name is None:
                    return None
            else:
                server = (way.jump or "").rpartition("@")[2]
                name = _free(valid_name(server) or "jump", self.sites)
            self._ways[way] = name
            self.sites[name] = Site(
                name=name,
                jump=way.jump,
                jump_credential=self._credential(way.login) if way.login else None,
            )
        return self._ways[way]


def _free(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number behind it if it is taken in any case."""
    folded = {each.casefold() for each in taken}
    number, found = 1, name
    while found.casefold() in folded:
        number += 1
        ending = f"-{number}"
        found = f"{name[: 63 - len(ending)]}{ending}"
    return found


def _authorities(proposals: list[Proposal], findings: Findings) -> str | None:
    """Return the file of authorities of a client, who has one; others are left out and told."""
    named = [each for each in proposals if each.ca]
    first = named[0].ca if named else None
    for other in (each for each in named if each.ca != first):
        message = f"the authorities in {shown(other.ca or '')} are left out"
        hint = "a client has one file of them: put all of them into it"
        findings.warn(other.place, message, hint)
    return first


def _warn_of_shared(proposals: list[Proposal], findings: Findings) -> None:
    seen: dict[tuple[object, ...], Proposal] = {}
    for proposal in proposals:
        reached = (canonical(proposal.address), proposal.port, proposal.way)
        first = seen.setdefault(reached, proposal)
        if first is not proposal:
            message = f"{shown(first.name)} has the same address as {shown(proposal.name)}"
            hint = "one machine under two names is worked on twice"
            findings.warn(proposal.place, message, hint)
