"""The way to an endpoint: what the inventory says wins, the SSH config fills in the rest."""

from __future__ import annotations

import getpass
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.inventory.model import Credential, Endpoint, Site
from outagekit.transports.access import Access
from outagekit.transports.protocol import Failure, Target
from outagekit.transports.ssh.config.config import load_config
from outagekit.transports.ssh.config.local import this_machine
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.ssh.ways.route import Route, Server
from outagekit.transports.ssh.ways.routes import Routes
from outagekit.transports.trust.store import filed_under

if TYPE_CHECKING:
    from conftest import Bench, Sshd

Make = Callable[..., Routes]


@pytest.fixture
def routes(tmp_path: Path) -> Make:
    def make(text: str) -> Routes:
        path = tmp_path / "ssh_config"
        path.write_text(text)
        return Routes(load_config(path, this_machine()))

    return make


def target(address: str = "web-01", *, jump: str | None = None, **facts: object) -> Target:
    credential = facts.pop("credential", None)
    jump_credential = facts.pop("jump_credential", None)
    endpoint = Endpoint(client="acme", name="web-01", address=address, os="linux", **facts)
    site = Site(name="berlin", jump=jump) if jump else None
    return Target(
        endpoint=endpoint, credential=credential, site=site, jump_credential=jump_credential
    )


def login(user: str = "ops", **facts: object) -> Credential:
    return Credential(name="admin", user=user, **facts)


def places(route: Route) -> list[str]:
    return [f"{s.user or ''}@{s.address}:{s.port}" for s in (*route.hops, route.end)]


def test_without_a_config_there_is_the_inventory_alone() -> None:
    found = Routes().route(target(port=2022, credential=login()))
    assert found == Route(Server("web-01", 2022, known_as="web-01", credential=login()))


def test_without_a_config_a_site_has_its_jump_host_all_the_same() -> None:
    found = Routes().route(target(jump="hop@192.0.2.9:2222", jump_credential=login("j")))
    jump = Server("192.0.2.9", 2222, known_as="192.0.2.9", user="hop", credential=login("j"))
    assert found.hops == (jump,)
    assert Routes().route(target(jump="192.0.2.9")).hops[0].user is None


def test_a_config_fills_in_what_the_inventory_leaves_open(routes: Make) -> None:
    found = routes(
        "Host web-*\n HostName %h.acme.example\n Port 2022\n User ops\n IdentityFile /k/%n\n"
        " CertificateFile /c\n IdentitiesOnly yes\n IdentityAgent /a\n ConnectTimeout 7\n"
    ).route(target())
    assert found == Route(
        Server(
            "web-01.acme.example",
            2022,
            known_as="web-01.acme.example",
            user="ops",
            identities=("/k/web-01",),
            certificates=("/c",),
            identities_only=True,
            agent="/a",
            connect_s=7.0,
        )
    )


def test_what_the_inventory_says_wins(routes: Make) -> None:
    made = routes("Port 2022\nUser conf\nIdentityFile /k\nMatch user ops\n HostName real\n")
    found = made.route(target(port=22, credential=login())).end
    assert (found.address, found.port, found.user) == ("real", 22, "ops")
    assert found.identities is None
    assert found.credential == login()


def test_a_forwarded_port_wins_over_the_configs(routes: Make) -> None:
    assert routes("Port 2022\n").route(target(ports={22: 10022})).end.port == 10022


def test_a_credential_that_allows_the_agent_gets_the_configs_key_files(routes: Make) -> None:
    found = routes("IdentityFile /k\nUser x\n").route(target(credential=login(agent=True))).end
    assert (found.identities, found.user) == (("/k",), "ops")


def test_without_any_user_it_is_the_person_here(routes: Make) -> None:
    assert routes("").route(target()).end.user == this_machine().user


def test_an_alias_stands_in_known_hosts_without_a_port(routes: Make) -> None:
    end = routes("HostKeyAlias Web\nPort 2022\n").route(target()).end
    assert filed_under("acme", end) == ("acme", "web", 22)
    end = routes("HostName real\nPort 2022\n").route(target()).end
    assert filed_under("acme", end) == ("acme", "real", 2022)


def test_hops_stand_nearest_first_each_with_its_own_config(routes: Make) -> None:
    found = routes(
        "Host web-01\n ProxyJump first,x@second:2222\n"
        "Host first\n HostName 192.0.2.1\n User f\n IdentityFile /f\n"
        "Host second\n HostName 192.0.2.2\n User s\n Port 7\n"
    ).route(target(credential=login()))
    assert places(found) == ["f@192.0.2.1:22", "x@192.0.2.2:2222", "ops@web-01:22"]
    assert found.hops[0].identities == ("/f",)
    assert found.hops[0].credential is None


def test_only_the_first_hop_has_a_way_of_its_own_as_with_ssh(routes: Make) -> None:
    found = routes(
        "Host web-01\n ProxyJump first,second\n"
        "Host first\n ProxyJump zeroth\nHost second\n ProxyJump never\n ProxyCommand never\n"
        "Host zeroth\n ProxyCommand nc %h %p\n"
    ).route(target(credential=login()))
    assert [server.address for server in found.hops] == ["zeroth", "first", "second"]
    assert found.command == "nc zeroth 22"


def test_a_proxy_command_leads_to_the_endpoint_itself(routes: Make) -> None:
    found = routes("ProxyCommand nc %h %p %r\n").route(target(credential=login()))
    assert (found.command, found.hops, found.is_direct) == ("nc web-01 22 ops", (), False)


def test_a_sites_jump_host_wins_and_is_looked_up_too(routes: Make) -> None:
    found = routes(
        "Host web-01\n ProxyJump never\n ProxyCommand never\n HostName 192.0.2.7\n"
        "Host bastion\n HostName 192.0.2.9\n Port 2222\n User b\n ProxyJump outer\n"
    ).route(target(jump="bastion", credential=login()))
    me = this_machine().user
    assert places(found) == [f"{me}@outer:22", "b@192.0.2.9:2222", "ops@192.0.2.7:22"]
    assert found.command == ""


def test_a_sites_jump_host_is_entered_as_its_credential_says(routes: Make) -> None:
    made = routes("Host bastion\n User b\n IdentityFile /b\n")
    jump = made.route(target(jump="j@bastion:2022", jump_credential=login("c"))).hops[0]
    assert (jump.user, jump.port, jump.identities) == ("c", 2022, None)
    assert jump.credential == login("c")
    jump = made.route(target(jump="j@bastion")).hops[0]
    assert (jump.user, jump.credential, jump.identities) == ("j", None, ("/b",))


@pytest.mark.parametrize(
    "text",
    [
        "Host web-01\n ProxyJump a\nHost a\n ProxyJump b\nHost b\n ProxyJump a\n",
        "Host *\n ProxyJump bastion\nHost bastion\n HostName 192.0.2.9\n",
        f"ProxyJump {','.join(['x'] * 40)}\n",
    ],
)
def test_jump_hosts_without_end_are_refused(routes: Make, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        routes(text).route(target())
    assert "without end" in caught.value.message
    assert caught.value.problems[0].line > 0


@pytest.mark.parametrize("user", ["a;b", "$(id)", "-x", "a\nb"])
def test_a_user_with_signs_of_a_shell_is_refused(routes: Make, user: str) -> None:
    with pytest.raises(InvalidInput, match="characters that ssh refuses"):
        routes("ProxyCommand nc %r\n").route(target(credential=login(user)))


@pytest.mark.parametrize("address", ["x;id", "`id`", "-oProxyCommand=id", "a b"])
def test_an_address_with_signs_of_a_shell_is_refused(routes: Make, address: str) -> None:
    with pytest.raises(InvalidInput, match="characters that ssh refuses"):
        routes("ProxyCommand nc %h\n").route(target(address))


def test_a_long_time_to_connect_is_cut(routes: Make) -> None:
    assert routes("ConnectTimeout 1h\n").route(target()).end.connect_s == 60.0
    assert routes("ConnectTimeout 0\n").route(target()).end.connect_s is None


def test_notices_come_of_hops_too_and_once(routes: Make) -> None:
    made = routes("Host web-*\n ProxyJump hop\nHost hop\n BindAddress ::1\nHost db\n MACs x\n")
    for number in range(3):
        made.route(target(f"web-{number}"))
    assert [notice.keyword for notice in made.notices] == ["BindAddress"]


def test_what_differs_in_anything_has_a_route_of_its_own(routes: Make) -> None:
    made = routes("")
    password = login(password=SecretRef.parse("env:SECRET"))
    several = [
        target(),
        target(port=2022),
        target(credential=login()),
        target(credential=password),
        target(jump="a"),
        target(jump="a", jump_credential=login()),
    ]
    assert len({made.route(each) for each in several}) == len(several)
    assert made.route(target()) is made.route(target())


def test_many_threads_see_one_route(routes: Make) -> None:
    made, found = routes('Match exec "true"\n Port 2022\n'), []
    threads = [
        threading.Thread(target=lambda: found.append(made.route(target()))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(route) for route in found}) == 1


def test_a_large_config_and_many_endpoints_cost_little(routes: Make) -> None:
    blocks = (f"Host web-{n} w{n}*\n HostName 10.0.{n}.1\n User u{n}\n" for n in range(200))
    made = routes("".join(blocks) + "Host *\n IdentityFile /k/%h\n")
    began_s = time.monotonic()
    for number in range(500):
        made.route(target(f"web-{number}"))
    # 0.2 ms an endpoint where this was written.
    assert time.monotonic() - began_s < 5


def test_an_endpoint_known_only_to_the_config_is_reached(
    bench: Bench, sshd: Sshd, routes: Make
) -> None:
    made = routes(
        f"Host far\n HostName {sshd.address}\n Port {sshd.port}\n User {getpass.getuser()}\n"
        f" IdentityFile {sshd.user_key}\n IdentitiesOnly yes\n HostKeyAlias farthest\n"
    )
    bench.trust.add("acme", "farthest", 22, sshd.key)
    access = Access(bench.trust, bench.resolve, routes=made)
    transport = SshTransport(target("far"), access)
    bench.made.append(transport)
    opened = transport.open()
    assert not isinstance(opened, Failure), opened


# --- Windows endpoints -------------------------------------------------------------------------


def windows(jump: str | None = None, **facts: object) -> Target:
    made = target(jump=jump, **facts)
    endpoint = msgspec.structs.replace(made.endpoint, os="windows")
    return msgspec.structs.replace(made, endpoint=endpoint)


def test_the_way_to_a_windows_endpoint_ends_at_its_winrm() -> None:
    for facts, port, scheme in (
        ({}, 5986, "https"),
        ({"scheme": "http"}, 5985, "http"),
        ({"ports": {5986: 15986}}, 15986, "https"),
    ):
        found = Routes().route(windows(credential=login(), **facts))
        end = Server("web-01", port, known_as="web-01", credential=login())
        assert found == Route(end, scheme=scheme)
        assert filed_under("acme", found.end) == ("acme", "web-01", port)


def test_the_ssh_config_of_a_windows_endpoint_is_not_asked(routes: Make) -> None:
    made = routes(
        "Host *\n HostName wrong\n Port 1\n User x\n ProxyCommand nc %h\n HostKeyAlias y\n"
        " BindAddress ::1\n"
    )
    found = made.route(windows(credential=login()))
    assert found == Route(
        Server("web-01", 5986, known_as="web-01", credential=login()), scheme="https"
    )
    assert made.notices == ()


def test_the_ssh_config_of_its_jump_host_is(routes: Make) -> None:
    made = routes(
        "Host web-01\n HostName wrong\n ProxyJump never\n"
        "Host bastion\n HostName 192.0.2.9\n Port 2222\n User b\n ProxyJump outer\n"
    )
    found = made.route(windows(jump="bastion", credential=login()))
    me = this_machine().user
    assert places(found) == [f"{me}@outer:22", "b@192.0.2.9:2222", "@web-01:5986"]
    assert (found.scheme, found.command, found.is_direct) == ("https", "", False)
    assert found.hops == made.route(target(jump="bastion", credential=login())).hops


def test_the_same_address_with_another_system_has_another_way(routes: Make) -> None:
    made = routes("")
    ways = {made.route(each).words for each in (target(), windows(), windows(scheme="http"))}
    assert len(ways) == 3


def test_an_address_that_could_be_another_server_in_a_url_has_no_way() -> None:
    with pytest.raises(InvalidInput, match="acme/web-01"):
        Routes().route(windows(address="a/b"))
