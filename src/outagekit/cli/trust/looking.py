"""Finding out which keys servers have: by asking them, or in a file of somebody.

That is a known_hosts file, or certificates: of these a server that shows one has it.
"""

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
    from outagekit.transports.trust.certificates import Seen
    from outagekit.transports.trust.known_hosts import HostKey, KnownHosts
    from outagekit.transports.trust.scan import Asked, Shown

    Answer = tuple[HostKey, ...] | Seen | Failure

_LARGEST_FILE: Final = 16 * 1024 * 1024
_MANY: Final = 20
_SHOWN_FAULTS: Final = 5
_SSH_PORT: Final = 22


def looked_at(
    screen: Screen, access: Access, asked: Sequence[Asked], *, source: Path | None = None
) -> list[Found]:
    """Return what each server shows, or what `source` knows of it; none of it is believed yet.

    A key that is revoked is a failure; a server whose messages are sealed by the login has nothing
    to show. Raises `InvalidInput` for a source that cannot be read.
    """
    if source is None:
        answers = _shown(screen, access, asked)
    elif asks_servers(source):
        answers = _among(screen, access, source, asked)
    else:
        answers = _in_file(screen, source, asked)
    return [_found(access, *both) for both in zip(asked, answers, strict=True)]


def asks_servers(source: Path | None) -> bool:
    """Return whether servers are asked: unless their keys stand in a known_hosts file.

    Raises `InvalidInput` for a source that cannot be read.
    """
    from outagekit.transports.trust.certificates import holds_certificates

    return source is None or holds_certificates(_content(source))


def former_of(access: Access, asked: Asked) -> Found:
    """Return what is believed of a server."""
    from outagekit.transports.trust.known_hosts import host_name

    client, address, port = asked.filed
    name = "" if _is_jump(access, asked) else asked.target.endpoint.name
    trust, tls = access.trust, asked.shows_certificate
    return Found(
        client=client,
        server=_called(access, asked),
        name=host_name(address, port),
        former=(trust.known_certificates if tls else trust.known_keys)(client, address, port),
        endpoint_name=name,
        machine_id=trust.machine_of(client, name) if name else "",
        is_tls=tls,
    )


def _found(access: Access, asked: Asked, answer: Answer) -> Found:
    from dataclasses import replace

    from outagekit.events import FailureKind
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.certificates import Seen

    found = former_of(access, asked)
    if isinstance(answer, Failure):
        return replace(found, failure=answer)
    keys = (answer.key,) if isinstance(answer, Seen) else answer
    revoked = access.trust.revoked_keys(*asked.filed)
    if bad := [key for key in keys if key in revoked]:
        kind, what = (
            (FailureKind.TLS, "certificate") if found.is_tls else (FailureKind.HOST_KEY, "key")
        )
        detail = f"{found.server} has a {what} that is revoked, never to be believed: {bad[0]}"
        return replace(found, failure=Failure(kind, detail))
    if isinstance(answer, Seen) and answer.by:
        return replace(found, valid=answer.key, by=answer.by)
    return replace(found, keys=keys, why=answer.why if isinstance(answer, Seen) else "")


def _is_jump(access: Access, asked: Asked) -> bool:
    return access.routes.route(asked.target) != asked.route


def _called(access: Access, asked: Asked) -> str:
    if not _is_jump(access, asked):
        return asked.target.endpoint.id
    client, address, port = asked.filed
    where = address if port == _SSH_PORT else f"{address} port {port}"
    return f"{client} jump host {where}"


def _shown(screen: Screen, access: Access, asked: Sequence[Asked]) -> list[Answer]:
    from outagekit.transports.trust.known_hosts import HostKey
    from outagekit.transports.trust.scan import scan_keys

    showing = [each for each in asked if not each.is_sealed]
    with _counted(screen, showing) as told:
        answers = iter(scan_keys(showing, access, told=told))
    shown: list[Answer] = []
    for each in asked:
        answer = () if each.is_sealed else next(answers)
        shown.append((answer,) if isinstance(answer, HostKey) else answer)
    return shown


def _among(screen: Screen, access: Access, source: Path, asked: Sequence[Asked]) -> list[Answer]:
    """Return of what servers show only what stands in a file of certificates."""
    from outagekit.events import FailureKind
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.certificates import Seen, certificates_in

    given = certificates_in(_content(source), str(source))
    answers = iter(_shown(screen, access, [each for each in asked if each.shows_certificate]))
    found: list[Answer] = []
    for each in asked:
        if each.is_sealed:
            found.append(())
            continue
        if not each.shows_certificate:
            detail = f"there is no key for it in {source}, which holds certificates"
            found.append(Failure(FailureKind.HOST_KEY, detail))
            continue
        answer = next(answers)
        if isinstance(answer, Seen) and not answer.by and answer.key not in given:
            detail = f"it shows {answer.key}, which is not in {source}"
            answer = Failure(FailureKind.TLS, detail)
        found.append(answer)
    return found


def _content(source: Path) -> bytes:
    from outagekit.source import read_bytes

    return read_bytes(source, limit_bytes=_LARGEST_FILE)


@contextmanager
def _counted(screen: Screen, asked: Sequence[Asked]) -> Iterator[Callable[[Shown], None]]:
    """Show how far it is while servers are asked; without a live screen say that it begins."""
    from outagekit.transports.protocol import Failure

    number, done, without = len(asked), 0, 0
    what = _what(asked)

    def line() -> str:
        silent = f", {without:,} without one" if without else ""
        return f"asked {done:,} of {number:,} servers for their {what}{silent}"

    if not screen.live:
        if number > _MANY:
            screen.note(f"asking {number:,} servers for their {what}")
        yield lambda _: None
        return
    with screen.people.status(line()) as status:

        def told(answer: Shown) -> None:
            nonlocal done, without
            done += 1
            without += isinstance(answer, Failure)
            status.update(line())

        yield told


def _what(asked: Sequence[Asked]) -> str:
    kinds = dict.fromkeys("certificate" if a.shows_certificate else "host key" for a in asked)
    return " or ".join(sorted(kinds, reverse=True))


def _in_file(screen: Screen, source: Path, asked: Sequence[Asked]) -> list[Answer]:
    from outagekit.events import FailureKind
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust.known_hosts import KnownHosts, host_name

    hosts = KnownHosts(_content(source).decode("utf-8", "surrogateescape"))
    _warn_of_faults(screen, source, hosts)
    answers: list[Answer] = []
    vouched: list[str] = []
    for each in asked:
        _, address, port = each.filed
        try:
            name = host_name(address, port)
        except OutagekitError as fault:
            answers.append(Failure(FailureKind.HOST_KEY, fault.message))
            continue
        keys = tuple(k for k in hosts.keys(name) if _is_of(k, each))
        if each.is_sealed or keys:
            answers.append(keys)
            continue
        if hosts.has_authority(name):
            vouched.append(name)
        revoked = any(_is_of(key, each) for key in hosts.revoked(name))
        why = (
            f"its key is revoked in {source}" if revoked else f"there is no key for it in {source}"
        )
        answers.append(Failure(FailureKind.HOST_KEY, why))
    if vouched:
        screen.warn(
            f"{source} has a certificate authority vouch for {fold_list(vouched, 3)}:"
            " that is not supported, a host key is believed for itself only."
            " Ask the servers themselves: leave --from out"
        )
    return answers


def _is_of(key: HostKey, asked: Asked) -> bool:
    """Return whether a key is of the kind by which a server is known."""
    from outagekit.transports.trust.known_hosts import CERTIFICATE

    return (key.type == CERTIFICATE) == asked.shows_certificate and not asked.is_sealed


def _warn_of_faults(screen: Screen, source: Path, hosts: KnownHosts) -> None:
    faults = hosts.faults()
    for number, fault in faults[:_SHOWN_FAULTS]:
        screen.warn(f"{source}:{number}: {fault}; this line is passed over")
    if len(faults) > _SHOWN_FAULTS:
        screen.warn(f"{source}: {count(len(faults) - _SHOWN_FAULTS, 'more line')} passed over")
