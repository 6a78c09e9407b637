"""Groups, hosts and their variables, put together in the order the files say them.

Which variable wins is Ansible's rule: variables of `all`, of groups from far to near (within one
depth by `ansible_group_priority`, then by name), the files of `all`, of groups, then the host's own
and its files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from outagekit.inventory.foreign.findings import LIMIT_ENDPOINTS
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outagekit.inventory.foreign.ansible.node import Setting
    from outagekit.inventory.foreign.findings import Place

Settings = dict[str, "Setting"]

LIMIT_STATEMENTS: Final = 1_000_000
"""How much all files together may say: a host named, a variable set, a host's place in a group.

Ranges and aliases make much of little, so what they stand for is counted as well."""
_CHEAP: Final = 10
"""Variables a host inherits that cost as much as one statement."""

PRIORITY: Final = "ansible_group_priority"
PORT: Final = "ansible_port"
ALL: Final = "all"
UNGROUPED: Final = "ungrouped"


class EstateError(ValueError):
    """A statement that contradicts what was said before, as a sentence."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class TooMuch(Exception):  # noqa: N818  (ends the reading of a whole inventory, is caught there)
    """The files say more than can be held, as a sentence."""


@dataclass(slots=True)
class Group:
    """A group with what was said of it directly."""

    name: str
    place: Place | None = None
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    parents: dict[str, None] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    priority: int = 1
    depth: int = 0


@dataclass(slots=True)
class Host:
    """A host with what was said of it directly."""

    name: str
    place: Place
    settings: Settings = field(default_factory=dict)


class Estate:
    """All that the sources of one inventory say. `close` once they are read."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.hosts: dict[str, Host] = {}
        self._statements = 0
        self.add_group(ALL)
        self.add_group(UNGROUPED)
        self.add_child(ALL, UNGROUPED)

    def spend(self, statements: int = 1) -> None:
        """Count what is said; raises `TooMuch` beyond the limit."""
        self._statements += statements
        if len(self.hosts) > LIMIT_ENDPOINTS:
            raise TooMuch(f"there are more than {LIMIT_ENDPOINTS} endpoints")
        if self._statements > LIMIT_STATEMENTS:
            raise TooMuch("its ranges, aliases and groups stand for more than can be read")

    def add_group(self, name: str, place: Place | None = None) -> Group:
        """Return the group of this name, which is made if it is new."""
        self.spend()
        return self.groups.setdefault(name, Group(name, place))

    def add_host(
        self, name: str, place: Place, *, group: str | None = None, port: Setting | None = None
    ) -> None:
        """Add a host, and to a group; a port counts only where the host is first named."""
        self.spend()
        if name not in self.hosts:
            self.hosts[name] = Host(name, place)
            if port is not None:
                self.hosts[name].settings[PORT] = port
        if group is not None:
            self.groups[group].hosts[name] = None

    def add_child(self, parent: str, child: str) -> None:
        """Put a group below another one; raises `EstateError` for a circle."""
        if child in self.groups[parent].children:
            return
        if parent == child or child in self._above(parent):
            message = f"the groups {shown(parent)} and {shown(child)} are below each other"
            raise EstateError(message)
        if child == ALL or (child == UNGROUPED and parent != ALL) or parent == UNGROUPED:
            message = f"{shown(parent)} cannot have the group {shown(child)} below it"
            raise EstateError(message, "all and ungrouped are no groups of their own")
        self.groups[parent].children[child] = None
        self.groups[child].parents[parent] = None

    def put(self, entity: str, name: str, setting: Setting) -> None:
        """Set a variable of a group or host; a group that is called like a host comes first."""
        self.spend()
        group = self.groups.get(entity)
        if group is None:
            self.hosts[entity].settings[name] = setting
        elif name == PRIORITY:
            group.priority = _whole(setting)
        else:
            group.settings[name] = setting

    def close(self) -> None:
        """Give every group its depth and every host its place; raises `EstateError`."""
        for group in self.groups.values():
            if group.name != ALL and not group.parents:
                self.add_child(ALL, group.name)
        ungrouped = self.groups[UNGROUPED].hosts
        grouped = {
            name
            for group in self.groups.values()
            if group.name not in {ALL, UNGROUPED}
            for name in group.hosts
        }
        for name in self.hosts:
            if name in grouped:
                ungrouped.pop(name, None)
            elif name not in ungrouped:
                if name in self.groups:
                    message = f"{shown(name)} is both a host in no group and a group"
                    raise EstateError(message, "give one of them another name")
                ungrouped[name] = None
        self._measure()

    def _measure(self) -> None:
        """Set each group's depth: the longest way down to it from `all`."""
        waiting = [ALL]
        left = {name: len(group.parents) for name, group in self.groups.items()}
        while waiting:
            group = self.groups[waiting.pop()]
            for child in group.children:
                below = self.groups[child]
                below.depth = max(below.depth, group.depth + 1)
                left[child] -= 1
                if not left[child]:
                    waiting.append(child)

    def _above(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = list(self.groups[name].parents)
        while waiting:
            parent = waiting.pop()
            if parent not in found:
                self.spend()
                found.add(parent)
                waiting += self.groups[parent].parents
        return found

    def memberships(self) -> dict[str, list[Group]]:
        """Return the groups of each host, `all` first, then from far to near."""
        direct: dict[str, set[str]] = {name: {ALL} for name in self.hosts}
        above: dict[str, set[str]] = {}
        for group in self.groups.values():
            above[group.name] = self._above(group.name) | {group.name}
            self.spend(len(group.hosts) * len(above[group.name]))
            for host in group.hosts:
                direct[host] |= above[group.name]
        return {
            host: sorted(
                (self.groups[name] for name in names),
                key=lambda group: (group.name != ALL, group.depth, group.priority, group.name),
            )
            for host, names in direct.items()
        }

    def effective(
        self, files_of: Callable[[str, str], Settings]
    ) -> Iterator[tuple[Host, list[Group], Settings]]:
        """Yield each host with its groups and the variables that hold for it.

        `files_of` returns what the files of a `group` or `host` (the first argument) of a name say.
        """
        for name, groups in self.memberships().items():
            host = self.hosts[name]
            holds: Settings = {}
            for group in groups:
                holds |= group.settings
            for group in groups:
                holds |= files_of("group", group.name)
            holds |= host.settings
            self.spend(len(holds) // _CHEAP)
            yield host, groups, holds | files_of("host", name)


def _whole(setting: Setting) -> int:
    value = setting.value
    try:
        if isinstance(value, str | int | float):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise EstateError(f"{PRIORITY} must be a whole number")
