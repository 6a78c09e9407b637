"""Keys and certificates as people compare them: rows, blocks, groups of failures, keys seen twice.

A fingerprint is never shortened, and stands alone in its line where a table is too wide; that of a
certificate in two, cut between bytes, where it is too long for one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import fold_line, table_text
from outagekit.cli.trust.wording import described, key_row
from outagekit.inventory.adhoc import ADHOC
from outagekit.text import count, fold_list, visible_line
from outagekit.transports.trust.known_hosts import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.known_hosts import HostKey

FEW: Final = 24
"""So many rows are shown to a person at once; of more only what stands out, and how many."""
_NAMED: Final = 3
_VALID_NAMED: Final = 8
_SAID_ALREADY: Final = ("self-signed certificate", "has expired", "not yet valid")
"""Reasons that can be read off a certificate's own words, too."""
_TWICE_SHOWN: Final = 5
_BYTES: Final = (16, 8, 4)
"""So many bytes of a fingerprint stand in a line, if all of them are too many for it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a server shows, or what a file knows of it, and what was believed so far."""

    client: str
    server: str
    """`client/name`, or which jump host it is."""
    name: str
    """In a known_hosts file."""
    keys: tuple[HostKey, ...] = ()
    failure: Failure | None = None
    former: tuple[HostKey, ...] = ()
    endpoint_name: str = ""
    machine_id: str = ""
    """The one that is pinned."""
    is_tls: bool = False
    """It is known by a TLS certificate, not by a host key."""
    valid: HostKey | None = None
    """A certificate somebody vouches for: it is not among `keys`, for it need not be believed."""
    by: str = ""
    """Who vouches for it, in words."""
    why: str = ""
    """Why nobody vouches for its certificate."""

    @property
    def changes(self) -> bool:
        """Whether it shows a key that was not believed so far, where one has to be believed."""
        if self.valid is not None:
            return bool(self.former) and self.valid not in self.former
        return not set(self.keys) <= set(self.former)

    @property
    def row(self) -> dict[str, Any]:
        """What `--json` says of it."""
        shown = [key_row(key) for key in (self.keys if self.valid is None else (self.valid,))]
        said: dict[str, Any] = {"server": self.server, "name": self.name, "keys": shown}
        if self.former:
            said["former"] = [str(key) for key in self.former]
        if self.machine_id:
            said["machine_id"] = self.machine_id
        if self.by or self.why:
            said |= {"validated_by": self.by} if self.by else {"not_valid": self.why}
        if self.failure is not None:
            said |= {"failure": self.failure.kind.value, "detail": self.failure.detail}
        return said


def key_lines(found: Sequence[Found], width: int | None) -> list[str]:
    """Return every key as a line of a table, or as two lines if the table is wider than `width`."""
    rows = [(f.server, _words(f, key), key.fingerprint) for f in found for key in f.keys]
    return fitted(("server", "key", "fingerprint"), rows, width)


def _words(found: Found, key: HostKey) -> str:
    """Return what a key is, and of a certificate why it is not valid."""
    words = described(key)
    new = found.why and not any(sign in found.why for sign in _SAID_ALREADY)
    return f"{words} ({found.why})" if found.is_tls and new else words


def valid_lines(found: Sequence[Found]) -> list[str]:
    """Return whose certificates are valid, by who vouches for them."""
    groups: dict[str, list[str]] = defaultdict(list)
    for each in found:
        if each.valid is not None:
            groups[each.by].append(each.server)
    lines = []
    for by, servers in groups.items():
        need = "needs" if len(servers) == 1 else "need"
        names = fold_list(servers, _VALID_NAMED)
        lines.append(visible_line(f"{len(servers):,} {need} no pin, validated by {by}: {names}"))
    return lines


def fitted(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return a table whose last column is never shortened: it may get lines of its own."""
    lines = table_text(headers, rows, None).splitlines()
    if width is None or max(map(cell_len, lines), default=0) <= width:
        return lines
    folded: list[str] = []
    for row in rows:
        *words, last = map(visible_line, row)
        folded += _in_two(" · ".join(filter(None, words)), last, width)
    return folded


def change_lines(found: Sequence[Found], width: int | None) -> list[str]:
    """Return for each server what is believed of it, and what it shows now, if anything."""
    lines: list[str] = []
    for each in found:
        same = set(each.keys) == set(each.former)
        marked = [("same" if same else "old", key) for key in each.former]
        marked += [("new", key) for key in each.keys if not same]
        lines.append(visible_line(each.server))
        for mark, key in marked:
            lines += _marked(f"  {mark}  {described(key)}", key.fingerprint, width)
        if each.valid is not None and not same:
            words = f"  new  {described(each.valid)}, validated by {each.by}, not pinned"
            lines += _marked(words, each.valid.fingerprint, width)
        if each.machine_id:
            lines += _marked("  pin  machine", visible_line(each.machine_id), width)
    return lines


def _marked(what: str, text: str, width: int | None) -> list[str]:
    whole = f"{what} {text}"
    if width is None or cell_len(whole) <= width:
        return [whole]
    return _in_two(what, text, width, indent=4)


def _in_two(what: str, text: str, width: int, *, indent: int = 2) -> list[str]:
    """Return words, folded between them, and below them a fingerprint or another word."""
    blank = " " * indent
    folded = [line.plain for line in fold_line(Text(what), width)]
    return [*folded, *(f"{blank}{line}" for line in _by_bytes(text, width - indent))]


def _by_bytes(fingerprint: str, width: int) -> list[str]:
    """Return a fingerprint, a certificate's in lines of as many whole bytes as a person compares.

    Anything that is shorter than a line, or is not written byte by byte, stays as it is.
    """
    algorithm, _, text = fingerprint.partition(":")
    of_bytes = text.split(":")
    if cell_len(fingerprint) <= width or len(of_bytes) == 1:
        return [fingerprint]
    at_once = next((n for n in _BYTES if len(algorithm) + 1 + 3 * n <= width), _BYTES[-1])
    parts = [of_bytes[at : at + at_once] for at in range(0, len(of_bytes), at_once)]
    heads = [f"{algorithm}:", *[" " * (len(algorithm) + 1)] * (len(parts) - 1)]
    tails = [*[":"] * (len(parts) - 1), ""]
    return [f"{h}{':'.join(p)}{t}" for h, p, t in zip(heads, parts, tails, strict=True)]


def tallied(found: Sequence[Found]) -> list[str]:
    """Return how many keys of which type there are, by client."""
    types: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in found:
        for key in each.keys:
            types[each.client][key.type] += 1
    said = {
        client: ", ".join(f"{number:,} {kind}" for kind, number in sorted(numbers.items()))
        for client, numbers in types.items()
    }
    room = max(map(len, said), default=0)
    return [f"  {client:<{room}}  {numbers}" for client, numbers in said.items()]


def failure_lines(found: Sequence[Found]) -> list[str]:
    """Return why servers showed no key: by cause, with how many and the names of a few."""
    groups: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for each in found:
        if each.failure is not None:
            what = "certificate" if each.is_tls else "key"
            groups[what, each.failure.kind.value].append(each)
    lines = []
    for (what, kind), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        names = fold_list([each.server for each in group], _NAMED)
        lines.append(visible_line(f"no {what} from {len(group):,}, {kind}: {names}"))
        said = dict.fromkeys(each.failure.detail for each in group if each.failure)
        first = visible_line(next(iter(said)))
        lines.append(f"  {first}" if len(said) == 1 else f"  such as: {first}")
    return lines


def twice_lines(
    found: Sequence[Found], believed: Mapping[str, Mapping[HostKey, Sequence[str]]]
) -> list[str]:
    """Return a warning for each key that more than one server shows, or had been believed for.

    `believed` are the names each client's keys are believed for: one of another client may mean
    that the wrong VPN is up. What was believed for `--host` is no other client's.
    """
    servers: dict[HostKey, dict[str, str]] = defaultdict(dict)
    for each in found:
        for key in each.keys:
            servers[key].setdefault(f"{each.client} {each.name}", each.server)
            for client in believed if each.client != ADHOC else (ADHOC,):
                for name in _names_of(believed, client, key, each.client):
                    servers[key].setdefault(f"{client} {name}", f"{name} of {client}")
    groups = [(key, tuple(names.values())) for key, names in servers.items() if len(names) > 1]
    groups.sort(key=lambda group: -len(group[1]))
    lines = [
        visible_line(
            f"{len(names):,} servers have one {_kind(key)}: {fold_list(names, _NAMED)} ({key})"
        )
        for key, names in groups[:_TWICE_SHOWN]
    ]
    if len(groups) > _TWICE_SHOWN:
        more = count(len(groups) - _TWICE_SHOWN, "more key")
        lines.append(f"{more} that several servers have; --json names them")
    return lines


def _kind(key: HostKey) -> str:
    return "certificate" if key.type == CERTIFICATE else "key"


def _names_of(
    believed: Mapping[str, Mapping[HostKey, Sequence[str]]], client: str, key: HostKey, own: str
) -> Sequence[str]:
    if client == ADHOC != own:
        return ()
    return believed.get(client, {}).get(key, ())


def shared_keys(found: Iterable[Found]) -> list[dict[str, Any]]:
    """Return the keys that more than one server shows, as `--json` names them."""
    servers: dict[HostKey, list[str]] = defaultdict(list)
    for each in found:
        for key in each.keys:
            servers[key].append(each.server)
    return [
        {"type": key.type, "fingerprint": key.fingerprint, "servers": names}
        for key, names in servers.items()
        if len(names) > 1
    ]
