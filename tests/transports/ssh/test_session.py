"""What a connection says of itself while paramiko's thread is about to end."""

from __future__ import annotations

import socket

import paramiko
import pytest

from outagekit.transports.ssh.session import Session


@pytest.fixture
def session():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = Session(ours, ())
        made.active = True
        yield made
        made.active = False
        made.close()


@pytest.mark.parametrize(
    "fault", [EOFError(), ConnectionResetError("reset"), paramiko.SSHException("bad packet")]
)
def test_a_connection_is_over_as_soon_as_reading_from_it_has_ended(session, fault):
    # paramiko keeps the reason, then wakes up whoever waits for an answer on a channel, and only
    # then is inactive: between the two a lost connection looked like a command that was refused.
    assert session.is_active()
    session.saved_exception = fault
    assert not session.is_active()
    assert session.get_exception() is fault
    assert not session.is_active(), "also when somebody has asked for the reason"


@pytest.mark.parametrize(
    "fault", [paramiko.ChannelException(1, "no"), paramiko.BadAuthenticationType("no", ["x"])]
)
def test_what_is_refused_does_not_end_a_connection(session, fault):
    session.saved_exception = fault
    assert session.is_active()
    assert session.get_exception() is fault
    assert session.is_active()
