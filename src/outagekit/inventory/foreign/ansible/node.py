"""A value of a YAML or JSON file with its place: what both readers make, and settings hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from outagekit.inventory.foreign.findings import Place

Kind = Literal["mapping", "list", "scalar", "encrypted"]

LIMIT_NODES: Final = 1_000_000
LIMIT_DEPTH: Final = 64
VAULT: Final = "$ANSIBLE_VAULT"


@dataclass(slots=True)
class Node:
    """A value and where it stands."""

    kind: Kind
    place: Place
    value: Any = None
    """Of a scalar: text, int, float, bool, None or a date. Nothing for what is encrypted."""
    entries: dict[Any, tuple[Node, Node]] = field(default_factory=dict)
    """Of a mapping: key -> its node and its value's, in the order of the file."""
    items: list[Node] = field(default_factory=list)
    """Of a list."""

    @property
    def empty(self) -> bool:
        """Whether Python would call the value false."""
        if self.kind == "scalar":
            return not self.value
        return self.kind != "encrypted" and not self.entries and not self.items

    @property
    def nothing(self) -> bool:
        """Whether this is `null`."""
        return self.kind == "scalar" and self.value is None

    def get(self, key: str) -> Node | None:
        """Return the value of a mapping's key, or None."""
        found = self.entries.get(key)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a variable, and where it stands."""

    value: Any
    """A scalar; a list or mapping is only known to be one, as `...`."""
    place: Place
    encrypted: bool = False


_UNSAFE: Final = "__ansible_unsafe"
_VAULTED: Final = "__ansible_vault"


def setting_of(node: Node) -> Setting:
    """Return a node as the value of a variable.

    The two wrappers in which Ansible's own JSON output marks texts are taken off.
    """
    if node.kind == "mapping" and set(node.entries) == {_UNSAFE}:
        return setting_of(node.entries[_UNSAFE][1])
    vaulted = node.kind == "mapping" and set(node.entries) == {_VAULTED}
    if node.kind == "encrypted" or vaulted:
        return Setting(None, node.place, encrypted=True)
    if node.kind == "scalar":
        sealed = isinstance(node.value, str) and node.value.startswith(VAULT)
        return Setting(None if sealed else node.value, node.place, encrypted=sealed)
    return Setting(..., node.place)
