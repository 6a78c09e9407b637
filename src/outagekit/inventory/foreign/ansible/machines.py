"""From a host's variables to a machine as outagekit knows it, or to the reason why not."""

from __future__ import annotations

import getpass
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from outagekit.inventory.address import address_fault
from outagekit.inventory.foreign.ansible import facts as known
from outagekit.inventory.foreign.ansible.estate import ALL, UNGROUPED, EstateError
from outagekit.inventory.foreign.ansible.facts import Facts
from outagekit.inventory.foreign.ansible.jump import Jump, JumpError, jump_of
from outagekit.inventory.foreign.ansible.winrm import (
    Service,
    check_user,
    login_of,
    note_key,
    service_of,
)
from outagekit.inventory.foreign.findings import Findings
from outagekit.inventory.foreign.proposal import Gathered, LeftOut, Login, Proposal, Way, Wishes
from outagekit.source import shown
from outagekit.text import count

if TYPE_CHECKING:
    from outagekit.events import OperatingSystem
    from outagekit.inventory.foreign.ansible.estate import Estate, Group, Host
    from outagekit.inventory.foreign.ansible.variables import VariableFiles

_SSH: Final = frozenset(["ssh", "smart", "paramiko", "paramiko_ssh", "libssh"])
_WINDOWS: Final = frozenset(["winrm", "psrp"])
_COLLECTIONS: Final = (
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.netcommon.",
    "community.general.",
)
_SUDO: Final = frozenset(["sudo", "ansible.builtin.sudo", "community.general.sudosu"])


def gather(estate: Estate, files: VariableFiles, wishes: Wishes, findings: Findings) -> Gathered:
    """Return the machines of an estate, those left out, and what was taken for what."""
    try:
        estate.close()
    except EstateError as error:
        host = next(iter(estate.hosts.values()), None)
        if host is not None:
            findings.fault(host.place, error.message, error.hint)
        return Gathered("")
    gathered = Gathered("")
    told: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    for host, groups, settings in estate.effective(files.of):
        own = Findings()
        found = _Machine(host, groups, Facts(settings, own), wishes, told).judged(own)
        unused.update(name for name in settings if name not in known.HONOURED)
        if isinstance(found, Proposal):
            gathered.proposals.append(found)
        elif found is not None:
            gathered.left_out.append(found)
        elif wishes.leave_out and own.problems:
            first = own.problems[0]
            gathered.left_out.append(LeftOut(host.name, host.place, first.message))
            continue
        for each in own.problems:
            findings.add(each)
    gathered.notes = [text.format(count(number, "endpoint")) for text, number in told.items()]
    gathered.unused = dict(unused)
    return gathered


class _Machine:
    def __init__(
        self, host: Host, groups: list[Group], facts: Facts, wishes: Wishes, told: Counter[str]
    ) -> None:
        self._host = host
        self._groups = groups
        self._facts = facts
        self._wishes = wishes
        self._told = told
        self._notes: list[str] = []

    def judged(self, findings: Findings) -> Proposal | LeftOut | None:
        """Return the machine, or why it is left out; None if it has a fault."""
        connection = self._connection()
        if connection not in _SSH | _WINDOWS and not findings.faults:
            return LeftOut(self._host.name, self._host.place, _reason(connection))
        if self._facts.setting(known.NETWORK) and not findings.faults:
            reason = "it is a network device, as `ansible_network_os` says"
            return LeftOut(self._host.name, self._host.place, reason)
        self._facts.refuse_keys()
        system = self._system(connection)
        address = self._address(findings)
        service = self._service(connection, findings) if system == "windows" else None
        port = service.port if service else self._facts.port(known.PORT)
        become = system != "windows" and self._become(findings)
        login = self._login(service, findings)
        way = self._way(system, findings)
        if findings.faults:
            return None
        self._told.update(self._notes)
        names = (group.name for group in self._groups)
        return Proposal(
            name=self._host.name,
            place=self._host.place,
            address=address,
            os=system,
            port=port,
            tags=tuple(name for name in names if name not in {ALL, UNGROUPED}),
            login=login,
            way=way,
            become=become,
            scheme=service.scheme if service else None,
            ca=service.ca if service else None,
        )

    def _connection(self) -> str:
        name = self._facts.text(known.CONNECTION) or "ssh"
        for collection in _COLLECTIONS:
            name = name.removeprefix(collection)
        return name

    def _system(self, connection: str) -> OperatingSystem:
        shell = self._facts.text(known.SHELL) or ""
        if connection in _WINDOWS or shell in {"powershell", "cmd"}:
            return "windows"
        if self._wishes.os is None:
            self._notes.append(
                "os: taken as linux for {}, as nothing says it; import --os says otherwise"
            )
        return self._wishes.os or "linux"

    def _address(self, findings: Findings) -> str:
        address = self._facts.text(known.HOST)
        place = self._facts.place(known.HOST) if address is not None else self._host.place
        if address is None:
            address = self._host.name
        fault = address_fault(address)
        if fault and place is not None:
            hint = fault[1] or "say where it is reached: ansible_host=ADDRESS"
            findings.fault(place, fault[0], hint)
        return address

    def _become(self, findings: Findings) -> bool:
        if not self._facts.truth(known.BECOME):
            return False
        method = self._facts.text(known.METHOD) or "sudo"
        user = self._facts.text(known.BECOME_USER) or "root"
        if method not in _SUDO:
            self._notes.append(f"become: left out for {{}}: {_braced(shown(method))} is not sudo")
            return False
        if user != "root":
            self._notes.append(f"become: left out for {{}}: {_braced(shown(user))} is not root")
            return False
        return not findings.faults

    def _service(self, connection: str, findings: Findings) -> Service:
        """Return how a Windows host is reached; what its SSH listens on is of no use for that."""
        service = service_of(self._facts, self._host.place, findings, self._notes)
        if self._facts.text(known.CONNECTION) and connection in _SSH:
            self._notes.append("windows: by WinRM, not by SSH as Ansible does, for {}")
            return replace(service, port=None)
        return service

    def _login(self, service: Service | None, findings: Findings) -> Login | None:
        key = None if service else self._facts.text(known.KEY) or None
        user = self._user(key, findings)
        passwords, sudo = self._wishes.passwords, self._wishes.sudo_passwords
        flag = "--password"
        password = self._facts.secret(
            known.PASSWORD, flag, passwords.get(user or "") or passwords.get("")
        )
        asked = self._facts.secret(
            known.SUDO, "--sudo-password", sudo.get(user or "") or sudo.get("")
        )
        if user is None and (password or asked):
            self._notes.append(
                "credential: none for {}, as no user is named; import --user names one"
            )
        if service:
            place = self._facts.place(known.USER) or self._host.place
            check_user(service, user, place, findings)
            note_key(self._facts, self._notes)
            return login_of(service, user, password, self._notes)
        if user is None:
            return None
        if key is None and password is None:
            self._notes.append("login: no key is named for {}: keys of your SSH agent are offered")
        passphrase = self._facts.secret(known.PASSPHRASE, flag, None) if key else None
        return Login(user=user, key=key, password=password, passphrase=passphrase, sudo=asked)

    def _user(self, key: str | None, findings: Findings) -> str | None:
        user = self._facts.text(known.USER) or self._wishes.user
        if user is None and key is not None and not findings.faults:
            user = _own_name()
            self._notes.append(
                f"user: your own login name, {_braced(user)}, for {{}}; import --user names another"
            )
        return user or None

    def _way(self, system: OperatingSystem, findings: Findings) -> Way | None:
        if system == "windows":
            return None
        ways: dict[Jump, None] = {}
        for name in known.ARGUMENTS:
            arguments = self._facts.text((name,))
            place = self._facts.place((name,))
            if not arguments or place is None:
                continue
            try:
                jump = jump_of(arguments)
            except JumpError as error:
                findings.fault(place, f"`{name}`: {error.message}", error.hint)
                continue
            if jump is not None:
                ways[jump] = None
            else:
                self._notes.append(f"`{name}`: options for ssh of {{}} are not taken over")
            if len(ways) > 1:
                findings.fault(place, f"`{name}`: another jump host is named as well")
        return _way_of(next(iter(ways))) if ways else None


def _way_of(jump: Jump) -> Way:
    user, at, _ = jump.server.rpartition("@")
    login = Login(user if at else _own_name(), jump.key) if jump.key else None
    return Way(jump=jump.server, login=login)


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # this account has no name
        return "root"


def _reason(connection: str) -> str:
    if connection == "local":
        return "Ansible works on it without a connection; outagekit reaches endpoints by one"
    return f"it is reached by {shown(connection)}, not by SSH or WinRM"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
