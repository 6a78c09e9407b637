"""Kerberos, where `outagekit[kerberos]` is installed: tickets of one client never serve another.

Each login is made in a thread of its own, which alone is told the file with its tickets: nothing
of the process changes, and who waits for a KDC keeps nobody else waiting. Without a password the
technician's own tickets are used, those of the credential's user and of nobody else.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import requests

from outagekit.events import FailureKind
from outagekit.transports.winrm.authentication import Shown, end_point_hash
from outagekit.transports.winrm.errand import Ended, Errand, not_ended
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.kerberos_faults import no_service, unusable
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.tickets import TICKETS, WHAT, principal_of

_VENDORED: Final = "winrm.vendor.requests_kerberos"
# It writes tokens of logins, and tracebacks of what is explained here.
logging.getLogger(_VENDORED).setLevel(logging.CRITICAL)


def handler(
    login: Login, shown: Shown, timeout_s: float, ended: Ended = not_ended
) -> requests.auth.AuthBase:
    """Return what proves a login by Kerberos. Raises `WireError` where that cannot be had.

    Its `is_established` says whether both sides have proven themselves and have a seal.
    """
    vendored = _vendored()
    auth = _kind_of(vendored, login, timeout_s, ended)(
        mutual_authentication=vendored.REQUIRED,
        force_preemptive=True,
        principal=None if sys.platform == "win32" else principal_of(login.user),
        sanitize_mutual_error_response=False,
        service="HTTP",
    )
    bound = end_point_hash(shown())
    auth.cbt_binding_tried = True
    if bound and hasattr(vendored.kerberos, "channelBindings"):
        data = b"tls-server-end-point:" + bound
        auth.cbt_struct = vendored.kerberos.channelBindings(application_data=data)
    return auth  # type: ignore[no-any-return]


def _vendored() -> Any:
    """Return pywinrm's module for Kerberos: an extra, which is often missing, without types."""
    try:
        return importlib.import_module(f"{_VENDORED}.kerberos_")
    except ImportError as fault:
        detail = "Kerberos logins need more to be installed: pip install 'outagekit[kerberos]'"
        raise unusable(detail) from fault


def _kind_of(vendored: Any, login: Login, timeout_s: float, ended: Ended) -> Any:
    """Return the class of what proves a login; it waits for its tickets first."""
    choose = _chosen(vendored.kerberos, TICKETS.cache(login, timeout_s, ended))

    class _Kerberos(vendored.HTTPKerberosAuth):  # type: ignore[misc]  # known at run time only
        @property
        def is_established(self) -> bool:
            return bool(self.auth_done and self.winrm_encryption_available)

        def generate_request_header(self, response: Any, host: str, **kwargs: Any) -> Any:
            def ask() -> Any:
                choose()
                return super(_Kerberos, self).generate_request_header(response, host, **kwargs)

            try:
                return Errand(ask, WHAT).result(timeout_s, ended)
            except vendored.KerberosExchangeError as fault:
                raise no_service(str(fault), login, f"HTTP/{host}") from fault

        def handle_401(self, response: Any, **kwargs: Any) -> Any:
            """Leave it: we have said at once who we are, and say it once a connection."""
            del kwargs
            return response

        def handle_other(self, response: Any) -> Any:
            try:
                return super().handle_other(response)
            except vendored.MutualAuthenticationError as fault:
                detail = "the server let us in without proving that it is the endpoint"
                raise WireError.of(Fault.OTHER, FailureKind.PROTOCOL, detail) from fault

    return _Kerberos


def _chosen(library: Any, cache: Path | None) -> Callable[[], object]:
    """Return what has Kerberos' library use a cache in the thread that calls it."""
    if cache is None:
        return lambda: None
    try:
        # Of the very library that the extension was linked with.
        choose = ctypes.CDLL(library.__file__).gss_krb5_ccache_name
    except (OSError, AttributeError) as fault:
        detail = "the Kerberos library of this machine cannot keep the tickets of clients apart"
        raise unusable(f"{detail}: log in by kinit, and name no password") from fault
    choose.argtypes = [ctypes.POINTER(ctypes.c_uint32), ctypes.c_char_p, ctypes.c_void_p]
    choose.restype = ctypes.c_uint32
    name = f"FILE:{cache}".encode()

    def tell() -> None:
        if choose(ctypes.byref(ctypes.c_uint32()), name, None):
            raise unusable("Kerberos' library does not take the file with its tickets")

    return tell
