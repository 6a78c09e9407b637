"""How a key is called where people compare it: by its type, a certificate by what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from outagekit.text import count, fold_list
from outagekit.transports.trust.known_hosts import CERTIFICATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.transports.trust.known_hosts import HostKey

_NAMED = 3


def described(key: HostKey) -> str:
    """Return a host key's type; of a certificate whose it is, who issued it, from when to when."""
    from outagekit.transports.trust.certificates import facts_of

    if key.type != CERTIFICATE:
        return key.type
    facts = facts_of(key)
    if facts is None:
        return "certificate that cannot be read"
    issuer = "self-signed" if facts.self_signed else f"issued by {facts.issuer}"
    dates = f"{facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}"
    fault = facts.dates_fault(datetime.now(UTC))
    return ", ".join(filter(None, (f"certificate {facts.subject}", issuer, dates, fault)))


def key_row(key: HostKey) -> dict[str, Any]:
    """Return what `--json` says of a key."""
    from outagekit.transports.trust.certificates import facts_of

    row: dict[str, Any] = {"type": key.type, "fingerprint": key.fingerprint}
    facts = facts_of(key)
    if facts is not None:
        row |= {
            "subject": facts.subject,
            "issuer": facts.issuer,
            "self_signed": facts.self_signed,
            "not_before": f"{facts.not_before:%Y-%m-%dT%H:%M:%SZ}",
            "not_after": f"{facts.not_after:%Y-%m-%dT%H:%M:%SZ}",
            "expired": datetime.now(UTC) > facts.not_after,
        }
    return row


def date_lines(shown: Iterable[tuple[str, HostKey]]) -> list[str]:
    """Return a sentence if certificates, given with their servers, are outside their dates."""
    from outagekit.transports.trust.certificates import facts_of

    now = datetime.now(UTC)
    facts = [(server, facts_of(key)) for server, key in shown]
    odd = [server for server, each in facts if each is not None and each.dates_fault(now)]
    if not odd:
        return []
    be = "is" if len(odd) == 1 else "are"
    return [
        f"{count(len(odd), 'certificate')} {be} expired or not valid yet: {fold_list(odd, _NAMED)}"
    ]
