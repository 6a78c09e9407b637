"""Host keys of many servers: all at once, through jump hosts, never waiting for a dead one."""

from __future__ import annotations

import dataclasses
import getpass
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from outagekit.events import FailureKind
from outagekit.inventory.model import Credential, Endpoint, Site, Winrm
from outagekit.testing.tls import self_signed, server_context, tls_server
from outagekit.transports.access import Access
from outagekit.transports.protocol import Failure, Target
from outagekit.transports.trust.certificates import Seen
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.scan import (
    Asked,
    ends_of,
    jumps_of,
    next_jumps,
    scan_key,
    scan_keys,
)
from outagekit.transports.trust.store import TrustStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Bench, RawServer, Sshd


@pytest.fixture
def access(bench: Bench) -> Iterator[Access]:
    made = Access(bench.trust, bench.resolve, bench.quick)
    yield made
    made.close()


def target(name: str, address: str, port: int, site: Site | None = None, **facts: object) -> Target:
    endpoint = Endpoint(client="acme", name=name, address=address, port=port, os="linux")
    return Target(endpoint=endpoint, site=site, **facts)


@pytest.fixture
def behind(sshd: Sshd, sshd_with: Callable[..., Sshd]) -> tuple[Target, Sshd, Sshd]:
    """An endpoint, its server, and its jump host, which lets only `user_key` in."""
    jump = sshd_with(address="127.0.0.2")
    login = Credential(name="jump", user=getpass.getuser(), key=str(jump.user_key))
    site = Site(name="berlin", jump=f"{login.user}@127.0.0.2:{jump.port}")
    return target("web-01", sshd.address, sshd.port, site, jump_credential=login), sshd, jump


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_answers_stand_in_order_and_dead_ones_cost_their_deadline_once(
    access: Access, sshd: Sshd, silent: int
) -> None:
    targets = [target(f"dead-{n}", "127.0.0.1", silent) for n in range(30)]
    targets[7:7] = [target("web-01", sshd.address, sshd.port)]
    targets.append(target("closed", "127.0.0.1", 1))
    told: list[HostKey | Failure] = []
    began_s = time.monotonic()
    answers = scan_keys(ends_of(targets, access), access, told=told.append)
    assert time.monotonic() - began_s < 2.5
    assert answers[7] == sshd.key
    kinds = [a.kind if isinstance(a, Failure) else None for a in answers]
    assert kinds == [
        *[FailureKind.HANDSHAKE] * 7,
        None,
        *[FailureKind.HANDSHAKE] * 23,
        FailureKind.REFUSED,
    ]
    assert len(told) == len(targets)


def test_a_thread_that_is_interrupted_leaves_nothing_going_on(
    access: Access, sshd: Sshd, silent: int
) -> None:
    patient = dataclasses.replace(access.deadlines, handshake_s=30.0)
    slow = dataclasses.replace(access, deadlines=patient)
    targets = [target("web-01", sshd.address, sshd.port)]
    targets += [target(f"dead-{n}", "127.0.0.1", silent) for n in range(8)]

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_keys(ends_of(targets, slow), slow, told=interrupt, at_once=4)
    until_s = time.monotonic() + 5
    while any(thread.name == "outagekit-scan" for thread in threading.enumerate()):
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_no_more_of_a_site_are_asked_at_once_than_it_allows(
    access: Access, raw_server: Callable[..., RawServer]
) -> None:
    guard, now, most = threading.Lock(), 0, 0

    def serve(sock: socket.socket) -> None:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        time.sleep(0.03)
        with guard:
            now -= 1
        sock.close()

    port = raw_server(serve).port
    site = Site(name="berlin", concurrency=2)
    targets = [target(f"web-{n}", "127.0.0.1", port, site) for n in range(8)]
    answers = scan_keys(ends_of(targets, access), access)
    assert len(answers) == 8
    assert most <= 2


def test_a_jump_host_is_asked_first_and_the_endpoint_through_it(
    access: Access, behind: tuple[Target, Sshd, Sshd]
) -> None:
    end, server, jump = behind
    twin = target("web-02", server.address, server.port, end.site)
    twin = Target(endpoint=twin.endpoint, site=end.site, jump_credential=end.jump_credential)
    (first,) = next_jumps([end, twin], access)
    assert first.filed == ("acme", "127.0.0.2", jump.port)
    (key,) = scan_keys([first], access)
    assert key == jump.key
    access.trust.add(*first.filed, jump.key)
    assert next_jumps([end, twin], access) == []
    assert jumps_of([end, twin], access) == [first]
    assert scan_keys(ends_of([end, twin], access), access) == [server.key, server.key]


def test_what_stands_behind_a_jump_host_nobody_trusts_is_not_asked(
    access: Access, behind: tuple[Target, Sshd, Sshd]
) -> None:
    (answer,) = scan_keys(ends_of([behind[0]], access), access)
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.HOST_KEY
    assert "127.0.0.2" in answer.detail


def test_jump_hosts_behind_each_other_come_one_by_one(
    tmp_path: Path, access: Access, behind: tuple[Target, Sshd, Sshd]
) -> None:
    end, _, jump = behind
    route = access.routes.route(end)
    second = dataclasses.replace(route.hops[0], address="127.0.0.3", known_as="127.0.0.3")

    class Chain:
        def route(self, _: Target) -> object:
            return dataclasses.replace(route, hops=(*route.hops, second))

    chained = dataclasses.replace(access, routes=Chain())
    (first,) = next_jumps([end], chained)
    assert first.route.hops == ()
    chained.trust.add(*first.filed, jump.key)
    (then,) = next_jumps([end], chained)
    assert (then.route.end.address, then.route.hops) == ("127.0.0.3", route.hops)
    assert [each.route.end.address for each in jumps_of([end], chained)] == [
        "127.0.0.2",
        "127.0.0.3",
    ]


def test_a_server_with_a_certificate_is_known_by_the_key_in_it(
    tmp_path: Path, bench: Bench, sshd_with: Callable[..., Sshd]
) -> None:
    first = sshd_with()
    authority = bench.key(tmp_path / "authority")
    public = first.host_key.with_suffix(".pub")
    words = ["ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", "127.0.0.1", public]
    subprocess.run(words, check=True, capture_output=True)
    certificate = public.with_name(f"{first.host_key.name}-cert.pub")
    options = (f"HostKey {first.host_key}", f"HostCertificate {certificate}")
    only = "HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com"
    for more in ((), (only,)):
        server = sshd_with(options=(*options, *more))
        assert scan_key(server.address, server.port, bench.quick) == first.key


def test_the_same_address_of_two_clients_is_believed_apart(
    tmp_path: Path, access: Access, sshd: Sshd
) -> None:
    mine = target("web-01", sshd.address, sshd.port)
    theirs = Endpoint(
        client="borealis", name="web-01", address=sshd.address, port=sshd.port, os="linux"
    )
    asked = ends_of([mine, Target(endpoint=theirs)], access)
    store = TrustStore(tmp_path / "other")
    store.add(*asked[0].filed, sshd.key)
    assert [bool(store.known_keys(*each.filed)) for each in asked] == [True, False]
    assert isinstance(asked[0], Asked)


# --- certificates ------------------------------------------------------------------------------


def windows(port: int, site: Site | None = None, **facts: object) -> Target:
    made = target("pos-01", "127.0.0.1", port, site)
    scheme = facts.pop("scheme", None)
    endpoint = msgspec.structs.replace(made.endpoint, os="windows", scheme=scheme)
    return msgspec.structs.replace(made, endpoint=endpoint, **facts)


def test_certificates_and_host_keys_are_asked_for_together(
    access: Access, sshd: Sshd, tmp_path: Path
) -> None:
    pem = self_signed(tmp_path)
    with tls_server(server_context(pem)) as server:
        targets = [windows(server.port), target("web-01", sshd.address, sshd.port)]
        asked = ends_of([*targets, windows(server.port, scheme="http")], access)
        assert [each.shows_certificate for each in asked] == [True, False, False]
        assert [each.is_sealed for each in asked] == [False, False, True]
        shown, key, sealed = scan_keys(asked, access)
        trusting = windows(server.port, winrm=Winrm(ca=str(pem)))
        (vouched,) = scan_keys(ends_of([trusting], access), access)
    assert isinstance(shown, Seen)
    assert (shown.by, shown.key.type) == ("", "tls-certificate")
    assert key == sshd.key
    assert isinstance(sealed, Failure)
    assert isinstance(vouched, Seen)
    assert (vouched.key, vouched.by) == (shown.key, f"the authorities in {pem}")


def test_a_windows_endpoint_behind_a_jump_host_is_seen_through_it(
    access: Access, behind: tuple[Target, Sshd, Sshd], tmp_path: Path
) -> None:
    linux, _, jump = behind
    access.trust.add("acme", jump.address, jump.port, jump.key)
    with tls_server(server_context(self_signed(tmp_path))) as server:
        there = windows(server.port, linux.site, jump_credential=linux.jump_credential)
        asked = jumps_of([there], access)
        assert [(a.route.end.address, a.shows_certificate) for a in asked] == [("127.0.0.2", False)]
        (seen,) = scan_keys(ends_of([there], access), access)
        assert isinstance(seen, Seen), seen
        assert access.place(there) is None
        assert access.knock(there, 5.0)
        sock = access.winrm_socket(there, threading.Event(), 5.0)
        assert isinstance(sock, socket.socket), sock
        sock.close()
    assert not access.knock(there, 5.0)
    failure = access.winrm_socket(there, threading.Event(), 5.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.REFUSED
    assert f"the jump host 127.0.0.2 port {jump.port} cannot connect to 127.0.0.1" in failure.detail


def test_a_jump_host_that_is_not_trusted_lets_nobody_see_what_is_behind(
    access: Access, behind: tuple[Target, Sshd, Sshd]
) -> None:
    linux, _, _ = behind
    there = windows(5986, linux.site, jump_credential=linux.jump_credential)
    failure = access.winrm_socket(there, threading.Event(), 5.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.HOST_KEY
    assert "the jump host 127.0.0.2" in failure.detail
