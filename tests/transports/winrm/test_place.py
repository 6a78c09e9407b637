"""Where WinRM is: never another server than the inventory says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import InvalidInput
from outagekit.inventory.model import Endpoint
from outagekit.transports.winrm.place import Place, place_of


def endpoint(address: str = "10.1.4.11", **facts: object) -> Endpoint:
    return Endpoint(client="acme", name="pos-01", address=address, os="windows", **facts)


@pytest.mark.parametrize(
    ("facts", "url"),
    [
        ({}, "https://10.1.4.11:5986/wsman"),
        ({"scheme": "http"}, "http://10.1.4.11:5985/wsman"),
        ({"scheme": "https"}, "https://10.1.4.11:5986/wsman"),
        ({"port": 5985}, "http://10.1.4.11:5985/wsman"),
        ({"port": 5985, "scheme": "https"}, "https://10.1.4.11:5985/wsman"),
        ({"port": 443}, "https://10.1.4.11:443/wsman"),
        ({"port": 80, "scheme": "http"}, "http://10.1.4.11:80/wsman"),
        ({"ports": {5986: 15986}}, "https://10.1.4.11:15986/wsman"),
        ({"ports": {5985: 15985}}, "https://10.1.4.11:5986/wsman"),
        ({"port": 5985, "ports": {5985: 15985}}, "http://10.1.4.11:15985/wsman"),
    ],
)
def test_scheme_port_and_forward_make_the_url(facts: dict[str, object], url: str) -> None:
    assert place_of(endpoint(**facts)).url == url


@pytest.mark.parametrize(
    ("address", "url", "name"),
    [
        ("::1", "https://[::1]:5986/wsman", "::1"),
        ("fe80::1%eth0", "https://[fe80::1]:5986/wsman", "fe80::1"),
        ("2001:DB8::7", "https://[2001:DB8::7]:5986/wsman", "2001:DB8::7"),
        ("pos-01.acme.example.", "https://pos-01.acme.example:5986/wsman", "pos-01.acme.example"),
    ],
)
def test_an_address_stands_in_the_url_as_it_has_to(address: str, url: str, name: str) -> None:
    place = place_of(endpoint(address))
    assert (place.url, place.server_name, place.address) == (url, name, address)


@pytest.mark.parametrize(
    "address",
    [
        "https://[::1]:5986",
        "https",
        "a/b",
        "ops@10.1.4.11",
        "10.1.4.11:22",
        "[::1]",
        "10.1.4",
        "a b",
        "a\nb",
        "",
        "x?y",
        "x#y",
        "::1%",
    ],
)
def test_what_could_be_another_server_in_a_url_is_refused(address: str) -> None:
    if address == "https":  # a name like any other
        assert urlsplit(place_of(endpoint(address)).url).hostname == "https"
        return
    with pytest.raises(InvalidInput, match="acme/pos-01"):
        place_of(endpoint(address))


@given(st.text(max_size=30))
def test_whatever_stands_there_leads_to_itself_or_nowhere(address: str) -> None:
    try:
        place = place_of(endpoint(address))
    except InvalidInput:
        return
    parts = urlsplit(place.url)
    assert (parts.hostname, parts.port) == (place.server_name.lower(), 5986)
    assert parts.username is None


@pytest.mark.parametrize("port", [0, 70000, -1])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(InvalidInput):
        place_of(endpoint(ports={5986: port}))


def test_a_place_is_called_by_address_and_port() -> None:
    assert str(Place("https", "::1", 5986)) == "::1 port 5986"
