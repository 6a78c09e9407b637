"""Groups and hosts out of trees: Ansible's YAML form, and what inventory programs print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outagekit.inventory.foreign.ansible.estate import Estate, EstateError
from outagekit.inventory.foreign.ansible.node import Node, Setting, setting_of
from outagekit.inventory.foreign.ansible.patterns import PatternError, expand
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outagekit.inventory.foreign.findings import Findings

_SECTIONS: Final = ("hosts", "children", "vars")
_META: Final = "_meta"
_QUOTES: Final = "put it in quotes if it is a name"


def is_ansible_shape(root: Node) -> bool:
    """Return whether a tree looks like groups of Ansible: none of our own files does."""
    if root.kind != "mapping" or "outagekit" in root.entries:
        return False
    if _META in root.entries or "plugin" in root.entries:
        return True
    values = [value for _, value in root.entries.values() if not value.nothing]
    named = bool(root.entries.keys() & {"all", "ungrouped"})
    known = [set(each.entries) <= set(_SECTIONS) for each in values if each.kind == "mapping"]
    return named or (bool(known) and all(known) and len(known) == len(values))


def is_program_output(root: Node) -> bool:
    """Return whether a tree is what a program prints for `--list`: its hosts are lists."""
    if _META in root.entries:
        return True
    for _, group in root.entries.values():
        hosts = group.get("hosts") if group.kind == "mapping" else group
        if hosts is not None and hosts.kind == "list":
            return True
    return False


class TreeReader:
    """Adds what trees say to an estate; each part that cannot be read is a fault of its own."""

    def __init__(self, estate: Estate, findings: Findings) -> None:
        self._estate = estate
        self._findings = findings

    def yaml_groups(self, root: Node) -> None:
        """Add the groups of Ansible's YAML form."""
        if root.kind != "mapping" or not root.entries:
            self._findings.fault(root.place, "there is no group in this file")
        elif "plugin" in root.entries:
            message = "this file tells a plugin of Ansible where to ask for hosts"
            hint = "save what it finds: ansible-inventory -i FILE --list > hosts.json"
            self._findings.fault(root.entries["plugin"][0].place, message, hint)
        else:
            for key, value in root.entries.values():
                self._guarded(key, lambda k=key, v=value: self._group(k, v))  # type: ignore[misc]

    def _guarded(self, node: Node, add: Callable[[], object]) -> None:
        try:
            add()
        except (EstateError, PatternError) as error:
            self._findings.fault(node.place, error.message, error.hint)

    def _name(self, key: Node, what: str) -> str | None:
        if isinstance(key.value, str) and key.value:
            return key.value
        told = f"this {what} is called {shown(str(key.value))}, which is no text"
        self._findings.fault(key.place, told, _QUOTES)
        return None

    def _group(self, key: Node, value: Node, above: str | None = None) -> None:
        name = self._name(key, "group")
        if name is None:
            return
        if value.kind == "mapping" or value.nothing:
            self._estate.add_group(name, key.place)
            self._sections(name, value)
        elif above is None:
            told = f"{shown(name)} is no group: nothing is taken of it"
            self._findings.warn(key.place, told)
            return
        elif name not in self._estate.groups:
            self._findings.fault(key.place, f"the group {shown(name)} must be a mapping")
            return
        if above is not None:
            self._guarded(key, lambda: self._estate.add_child(above, name))

    def _sections(self, group: str, value: Node) -> None:
        for key, section in value.entries.values():
            if key.value not in _SECTIONS:
                told = f"{shown(str(key.value))} is not known below a group: nothing is taken of it"
                self._findings.warn(key.place, told, "known are hosts, children and vars")
                continue
            entries = _mapping_of(section)
            if entries is None:
                told = f"`{key.value}` of the group {shown(group)} must be a mapping"
                hint = "write each name with a colon behind it" if section.kind == "list" else ""
                self._findings.fault(section.place, told, hint)
            elif key.value == "vars":
                self._variables(group, entries)
            elif key.value == "children":
                for child, below in entries:
                    self._group(child, below, above=group)
            else:
                for host, variables in entries:
                    self._guarded(host, lambda h=host, v=variables: self._host(h, v, group))  # type: ignore[misc]

    def _variables(self, entity: str, entries: list[tuple[Node, Node]]) -> None:
        for key, value in entries:
            self._estate.put(entity, str(key.value), setting_of(value))

    def _host(self, key: Node, value: Node, group: str) -> None:
        name = self._name(key, "host")
        if name is None:
            return
        if value.kind != "mapping" and not value.empty:
            told = f"the variables of {shown(name)} must be a mapping"
            self._findings.fault(value.place, told, "or leave out what stands behind the colon")
            return
        names, port = expand(name)
        at_port = Setting(port, key.place) if port else None
        for each in names:
            self._estate.add_host(each, key.place, group=group, port=at_port)
            self._variables(each, list(value.entries.values()))
        if not names:
            self._findings.warn(key.place, "this range is empty: it stands for no host")

    def program_output(
        self, root: Node, variables_of: Callable[[str], Node | None] | None = None
    ) -> None:
        """Add what a program prints for `--list`.

        Without `_meta`, `variables_of` returns a host's variables (as `--host NAME` prints them).
        """
        if root.kind != "mapping":
            self._findings.fault(root.place, "an inventory in JSON is a mapping of groups")
            return
        named: dict[str, Node] = {}
        for key, value in root.entries.values():
            if key.value != _META and self._name(key, "group") is not None:
                self._guarded(key, lambda k=key, v=value: self._printed(k, v, named))  # type: ignore[misc]
        meta = root.get(_META)
        if meta is not None:
            variables_of = self._hostvars(meta, named)
        for name, node in named.items() if variables_of else ():
            found = variables_of(name)  # type: ignore[misc]  # there is nothing to go through without
            if found is not None:
                self._host_variables(name, found, node)

    def _hostvars(self, meta: Node, named: dict[str, Node]) -> Callable[[str], Node | None] | None:
        """Return what says a host's variables, out of `_meta`."""
        hosts = meta.get("hostvars")
        if hosts is None or hosts.kind != "mapping":
            self._findings.fault(meta.place, "`hostvars` of `_meta` must be a mapping")
            return None
        for name, (key, _) in hosts.entries.items():
            if name not in named:
                told = f"no group holds the host {shown(str(name))}: nothing is taken of it"
                self._findings.warn(key.place, told)
        return hosts.get

    def _host_variables(self, name: str, found: Node, node: Node) -> None:
        if found.kind != "mapping":
            told = f"the variables of {shown(name)} must be a mapping"
            self._findings.fault(found.place if found.place.line else node.place, told)
            return
        self._variables(name, list(found.entries.values()))

    def _printed(self, key: Node, value: Node, named: dict[str, Node]) -> None:
        """Add one group of a program's output, in any of the forms it ever had."""
        group = str(key.value)
        self._estate.add_group(group, key.place)
        hosts: Node | None = value
        variables = children = None
        if value.kind == "mapping":
            hosts, variables, children = (value.get(name) for name in _SECTIONS_PRINTED)
            if not (value.entries.keys() & set(_SECTIONS)):
                hosts, variables = Node("list", key.place, items=[key]), value
        for host in self._names(hosts, group, "hosts"):
            named.setdefault(str(host.value), host)
            self._estate.add_host(str(host.value), host.place, group=group)
        if variables is not None and variables.kind != "mapping":
            told = f"`vars` of the group {shown(group)} must be a mapping"
            self._findings.fault(variables.place, told)
        elif variables is not None:
            self._variables(group, list(variables.entries.values()))
        for child in self._names(children, group, "children"):
            self._estate.add_group(str(child.value), child.place)
            self._estate.add_child(group, str(child.value))

    def _names(self, node: Node | None, group: str, what: str) -> Iterator[Node]:
        if node is None:
            return
        if node.kind != "list":
            told = f"`{what}` of the group {shown(group)} must be a list"
            self._findings.fault(node.place, told)
        for each in node.items:
            if self._name(each, "host" if what == "hosts" else "group") is not None:
                yield each


_SECTIONS_PRINTED: Final = ("hosts", "vars", "children")


def _mapping_of(section: Node) -> list[tuple[Node, Node]] | None:
    """Return a section's entries; a text alone is a name with nothing behind it."""
    if section.kind == "mapping":
        return list(section.entries.values())
    if section.nothing:
        return []
    if section.kind == "scalar" and isinstance(section.value, str):
        return [(section, Node("scalar", section.place))]
    return None
