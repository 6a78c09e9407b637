"""Which transport an endpoint gets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from outagekit.errors import OutagekitError
from outagekit.inventory.model import Endpoint, Site
from outagekit.transports.open import Access, transport_for
from outagekit.transports.protocol import Target, Transport
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.winrm.transport import WinrmTransport


def target(os: str = "linux", *, jump: str | None = None, become: str | None = None) -> Target:
    endpoint = Endpoint(client="acme", name="a", address="a.example", os=os, become=become)
    return Target(endpoint=endpoint, site=Site(name="berlin", jump=jump))


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(TrustStore(tmp_path), lambda reference, endpoint, label: "")


@pytest.mark.parametrize("system", ["linux", "macos"])
def test_posix_endpoints_are_reached_over_ssh(access: Access, system: str) -> None:
    transport: Transport = transport_for(target(system), access)
    assert isinstance(transport, SshTransport)
    assert not transport.alive
    transport.abort()
    transport.close()
    transport.close()


def test_windows_endpoints_are_reached_over_winrm(access: Access) -> None:
    transport: Transport = transport_for(target("windows"), access)
    assert isinstance(transport, WinrmTransport)
    assert not transport.alive
    transport.abort()
    transport.close()
    transport.close()


def test_an_address_that_would_lead_elsewhere_is_refused(access: Access) -> None:
    endpoint = Endpoint(client="acme", name="a", address="a.example/x@b", os="windows")
    with pytest.raises(OutagekitError):
        transport_for(Target(endpoint=endpoint), access)


def test_heavy_libraries_are_loaded_only_when_needed() -> None:
    program = (
        "import sys, outagekit.transports.open, outagekit.transports.probing.probe,"
        " outagekit.transports.meaning, outagekit.transports.trust.store;"
        "heavy = {'paramiko', 'httpx', 'pydantic', 'cryptography', 'requests'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
