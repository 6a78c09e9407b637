"""What a WinRM service, or the way to it, answers instead of doing what it was asked. Pure.

One table: the codes of the service's SOAP faults (MS-WSMV, MS-WSMAN), HTTP's statuses, and what
each means for who asked. Sentences are for people and end with what to try.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure

_LONGEST_WORDS: Final = 240


class Fault(Enum):
    """What is behind a failed message, for who decides how to go on."""

    QUOTA = auto()
    """Too many shells or commands of this account: give some back, then try once more."""
    SHELL_GONE = auto()
    """The shell, or the command in it, is not there (any more)."""
    NO_OUTPUT = auto()
    """Nothing was written for as long as the message waited: ask again."""
    STALE = auto()
    """The service forgot who we are. It did nothing with the message, which may be repeated."""
    TOO_LARGE = auto()
    """The message is larger than the service takes: send less at once."""
    BUSY = auto()
    BEING_TORN_DOWN = auto()
    """The service, or the whole machine, is going down."""
    ABORTED = auto()
    """What the message was about was ended meanwhile."""
    DENIED = auto()
    """The account was let in, and may not do this."""
    UNAUTHORIZED = auto()
    """The login was refused."""
    NOT_READY = auto()
    """Something answers, but no WinRM (yet). It did nothing with the message."""
    UNREACHABLE = auto()
    """No connection came to be."""
    TLS = auto()
    """The connection is not, or must not be, trusted."""
    DROPPED = auto()
    """The connection ended before the answer."""
    LATE = auto()
    """The answer did not come in time; the connection was given up."""
    MALFORMED = auto()
    """The answer is none; the connection was given up."""
    LOCAL = auto()
    """Something on this machine is missing or in the way."""
    OTHER = auto()


class WireError(Exception):
    """A message was not answered as it should be.

    `failure` says it to a person, redacted; its `sent` is left to who knows what the message was.
    `unsent`: no byte of the message left us.
    """

    def __init__(self, failure: Failure, fault: Fault, *, unsent: bool = False) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.fault = fault
        self.unsent = unsent

    @classmethod
    def of(cls, fault: Fault, kind: FailureKind, detail: str, *, unsent: bool = False) -> WireError:
        """Return the error for a sentence."""
        return cls(Failure(kind, detail), fault, unsent=unsent)


@dataclass(frozen=True, slots=True)
class Reported:
    """What a SOAP fault says."""

    codes: tuple[int, ...] = ()
    """Of Windows and its providers, outermost first."""
    subcode: str = ""
    """WS-Management's own word, without its prefix: `AccessDenied`."""
    words: str = ""
    """What it says to people."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    fault: Fault
    kind: FailureKind
    sentence: str


_ADMIN_HINT: Final = (
    "it has to be an administrator there; of local accounts other than the built-in one, Windows"
    " takes these rights away over the network unless LocalAccountTokenFilterPolicy is 1"
)
_QUOTA: Final = _Meaning(
    Fault.QUOTA,
    FailureKind.QUOTA,
    "the account has too many shells or commands open on the endpoint; left ones end by themselves"
    " after their idle time",
)
_NO_OUTPUT: Final = _Meaning(
    Fault.NO_OUTPUT, FailureKind.TIMEOUT, "the endpoint had nothing to say in the time given"
)
_GONE: Final = _Meaning(
    Fault.SHELL_GONE,
    FailureKind.LOST,
    "the shell is gone: WinRM or the machine was restarted, or the shell was idle for too long",
)
_DENIED: Final = _Meaning(
    Fault.DENIED, FailureKind.AUTH, f"the account may not use WinRM on the endpoint: {_ADMIN_HINT}"
)
_TOO_LARGE: Final = _Meaning(
    Fault.TOO_LARGE,
    FailureKind.SIZE,
    "the message is larger than the endpoint's WinRM accepts (MaxEnvelopeSizekb)",
)

_BY_CODE: Final = {
    2150858793: _NO_OUTPUT,
    2150858843: _GONE,
    2150859173: _QUOTA,
    2150859174: _QUOTA,
    2147943418: _Meaning(
        Fault.BEING_TORN_DOWN, FailureKind.LOST, "the endpoint's WinRM is going down"
    ),
    995: _Meaning(Fault.ABORTED, FailureKind.LOST, "the endpoint gave the operation up"),
    170: _Meaning(Fault.BUSY, FailureKind.TIMEOUT, "the endpoint is busy with the same command"),
    5: _DENIED,
    2147942405: _DENIED,
    1326: _Meaning(
        Fault.UNAUTHORIZED, FailureKind.AUTH, "the endpoint says that user or password is wrong"
    ),
    87: _Meaning(
        Fault.OTHER, FailureKind.PROTOCOL, "the endpoint takes the request for a wrong one"
    ),
    2147942402: _Meaning(
        Fault.OTHER, FailureKind.PROTOCOL, "the endpoint does not find the program to run"
    ),
}
"""By code of a WSManFault or an MSFT_WmiError."""

_BY_SUBCODE: Final = {
    "AccessDenied": _DENIED,
    "TimedOut": _NO_OUTPUT,
    "InvalidSelectors": _GONE,
    "QuotaLimit": _QUOTA,
    "EncodingLimit": _TOO_LARGE,
}


def reported(report: Reported) -> WireError:
    """Return the error of a SOAP fault; where codes are nested, the first known one counts."""
    found = next((_BY_CODE[code] for code in report.codes if code in _BY_CODE), None)
    meaning = found or _BY_SUBCODE.get(report.subcode)
    said = _said(report)
    if meaning is None:
        detail = f"the endpoint refused the request{said or ', and does not say why'}"
        return WireError.of(Fault.OTHER, FailureKind.PROTOCOL, detail)
    if meaning.fault is Fault.NO_OUTPUT:
        said = ""
    return WireError.of(meaning.fault, meaning.kind, f"{meaning.sentence}{said}")


def _said(report: Reported) -> str:
    """Return what the endpoint itself says, to stand behind a sentence of ours."""
    code = f" (code {report.codes[0]})" if report.codes else ""
    words = " ".join(visible_line(report.words).split())
    if "TrustedHosts" in words:
        words = "a server in between wants it in its TrustedHosts, which does not concern this tool"
    if len(words) > _LONGEST_WORDS:
        words = words[:_LONGEST_WORDS] + "…"
    return f": {words.rstrip('.')}{code}" if words else code


def by_status(status: int, *, sealed: bool, first: bool) -> WireError:
    """Return the error of an HTTP answer without a SOAP fault, 401 aside.

    `sealed`: it answers a sealed message. `first`: no shell is there yet, so that the endpoint may
    as well not be up.
    """
    away = FailureKind.HANDSHAKE if first else FailureKind.LOST
    if status == HTTPStatus.BAD_REQUEST and sealed:
        detail = "the endpoint no longer knows this connection's login (HTTP 400)"
        return WireError.of(Fault.STALE, FailureKind.LOST, detail)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return WireError.of(_TOO_LARGE.fault, _TOO_LARGE.kind, f"{_TOO_LARGE.sentence} (HTTP 413)")
    if status == HTTPStatus.FORBIDDEN:
        detail = "the endpoint forbids the access (HTTP 403): its IPv4Filter/IPv6Filter, or a"
        detail += " client certificate it does not map to an account, may be why"
        return WireError.of(Fault.DENIED, FailureKind.AUTH, detail)
    words = _NOT_READY.get(status)
    if words is not None:
        return WireError.of(Fault.NOT_READY, away, f"{words} (HTTP {status})")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        detail = f"the server sends us elsewhere (HTTP {status}): no WinRM does, and we do not go"
        return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)
    detail = f"the server gave an answer that WinRM has no use for (HTTP {status})"
    return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)


def with_hint(failure: Failure, address: str) -> Failure:
    """Return why no connection came to be, with what on Windows is often behind it.

    Only where the endpoint itself is what was not reached, not a server on the way to it.
    """
    hint = _UNREACHABLE.get(failure.kind) if address in failure.detail else None
    return Failure(failure.kind, f"{failure.detail}; {hint}") if hint else failure


_UNREACHABLE: Final = {
    FailureKind.REFUSED: "is WinRM on there, with a listener on this port?",
    FailureKind.CONNECT_TIMEOUT: "if the machine is up: is WinRM on there, and does the firewall"
    " let it through, also on a network Windows takes for a public one?",
}

_NOT_READY: Final = {
    404: "a web server answers, but no WinRM under /wsman: it is not up yet, has no listener for"
    " this address, or the port belongs to something else",
    500: "WinRM answers without a word: it is starting, or going down",
    502: "a gateway in between does not reach the endpoint",
    503: "WinRM is not ready: it is starting, or going down",
    504: "a gateway in between does not reach the endpoint",
}


def refused(auth: str, offered: str, *, local: bool) -> WireError:
    """Return the error of a refused login (HTTP 401).

    `offered` is what the server says that it accepts (`WWW-Authenticate`); `local`: the account is
    one of the endpoint itself.
    """
    methods = _methods(offered)
    wanted = _WANTED[auth]
    if methods and not wanted & methods:
        names = ", ".join(sorted(methods))
        detail = f"the endpoint does not accept {auth} logins, but {names}: {_ENABLE[auth]}"
        return WireError.of(Fault.UNAUTHORIZED, FailureKind.AUTH, detail)
    if auth == "kerberos":
        # The domain had accepted user and password before: nothing is said about those.
        detail = "the endpoint refused the Kerberos ticket: the account may not use WinRM there,"
        detail += " its clock is wrong, or the domain knows another machine by this name"
        return WireError.of(Fault.DENIED, FailureKind.AUTH, detail)
    detail = "the endpoint refused the login: user or password is wrong, the account is locked, or"
    detail += " it may not use WinRM"
    if local:
        detail += f"; {_ADMIN_HINT}"
    return WireError.of(Fault.UNAUTHORIZED, FailureKind.AUTH, detail)


_WANTED: Final = {
    "ntlm": {"negotiate", "ntlm"},
    "kerberos": {"negotiate", "kerberos"},
    "basic": {"basic"},
    "certificate": {"https://mutual"},
}
_ENABLE: Final = {
    "ntlm": "allow Negotiate in its WinRM service, or choose another auth for the credential",
    "kerberos": "allow Negotiate or Kerberos in its WinRM service, or choose another auth",
    "basic": "Basic is off by default; auth: ntlm needs no change there",
    "certificate": "allow certificates in its WinRM service and map this one to an account",
}
_SCHEMES: Final = ("negotiate", "ntlm", "kerberos", "basic", "credssp", "digest")


def _methods(offered: str) -> frozenset[str]:
    """Return the known methods a `WWW-Authenticate` header names."""
    words = offered.casefold().replace(",", " ").split()
    found: set[str] = {scheme for scheme in _SCHEMES if scheme in words}
    if any("/secprofile/https/mutual" in word for word in words):
        found.add("https://mutual")
    return frozenset(found)
