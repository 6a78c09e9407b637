"""What an exception from below means: one place where sockets, TLS, HTTP, logins and XML end.

Sentences are of our own words: what a library says may hold anything.
"""

from __future__ import annotations

import http.client
import ssl
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import requests
from spnego.exceptions import SpnegoError

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.transports.winrm.answers import BadAnswerError
from outagekit.transports.winrm.connection import Answer, AnswerError
from outagekit.transports.winrm.faults import Fault, WireError, by_status, refused
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.session import StatusError
from outagekit.transports.winrm.tls import Believed, UnusableError, explain

_ALERTS = ("\x15\x03", "\x16\x03")
_CUT = (OSError, http.client.IncompleteRead, http.client.NotConnected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """When something went wrong."""

    place: Place
    login: Login
    believed: Believed
    logging_in: bool
    """While the login went on, before a message."""
    first: bool
    """No shell is there yet."""
    ended: Literal["", "late", "cut"]
    """We ended the connection ourselves."""
    timeout_s: float
    last: Answer | None
    """What the service answered last."""


def explained(fault: Exception, when: Circumstances) -> WireError:
    """Return the error to raise; `unsent` is left to who knows."""
    if isinstance(fault, WireError):
        return fault
    if when.ended or isinstance(fault, TimeoutError):
        return _ended(when)
    return _told(fault, when) or _login(fault, when) or _network(fault, when) or _unreadable(fault)


def _told(fault: Exception, when: Circumstances) -> WireError | None:
    """Return what our own exceptions mean."""
    if isinstance(fault, StatusError):
        return _status(fault.answer, when)
    if isinstance(fault, OutagekitError | UnusableError):
        return WireError.of(Fault.LOCAL, FailureKind.LOCAL_IO, str(fault))
    if isinstance(fault, AnswerError | BadAnswerError):
        return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, str(fault))
    return None


def _ended(when: Circumstances) -> WireError:
    if when.ended == "cut":
        detail = "the connection was given up while an answer was waited for"
        return WireError.of(Fault.DROPPED, FailureKind.LOST, detail)
    what = "the login" if when.logging_in else "the message"
    detail = f"{when.place} did not answer {what} within {when.timeout_s:g} s"
    return WireError.of(Fault.LATE, FailureKind.TIMEOUT, detail)


def _status(answer: Answer, when: Circumstances) -> WireError:
    login = when.login
    if answer.status != HTTPStatus.UNAUTHORIZED:
        sealed = when.place.scheme == "http" and not when.logging_in
        return by_status(answer.status, sealed=sealed, first=when.first)
    if not when.logging_in and login.auth in {"ntlm", "kerberos"}:
        detail = "the endpoint no longer knows this connection's login (HTTP 401)"
        return WireError.of(Fault.STALE, FailureKind.LOST, detail)
    offered = answer.headers.get("www-authenticate", "")
    return refused(login.auth, offered, local=login.is_local)


def _network(fault: Exception, when: Circumstances) -> WireError | None:
    if isinstance(fault, ssl.SSLError):
        failure = explain(fault, when.believed, when.place.server_name)
        return WireError(failure, Fault.TLS) if failure.kind is FailureKind.TLS else _dropped(when)
    if isinstance(fault, requests.RequestException):
        return None  # an OSError by name only
    if isinstance(fault, _CUT):
        return _dropped(when)
    if isinstance(fault, http.client.HTTPException):
        return _no_http(fault)
    return None


def _no_http(fault: http.client.HTTPException) -> WireError:
    if isinstance(fault, http.client.BadStatusLine) and str(fault.args[0]).startswith(_ALERTS):
        detail = "the port speaks TLS: is it https (scheme: https, port 5986)?"
        return WireError.of(Fault.TLS, FailureKind.TLS, detail)
    detail = "the server answers with something that is no HTTP, or beyond all bounds"
    return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)


def _dropped(when: Circumstances) -> WireError:
    what = "during the login" if when.logging_in else "before it had answered"
    detail = f"{when.place} closed the connection {what}"
    if when.logging_in and when.place.scheme == "http" and when.last is None:
        detail += " (or the port is one of https)"
    return WireError.of(Fault.DROPPED, FailureKind.LOST, detail)


def _login(fault: Exception, when: Circumstances) -> WireError | None:
    """Return what it means that the libraries could not go on with a login."""
    if not when.logging_in or not _is_of_a_login(fault):
        return None
    last = when.last
    if last is not None and last.status >= HTTPStatus.MULTIPLE_CHOICES:
        # They look for the server's next question, whatever it has answered.
        if last.status != HTTPStatus.UNAUTHORIZED:
            return by_status(last.status, sealed=False, first=when.first)
        if isinstance(fault, KeyError | PermissionError):
            return _status(last, when)
    detail = "the server's part of the login cannot be understood"
    return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)


def _is_of_a_login(fault: Exception) -> bool:
    """Return whether this is what libraries raise that read a login; no system sets no number."""
    if isinstance(fault, PermissionError):
        return fault.errno is None
    if isinstance(fault, OSError | UnicodeEncodeError):
        return False
    return isinstance(fault, SpnegoError | LookupError | ValueError | struct.error)


def _unreadable(fault: Exception) -> WireError:
    if isinstance(fault, UnicodeEncodeError):
        detail = "the message, or the login, has letters that cannot be sent"
        return WireError.of(Fault.LOCAL, FailureKind.LOCAL_IO, detail)
    detail = f"what the server answers cannot be understood ({type(fault).__name__})"
    return WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)
