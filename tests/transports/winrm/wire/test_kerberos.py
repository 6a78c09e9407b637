"""Tickets of each client apart, and what is said where Kerberos cannot be had."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from outagekit.events import FailureKind
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.tickets import Tickets

posix = pytest.mark.skipif(sys.platform == "win32", reason="kinit stands in as a shell script")

KINIT = """#!/bin/sh
read word
case "$word" in
  right*) printf '%s\\n' "$word" "$@" > "${2#FILE:}" ;;
  slow) exec sleep 5 ;;
  *) echo "kinit: Password incorrect while getting $word" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def tickets(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "kinit"
    program.parent.mkdir()
    program.write_text(KINIT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    made = Tickets()
    yield made
    made.forget()


def login(client="acme", password="right-one", user="ops@acme.example"):
    return Login(client=client, user=user, auth="kerberos", password=password)


@posix
def test_each_client_has_a_private_cache_of_its_own(tickets):
    first = tickets.cache(login(), 5)
    assert tickets.cache(login(), 5) == first
    other = tickets.cache(login(client="beta"), 5)
    assert first != other
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    said = first.read_text().splitlines()
    assert said == ["right-one", "-c", f"FILE:{first}.new", "--", "ops@ACME.EXAMPLE"]
    tickets.forget()
    assert not first.parent.exists()


@posix
def test_a_wrong_password_is_one_and_hidden(tickets):
    with pytest.raises(WireError) as caught:
        tickets.cache(login(password="wrong-word"), 5)
    assert (caught.value.fault, caught.value.failure.kind) == (
        Fault.UNAUTHORIZED,
        FailureKind.AUTH,
    )
    assert caught.value.unsent
    assert "wrong-word" not in caught.value.failure.detail


@posix
def test_a_kinit_that_hangs_or_is_missing_is_told_apart(tickets, monkeypatch):
    with pytest.raises(WireError, match=r"within 0\.1 s") as caught:
        tickets.cache(login(password="slow"), 0.1)
    assert caught.value.failure.kind is FailureKind.TIMEOUT
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WireError, match="needs the program kinit"):
        tickets.cache(login(password="right-two"), 5)


def test_without_a_password_the_persons_own_tickets_are_used(tickets):
    assert tickets.cache(login(password=None), 5) is None


def test_kerberos_that_is_not_installed_is_named(bench, kit, monkeypatch):
    # As if it were not there, also where it is.
    monkeypatch.setitem(sys.modules, "winrm.vendor.requests_kerberos.kerberos_", None)
    service = bench.service()
    wire = bench.wire(service, login=kit.log_in(auth="kerberos", user="ops@ACME.EXAMPLE"))
    with pytest.raises(WireError, match=r"outagekit\[kerberos\]") as caught:
        wire.hello()
    assert caught.value.failure.kind is FailureKind.LOCAL_IO
    assert not service.heard
