"""One TCP connection under the wire: what is left of one that ends before it was of use."""

from __future__ import annotations

import gc
import socket
import sys
import time

import pytest

from outagekit.events import FailureKind
from outagekit.lab.listening import abort
from outagekit.transports.protocol import Deadlines
from outagekit.transports.winrm.connection import Connection
from outagekit.transports.winrm.faults import WireError
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tls import Believed, context_for


def test_a_connection_that_is_reset_before_tls_leaves_no_socket_open(monkeypatch):
    left = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def connect(_limit_s):
            mine = socket.create_connection(server.getsockname())
            abort(server.accept()[0])
            time.sleep(0.02)  # until the reset is there
            return mine

        port = server.getsockname()[1]
        place = Place("https", "127.0.0.1", port)
        connection = Connection(place, Believed(), connect=connect, deadlines=Deadlines())
        connection.context = context_for(Believed())
        with pytest.raises(WireError) as raised:
            connection.open()
        assert raised.value.failure.kind is FailureKind.HANDSHAKE
        assert raised.value.unsent
        connection.close()
        del raised
        gc.collect()
    assert left == []
