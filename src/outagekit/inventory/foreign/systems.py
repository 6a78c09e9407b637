"""Which operating system a text of another tool means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from outagekit.events import OperatingSystem

_WINDOWS = re.compile(r"\bwindows\b(?! ?phone)|\bwin ?(?:dows)? ?(?:7|8|10|11|20\d\d)\b|\bwin32\b")
_MACOS = re.compile(r"\bmac ?os\b|\bos ?x\b|\bdarwin\b|\bmac\b")
_LINUX = re.compile(
    r"linux|ubuntu|debian|centos|red ?hat|\brhel\b|fedora|\bsuse\b|opensuse|\bsles\b|rocky|alma"
    r"|raspbian|gentoo|\barch\b|alpine|proxmox|\bmint\b|\bkali\b|\bol ?[789]\b"
)
_OTHER: Final = re.compile(
    r"\besxi?\b|\bios\b|ipados|android|printer|switch|router|firewall|fortios|pan-?os|junos"
    r"|routeros|windows phone|network device|chrome ?os|\bdsm\b|\bups\b|nx-?os|ios-?xe|pfsense"
    r"|truenas|freebsd|vmware photon|thin ?os|\baix\b|solaris|hp-?ux"
)


def system_of(text: str) -> OperatingSystem | None:
    """Return what `Windows Server 2019`, `Ubuntu 22.04` or `macOS 14` means; None if unclear."""
    words = text.casefold()
    found: list[OperatingSystem] = []
    if _WINDOWS.search(words):
        found.append("windows")
    if _MACOS.search(words):
        found.append("macos")
    if _LINUX.search(words):
        found.append("linux")
    return found[0] if len(found) == 1 and not is_other(text) else None


def is_other(text: str) -> bool:
    """Return whether a text names a system that outagekit does not work on."""
    return bool(_OTHER.search(text.casefold()))
