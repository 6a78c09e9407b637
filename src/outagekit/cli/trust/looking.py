"""Finding out which keys servers have: by asking them, or in a known_hosts file of somebody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from outagekit.cli.trust.shown_keys import Found
from outagekit.errors import OutagekitError
from outagekit.text import count, fold_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from outagekit.cli.render import Screen
    from outagekit.transports.open import Access
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.known_hosts import HostKey, KnownHosts
    from outagekit.transports.trust.scan import Asked

_LARGEST_FILE: Final = 16 * 1024 * 1024
_MANY: Final = 20
_SHOWN_FAULTS: Final = 5
_SSH_PORT: Final = 22


def looked_at(
    screen: Screen, access: Access, asked: Sequence[Asked], *, source: Path | None = None
) -> list[Found]:
    """Return what each server shows, or what `source` knows of it; none of it is believed yet.

    A key that is revoked is a failure. Raises `InvalidInput` for a source that cannot be read.
    """
    answers = _in_file(screen, source, asked) if source else _shown(screen, access, asked)
    return [_found(access, *both) for both in zip(asked, answers, strict=True)]


def former_of(access: Access, asked: Asked) -> Found:
    """Return what is believed of a server."""
    from outagekit.transports.trust.known_hosts import host_name

    client, address, port = asked.filed
    name = "" if _is_jump(access, asked) else asked.target.endpoint.name
    return Found(
        client=client,
        server=_called(access, asked),
        name=host_name(address, port),
        former=access.trust.known_keys(client, address, port),
        endpoint_name=name,
        machine_id=access.trust.machine_of(client, name) if name else "",
    )


def _found(access: Access, asked: Asked, answer: tuple[HostKey, ...] | Failure) -> Found:
    from dataclasses import replace

    from outagekit.events import FailureKind
    from outagekit.transports.protocol import Failure

    found = former_of(access, asked)
    if isinstance(answer, Failure):
        return replace(found, failure=answer)
    revoked = access.trust.revoked_keys(*asked.filed)
    if bad := [key for key in answer if key in revoked]:
        what = f"{found.server} has a key that is revoked, never to be believed: {bad[0]}"
        return replace(found, failure=Failure(FailureKind.HOST_KEY, what))
    return replace(found, keys=answer)


def _is_jump(access: Access, asked: Asked) -> bool:
    return access.routes.route(asked.target) != asked.route


def _called(access: Access, asked: Asked) -> str:
    if not _is_jump(access, asked):
        return asked.target.endpoint.id
    client, address, port = asked.filed
    where = address if port == _SSH_PORT else f"{address} port {port}"
    return f"{client} jump host {where}"


def _shown(
    screen: Screen, access: Access, asked: Sequence[Asked]
) -> list[tuple[HostKey, ...] | Failure]:
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.scan import scan_keys

    with _counted(screen, len(asked)) as told:
        answers = scan_keys(asked, access, told=told)
    return [answer if isinstance(answer, Failure) else (answer,) for answer in answers]


@contextmanager
def _counted(screen: Screen, number: int) -> Iterator[Callable[[HostKey | Failure], None]]:
    """Show how far it is while servers are asked; without a live screen say that it begins."""
    from outagekit.transports.protocol import Failure

    done, without = 0, 0

    def line() -> str:
        silent = f", {without:,} without a key" if without else ""
        return f"asked {done:,} of {number:,} servers for their host key{silent}"

    if not screen.live:
        if number > _MANY:
            screen.note(f"asking {number:,} servers for their host key")
        yield lambda _: None
        return
    with screen.people.status(line()) as status:

        def told(answer: HostKey | Failure) -> None:
            nonlocal done, without
            done += 1
            without += isinstance(answer, Failure)
            status.update(line())

        yield told


def _in_file(
    screen: Screen, source: Path, asked: Sequence[Asked]
) -> list[tuple[HostKey, ...] | Failure]:
    from outagekit.events import FailureKind
    from outagekit.source import read_bytes
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.known_hosts import KnownHosts, host_name

    text = read_bytes(source, limit_bytes=_LARGEST_FILE).decode("utf-8", "surrogateescape")
    hosts = KnownHosts(text)
    _warn_of_faults(screen, source, hosts)
    answers: list[tuple[HostKey, ...] | Failure] = []
    vouched: list[str] = []
    for each in asked:
        _, address, port = each.filed
        try:
            name = host_name(address, port)
        except OutagekitError as fault:
            answers.append(Failure(FailureKind.HOST_KEY, fault.message))
            continue
        why = f"there is no key for it in {source}"
        if hosts.revoked(name) and not hosts.keys(name):
            why = f"its key is revoked in {source}"
        elif hosts.has_authority(name) and not hosts.keys(name):
            vouched.append(name)
        answers.append(hosts.keys(name) or Failure(FailureKind.HOST_KEY, why))
    if vouched:
        screen.warn(
            f"{source} has a certificate authority vouch for {fold_list(vouched, 3)}:"
            " that is not supported, a host key is believed for itself only."
            " Ask the servers themselves: leave --from out"
        )
    return answers


def _warn_of_faults(screen: Screen, source: Path, hosts: KnownHosts) -> None:
    faults = hosts.faults()
    for number, fault in faults[:_SHOWN_FAULTS]:
        screen.warn(f"{source}:{number}: {fault}; this line is passed over")
    if len(faults) > _SHOWN_FAULTS:
        screen.warn(f"{source}: {count(len(faults) - _SHOWN_FAULTS, 'more line')} passed over")
