"""What Kerberos says when there is no ticket, and what that means. Pure.

Its programs and libraries tell their faults apart by words alone: those of MIT's and of Heimdal's,
in English. Words nobody knows are passed on, cleaned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.login import Login

_LONGEST_WORDS: Final = 240


@dataclass(frozen=True, slots=True)
class _Meaning:
    words: tuple[str, ...]
    """Any of them, in lower case, is enough."""
    fault: Fault
    kind: FailureKind
    sentence: str


_OF_A_PASSWORD: Final = (
    _Meaning(
        ("password incorrect", "preauthentication failed"),
        Fault.UNAUTHORIZED,
        FailureKind.AUTH,
        "the Kerberos password of {user} is wrong",
    ),
    _Meaning(
        ("password has expired", "password expired"),
        Fault.UNAUTHORIZED,
        FailureKind.AUTH,
        "the Kerberos password of {user} has expired: it has to be changed first",
    ),
    _Meaning(
        ("not found in kerberos database", "client not found", "principal unknown"),
        Fault.UNAUTHORIZED,
        FailureKind.AUTH,
        "Kerberos knows no {user}: the user is written name@REALM, as the domain names it",
    ),
)
_OF_A_SERVICE: Final = (
    _Meaning(
        ("not found in kerberos database", "server not found", "principal unknown"),
        Fault.OTHER,
        FailureKind.AUTH,
        "the domain knows no service {service}: the endpoint's address has to be the name the"
        " domain knows it by, not a number or another name (setspn -L shows them)",
    ),
    _Meaning(
        ("expired",),
        Fault.LOCAL,
        FailureKind.LOCAL_IO,
        "the Kerberos ticket of {user} has expired: run kinit {user}, or give the credential a"
        " password",
    ),
    _Meaning(
        (
            "no kerberos credentials",
            "no credentials were supplied",
            "no credentials cache",
            "can't find client principal",
            "does not match desired",
            "matching credential",
        ),
        Fault.LOCAL,
        FailureKind.LOCAL_IO,
        "there is no Kerberos ticket of {user} here: run kinit {user}, or give the credential a"
        " password",
    ),
)
_OF_BOTH: Final = (
    _Meaning(
        ("have been revoked", "clients credentials"),
        Fault.UNAUTHORIZED,
        FailureKind.AUTH,
        "the account {user} is locked, disabled or expired",
    ),
    _Meaning(
        ("clock skew",),
        Fault.LOCAL,
        FailureKind.LOCAL_IO,
        "this machine's clock and the domain's differ by more than Kerberos allows, mostly 5"
        " minutes: set the wrong one",
    ),
    _Meaning(
        ("cannot contact any kdc", "unable to reach any kdc", "cannot resolve network address"),
        Fault.LOCAL,
        FailureKind.TIMEOUT,
        "no domain controller (KDC) of the realm of {user} can be reached from here",
    ),
    _Meaning(
        ("cannot find kdc", "cannot determine realm", "default realm", "cannot locate"),
        Fault.LOCAL,
        FailureKind.LOCAL_IO,
        "no domain controller (KDC) is known for the realm of {user}: is it spelled rightly? DNS"
        " or krb5.conf has to name one",
    ),
    _Meaning(
        ("encryption type", "enctype"),
        Fault.LOCAL,
        FailureKind.LOCAL_IO,
        "this machine's Kerberos and the domain have no encryption in common: the account or the"
        " endpoint may know no AES",
    ),
)


def no_tickets(said: str, login: Login) -> WireError:
    """Return why a password was not turned into tickets; `said` are the words of kinit."""
    return _meant(said, login, _OF_A_PASSWORD + _OF_BOTH)


def no_service(said: str, login: Login, service: str) -> WireError:
    """Return why there is no ticket for an endpoint; `said` are the words of the library."""
    return _meant(said, login, _OF_A_SERVICE + _OF_BOTH, service)


def unusable(detail: str, kind: FailureKind = FailureKind.LOCAL_IO) -> WireError:
    """Return the error for something on this machine."""
    return WireError.of(Fault.LOCAL, kind, detail, unsent=True)


def _meant(said: str, login: Login, meanings: tuple[_Meaning, ...], service: str = "") -> WireError:
    user, lowered = visible_line(login.user), said.lower()
    for meaning in meanings:
        if any(word in lowered for word in meaning.words):
            sentence = meaning.sentence.format(user=user, service=visible_line(service))
            return WireError.of(meaning.fault, meaning.kind, sentence, unsent=True)
    words = login.redactor.clean(" ".join(visible_line(said).split()))[:_LONGEST_WORDS]
    return unusable(f"Kerberos gives no ticket: {words}")
