from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput, OutagekitError, UsageError
from outagekit.inventory.address import Login, address_fault, canonical, parse_login
from outagekit.inventory.adhoc import adhoc, endpoint_name
from outagekit.inventory.input import NAME_PATTERN
from outagekit.inventory.windows import scheme_of


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("ops@10.1.4.11", Login("ops", "10.1.4.11")),
        ("ops@10.1.4.11:2222", Login("ops", "10.1.4.11", 2222)),
        ("ops@web-01.acme.example", Login("ops", "web-01.acme.example")),
        ("ops@2001:db8::1", Login("ops", "2001:db8::1")),
        ("ops@[2001:db8::1]", Login("ops", "2001:db8::1")),
        ("ops@[2001:db8::1]:2222", Login("ops", "2001:db8::1", 2222)),
        ("ACME\\ops@pos-01", Login("ACME\\ops", "pos-01")),
        ("ops@acme.example@pos-01", Login("ops@acme.example", "pos-01")),
    ],
)
def test_a_login_is_taken_apart(text, login):
    assert parse_login(text) == login


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.1.4.11", "does not say who logs in"),
        ("@10.1.4.11", "does not say who logs in"),
        ("", "does not say who logs in"),
        ("ops@", "is no address"),
        ("ops@10.1.4.256", "is no IPv4 address"),
        ("ops@10.1.4", "is no IPv4 address"),
        ("ops@10.1.4.11:0", "is no port"),
        ("ops@10.1.4.11:65536", "is no port"),
        ("ops@10.1.4.11:99999999999", "is no port"),
        ("ops@10.1.4.11:ssh", "is no IPv6 address"),
        ("ops@[10.1.4.11", "has brackets"),
        ("ssh://ops@10.1.4.11", "is no user name"),
        ("ops:secret@10.1.4.11", "is no user name"),
        ("-oProxyCommand=x@10.1.4.11", "is no user name"),
        ("o ps@10.1.4.11", "is no user name"),
        ("ops@web 01", "is no address"),
        ("ops@web_01.example/x", "is no address"),
        ("ops@\x1b[31m", "is no address"),
        ("ops@münchen.example", "is no DNS name"),
        ("ops@" + "a" * 64, "is no DNS name"),
        ("ops@" + "a." * 130 + "example", "at most 253"),
        ("ops@web-.example", "is no DNS name"),
        ("ops@fe80::1%", "no interface"),
    ],
)
def test_a_bad_login_says_what_is_wrong(text, said):
    with pytest.raises(UsageError) as caught:
        parse_login(text)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


def test_hosts_become_endpoints_of_client_adhoc_with_a_credential_per_user():
    hosts = ["ops@10.1.4.11", "ops@[2001:db8::1]:2222", "root@web-01.acme.example"]
    client = adhoc(hosts, os="linux").clients["adhoc"]

    assert client.agreement is None
    assert [(e.id, e.address, e.port, e.credential) for e in client.endpoints.values()] == [
        ("adhoc/10.1.4.11", "10.1.4.11", None, "login-1"),
        ("adhoc/ip6-2001-db8--1-2222", "2001:db8::1", 2222, "login-1"),
        ("adhoc/web-01.acme.example", "web-01.acme.example", None, "login-2"),
    ]
    assert {name: (c.user, c.agent) for name, c in client.credentials.items()} == {
        "login-1": ("ops", True),
        "login-2": ("root", True),
    }


def test_key_and_references_reach_the_credential_and_the_agent_stays_out():
    inventory = adhoc(["ops@10.1.4.11"], os="linux", key="~/.ssh/id", passphrase="prompt")
    credential = inventory.clients["adhoc"].credentials["login-1"]
    assert (credential.key, credential.agent) == ("~/.ssh/id", False)
    assert credential.passphrase == SecretRef("prompt")


def test_a_way_to_root_and_its_password_reach_endpoint_and_credential():
    client = adhoc(["ops@10.1.4.11"], os="linux", become="sudo", sudo="keyring:acme-sudo").clients[
        "adhoc"
    ]
    assert client.credentials["login-1"].sudo == SecretRef("keyring", "acme-sudo")
    assert client.endpoints["10.1.4.11"].become == "sudo"
    with pytest.raises(UsageError, match="linux and macos only"):
        adhoc(["ops@10.1.4.11"], os="windows", become="sudo")


@pytest.mark.parametrize(
    ("written", "user", "address", "port"),
    [
        ("ACME\\ops@10.1.4.11", "ACME\\ops", "10.1.4.11", None),
        (".\\ops@10.1.4.11:5985", ".\\ops", "10.1.4.11", 5985),
        ("ops@acme.example@pos-01.acme.example", "ops@acme.example", "pos-01.acme.example", None),
        ("ACME\\ops@[2001:db8::1]:5985", "ACME\\ops", "2001:db8::1", 5985),
        ("ACME\\ops@2001:db8::1", "ACME\\ops", "2001:db8::1", None),
        ("ACME\\Jo Weber@10.1.4.11", "ACME\\Jo Weber", "10.1.4.11", None),
        ("local admin@10.1.4.11:5985", "local admin", "10.1.4.11", 5985),
    ],
)
def test_windows_is_logged_in_to_with_a_password_that_is_asked_for(written, user, address, port):
    client = adhoc([written], os="windows").clients["adhoc"]
    (endpoint,) = client.endpoints.values()
    (credential,) = client.credentials.values()
    assert (credential.user, endpoint.address, endpoint.port) == (user, address, port)
    assert (credential.password, credential.agent) == (SecretRef("prompt"), False)
    assert scheme_of(endpoint.scheme, endpoint.port) == ("http" if port == 5985 else "https")


@pytest.mark.parametrize(
    "user", ["ACME\\\\ops", "ACME\\", "\\ops", "ACME/ops", " ops", "ops ", "a:b"]
)
def test_a_user_windows_cannot_have_is_refused_with_the_forms_it_knows(user):
    with pytest.raises(UsageError, match="is no user name") as caught:
        adhoc([f"{user}@10.1.4.11"], os="windows")
    assert "DOMAIN\\user@address" in caught.value.hint


def test_the_password_of_windows_comes_from_where_it_is_said():
    client = adhoc(["ops@10.1.4.11"], os="windows", password="keyring:acme").clients["adhoc"]
    assert client.credentials["login-1"].password == SecretRef("keyring", "acme")


def test_a_key_for_windows_is_refused():
    with pytest.raises(UsageError, match="--key is for linux and macos only"):
        adhoc(["ops@10.1.4.11"], os="windows", key="~/.ssh/id")


def test_a_literal_password_is_refused_without_being_repeated():
    with pytest.raises(InvalidInput) as caught:
        adhoc(["ops@10.1.4.11"], os="linux", password="swordfish")
    assert "swordfish" not in repr(caught.value)


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["ops@10.1.4.11", "ops@10.1.4.11"],
        ["ops@10.1.4.11", "root@10.1.4.11"],
        ["ops@WEB-01", "ops@web-01"],
        ["ops@2001:db8::1", "ops@2001:db8:0::1"],
    ],
)
def test_no_host_and_one_machine_named_twice_are_refused(hosts):
    with pytest.raises(UsageError):
        adhoc(hosts, os="linux")


def test_a_passphrase_needs_its_key():
    with pytest.raises(UsageError):
        adhoc(["ops@10.1.4.11"], os="linux", passphrase="prompt")


@given(st.text(max_size=80))
def test_only_own_errors_come_from_any_login(text):
    try:
        login = parse_login(text)
    except OutagekitError:
        return
    assert address_fault(login.address) is None


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.from_regex(r"[a-z0-9_][a-z0-9-]{0,61}[a-z](\.[a-z][a-z0-9]{0,20}){0,8}", fullmatch=True),
    ),
    st.one_of(st.none(), st.integers(1, 65535)),
)
def test_every_address_gets_a_valid_name_of_its_own(address, port):
    name = endpoint_name(Login("ops", address, port))
    assert re.fullmatch(NAME_PATTERN[1:-1], name)
    assert name == endpoint_name(Login("root", canonical(address), port))


@pytest.mark.parametrize(("address", "name"), [("_-a", "a"), ("__", "unnamed"), ("_a.b", "a.b")])
def test_an_address_that_begins_as_no_name_may_gets_one(address, name):
    assert endpoint_name(Login("ops", address)) == name


def test_long_addresses_that_begin_alike_get_different_names():
    names = {endpoint_name(Login("ops", f"{'a' * 60}.{x}.example")) for x in "bcd"}
    assert len(names) == 3
