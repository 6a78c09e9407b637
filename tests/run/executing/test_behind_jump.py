"""The waiting room and waits of an endpoint behind a real jump host."""

from __future__ import annotations

import contextlib
import getpass
import socket
import time
from dataclasses import dataclass

import pytest

from outagekit.events import AttemptId, EndpointId, EndState, StepId
from outagekit.inventory.model import Credential, Endpoint
from outagekit.playbook.model import WaitHttp, WaitTcp
from outagekit.run.executing.lanes import Lanes
from outagekit.run.orders import Answers, Finished, Order
from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd
from outagekit.transports.access import Access
from outagekit.transports.protocol import Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.ssh.ways.route import Route, Server
from outagekit.transports.ssh.ways.routes import Routes
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Through(Routes):
    """Everything stands behind one jump host, at an address that is none here."""

    end: Server
    hop: Server

    def route(self, target):
        return Route(self.end, (self.hop,))


class Site:
    """A jump host that runs, and an endpoint that may."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.stack = stack
        self.login = make_key(folder / "login")
        self.trust = TrustStore(folder / "trust")
        self.port = free_port(HERE)
        credential = Credential(name="ops", user=getpass.getuser(), key=str(self.login.private))
        jump = free_port(HERE)
        self.start("jump", jump)
        self.access = Access(
            self.trust,
            lambda *_: "",
            routes=Through(
                Server(HERE, self.port, HERE, credential=credential),
                Server(HERE, jump, HERE, credential=credential),
            ),
        )
        endpoint = Endpoint(client="acme", name="a", address="web-01.invalid", os="linux")
        self.target = Target(endpoint=endpoint, credential=credential)
        self.lanes = Lanes(
            lambda target: SshTransport(target, self.access),
            folder=folder,
            key=b"k" * 32,
            ways=self.access,
        )
        stack.callback(self.access.close)
        stack.callback(self.lanes.close, 0.5)

    def start(self, name, port):
        running = sshd(self.folder / name, [HERE], port, login_keys=[self.login.public])
        key = self.stack.enter_context(running)
        self.trust.add("acme", HERE, port, HostKey(*key.public.split()))

    def reports(self, kind, timeout_s=8.0):
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            for report in self.lanes.reports(0.1):
                if isinstance(report, kind):
                    return report
        return None

    def waits(self, action, timeout_s=5.0):
        self.lanes.submit(
            Order(
                attempt=AttemptId(f"acme/a:wait:{action.port}"),
                target=self.target,
                step=StepId("wait"),
                action=action,
                timeout_s=timeout_s,
            )
        )
        return self.reports(Finished)


@pytest.fixture
def site(tmp_path):
    if find_sshd() is None:
        pytest.skip("OpenSSH's sshd is not installed")
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_one_that_comes_back_is_seen_through_its_jump_host(site):
    site.lanes.watch(site.target, 0.0)
    assert site.reports(Answers, 1.0) is None
    site.start("endpoint", site.port)
    assert site.reports(Answers) == Answers(endpoint=EndpointId("acme/a"))


def test_a_port_and_a_page_are_waited_for_where_the_jump_host_sees_them(site):
    site.start("endpoint", site.port)
    with socket.create_server((HERE, 0)) as service:
        service.settimeout(5)
        port = service.getsockname()[1]
        assert site.waits(WaitTcp(port)).state is EndState.OK
        service.accept()[0].close()
    ended = site.waits(WaitHttp(site.port, every_s=0.1), timeout_s=0.3)
    assert ended.state is EndState.FAILED
