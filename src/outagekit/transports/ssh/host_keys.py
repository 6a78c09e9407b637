"""Is this the server it should be: the host key it proved to have, against what is believed.

Judged for the endpoint's own server and for each jump host before it, in the same words.
"""

from __future__ import annotations

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.text import fold_list
from outagekit.transports.protocol import Failure
from outagekit.transports.ssh.ways.route import Server
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore, filed_under


def judge(
    offered: HostKey,
    known: tuple[HostKey, ...],
    *,
    trust: TrustStore,
    client: str,
    server: Server,
    place: str,
    words: str,
    of: str = "",
) -> Failure | None:
    """Return why a server's key is not believed, or None if it is one of the `known`.

    `place` names the server in sentences; `words` choose the endpoint on a command line, and `of`
    is the flag that means the server before it, as `--jump `.
    Kinds: `host_key`, and `local_io` for a trust folder that cannot be read.
    """
    if offered in known:
        return None
    try:
        never = trust.revoked_keys(*filed_under(client, server))
    except OutagekitError as fault:
        return Failure(FailureKind.LOCAL_IO, fault.message)
    if offered in never:
        return Failure(FailureKind.HOST_KEY, f"the host key of {place} is revoked: {offered}")
    shown = f"{offered.type} {offered.fingerprint}"
    if not known:
        detail = (
            f"the host key of {place} is not trusted yet: it is {shown};"
            f" compare it with the machine's own, then: outagekit trust add {words}"
        )
        return Failure(FailureKind.HOST_KEY, detail)
    trusted = fold_list([f"{key.type} {key.fingerprint}" for key in known], 3)
    detail = (
        f"the host key of {place} is {shown}, but trusted is {trusted}: somebody may stand in"
        " between, a VPN may lead elsewhere, or the machine was rebuilt"
        f" (then: outagekit trust replace {of}{words})"
    )
    return Failure(FailureKind.HOST_KEY, detail)
