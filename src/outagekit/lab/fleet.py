"""A fleet of simulated endpoints for one playbook: machines, servers, inventory and trust.

Linux machines are behind SSH, Windows ones behind WinRM: half of them with https and a certificate
that is trusted by its pin, half with http, sealed. It opens sockets on loopback only, resolves no
secret, and writes into one folder: the key and the password that log in, the host keys,
certificates and machine ids the endpoints are trusted by, and `received.jsonl`, the machines' own
record of every command that reached them. Use:

    with Fleet.start(playbook, endpoints=40, seed=1, folder=folder) as fleet:
        ...  # run a plan over fleet.inventory, trusting fleet.trust_folder
        result = score(fleet.chosen(plan.endpoints), judged, fleet.machines)
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, get_args

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput, NotYet, Problem, UsageError
from outagekit.events import Allow, EndpointId
from outagekit.inventory.model import Agreement, Client, Credential, Endpoint, Inventory, Site
from outagekit.lab.casting import Cast, cast, sample_params
from outagekit.lab.entrances import CREDENTIAL, Entrance, Entrances
from outagekit.lab.faults import Fault
from outagekit.lab.journal import RECEIVED, Journal
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.machine import Machine, Pace
from outagekit.lab.population import Place, places_for
from outagekit.lab.ports import accept_only, http
from outagekit.lab.score import Case
from outagekit.lab.ssh_server import LoopbackServer
from outagekit.playbook.model import Playbook, Step, WaitHttp, WaitTcp
from outagekit.text import visible_line

__all__ = ["CREDENTIAL", "Fleet"]

_OPEN_FILES: Final = 8192
_PRIVATE_FOLDER: Final = 0o700


class Fleet:
    """Simulated endpoints that are up; a context manager that closes them.

    `inventory` names them, `trust_folder` holds their host keys by client, `machines` and `cases`
    say what they are and how they are to be judged, `params` are the values the cases were made
    with. All of it is fixed by playbook, number, seed, faults and params, except ports and keys.
    """

    def __init__(
        self, playbook: Playbook, players: Cast, params: dict[str, Any], folder: Path
    ) -> None:
        self.playbook = playbook
        self.machines = players.machines
        self.cases = players.cases
        self.params = params
        self.folder = folder
        self.trust_folder = folder / "trust"
        self.inventory = Inventory()
        self._server = LoopbackServer()
        self._entrances: Entrances | None = None
        self._journal: Journal | None = None

    @classmethod
    def start(
        cls,
        playbook: Playbook,
        *,
        endpoints: int,
        seed: int,
        folder: Path,
        faults: Mapping[Fault, float] | None = None,
        params: Mapping[str, Any] | None = None,
        pace: Pace | None = None,
    ) -> Fleet:
        """Return a fleet whose endpoints answer, with everything it writes below `folder`.

        `folder` must be empty, or not there yet. `params` are the playbook's typed values; a
        required one that is missing is made up. Raises `UsageError` for figures out of bounds,
        `NotYet` for a playbook this version cannot simulate, `InvalidInput` for a drill block
        that cannot be evaluated or a folder that cannot be written.
        """
        _refuse_what_is_not_simulated(playbook)
        places = {EndpointId(f"{p.client}/{p.name}"): p for p in places_for(playbook, endpoints)}
        values = sample_params(playbook, params or {})
        systems = {identity: place.os for identity, place in places.items()}
        players = cast(
            playbook, systems, seed=seed, faults=faults, params=values, pace=pace or Pace()
        )
        _refuse_full(folder)
        _allow_open_files()
        fleet = cls(playbook, players, values, folder.absolute())
        try:
            fleet._open(places)
        except OSError as error:
            fleet.close()
            message = f"the drill's folder cannot be written: {error.strerror or error}"
            raise InvalidInput(message) from error
        except BaseException:
            fleet.close()
            raise
        return fleet

    def chosen(self, endpoints: Iterable[Endpoint]) -> dict[EndpointId, Case]:
        """Return the cases of the endpoints a plan has chosen, for the score."""
        return {endpoint.id: self.cases[endpoint.id] for endpoint in endpoints}

    def password_of(self, reference: SecretRef) -> str | None:
        """Return the password that a reference of this fleet's inventory means; None: no other."""
        return self._entrances.passwords.get(reference) if self._entrances is not None else None

    def close(self) -> None:
        """End every connection and free every port. Never raises; again is allowed."""
        self._server.close()
        if self._journal is not None:
            self._journal.close()

    def __enter__(self) -> Self:
        """Return the fleet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _open(self, places: Mapping[EndpointId, Place]) -> None:
        self.folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        self._journal = journal = Journal(self.folder / RECEIVED)
        for identity, machine in self.machines.items():
            machine.on_received = partial(journal.write, identity)
        entrances = self._entrances = Entrances(self.folder, self._server)
        endpoints: list[Endpoint] = []
        trusted: dict[str, list[str]] = {}
        pins: dict[str, dict[str, str]] = {}
        for identity, place in places.items():
            entrance = entrances.add(self.machines[identity])
            trusted.setdefault(place.client, []).append(entrance.trusted)
            pins.setdefault(place.client, {})[place.name] = self.machines[identity].machine_id
            endpoints.append(self._endpoint(place, entrance))
        for client, lines in trusted.items():
            folder = self.trust_folder / client
            folder.mkdir(mode=_PRIVATE_FOLDER, parents=True)
            known = "".join(f"{line}\n" for line in lines if line)
            (folder / "known_hosts").write_text(known, "ascii", newline="\n")
            # Pinned beforehand: a run that is over must not write into a folder that is removed.
            (folder / "machines.json").write_text(json.dumps(pins[client]), "ascii")
        self.inventory = _inventory(endpoints, entrances.credentials)
        self._server.start()

    def _endpoint(self, place: Place, entrance: Entrance) -> Endpoint:
        machine = self.machines[EndpointId(f"{place.client}/{place.name}")]
        return Endpoint(
            client=place.client,
            name=place.name,
            address=LOOPBACK,
            os=place.os,
            port=entrance.port,
            scheme=entrance.scheme,
            credential=entrance.credential,
            site=place.site,
            tags=place.tags,
            ports=self._further_ports(machine),
        )

    def _further_ports(self, machine: Machine) -> dict[int, int]:
        """Open what `wait` steps look for; a machine out of reach has all its ports closed."""
        ports: dict[int, int] = {}
        for step in self.playbook.steps:
            action = step.action
            if not isinstance(action, WaitTcp | WaitHttp) or action.port in ports:
                continue
            if machine.fault == "unreachable":
                ports[action.port] = self._server.closed_port()
            elif isinstance(action, WaitTcp):
                ports[action.port] = self._server.add_port(accept_only, of=machine)
            else:
                answering = http(_status(machine, step, action))
                ports[action.port] = self._server.add_port(answering, of=machine)
        return ports


def _status(machine: Machine, step: Step, action: WaitHttp) -> Callable[[], int]:
    """Return what a web server answers: the wanted status, or 503 while the drill says not yet."""
    drill = machine.drill(step)

    def status() -> int:
        ready = not drill.check or machine.verdict(step, "check", {})
        return action.status if ready else HTTPStatus.SERVICE_UNAVAILABLE

    return status


def _inventory(endpoints: Iterable[Endpoint], credentials: Mapping[str, Credential]) -> Inventory:
    by_client: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_client.setdefault(endpoint.client, []).append(endpoint)
    clients = {
        name: Client(
            client=name,
            name=f"{name.capitalize()} (simulated)",
            agreement=Agreement(id=f"drill-{name}", allows=get_args(Allow)),
            credentials={
                each: credential
                for each, credential in credentials.items()
                if any(e.credential == each for e in own)
            },
            sites={e.site: Site(name=e.site) for e in own if e.site},
            endpoints={e.name: e for e in own},
        )
        for name, own in by_client.items()
    }
    return Inventory(clients=clients)


def _refuse_full(folder: Path) -> None:
    """Raise `UsageError` for a folder with anything in it: a fleet's files overwrite nothing."""
    try:
        full = any(folder.iterdir())
    except OSError:  # writing into it will say what is wrong
        return
    if full:
        message = f"{visible_line(str(folder))} is not empty: simulated endpoints want a new folder"
        raise UsageError(message, hint="name one that is not there yet")


def _refuse_what_is_not_simulated(playbook: Playbook) -> None:
    for step in playbook.steps:
        if isinstance(step.action, WaitHttp) and step.action.scheme == "https":
            message = f"a drill has no certificate for the https of step {step.id}"
            path = Path(playbook.path or playbook.name)
            raise NotYet(message, (Problem(path, step.line, 1, message),))


def _allow_open_files() -> None:
    """Raise this process's limit of open files, where there is one: each endpoint needs some."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  (does not exist on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
