"""Who gets in, over which connection, and what is said to who does not."""

from __future__ import annotations

import base64
import os
import stat

import pytest
import requests
import spnego

from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.accounts import Account, Accounts, user_of
from outagekit.lab.wsman.md4 import md4
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.sealing import CONTENT_TYPE, pack_sealed, unpack_sealed

MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


def authorized(scheme, token):
    return {"Authorization": f"{scheme} {base64.b64encode(token).decode()}"}


def log_in(one, account, *, scheme="Negotiate", password=None, user=None, protocol="ntlm"):
    """Log a connection in by hand; return the client's context and the last answer."""
    context = spnego.client(
        user or account.user, password or account.password, hostname=LOOPBACK, protocol=protocol
    )
    token, answer = context.step(), None
    while token:
        answer = one.post(headers=authorized(scheme, token))
        told = answer.headers.get("WWW-Authenticate", "").partition(" ")[2]
        # With SPNEGO the last answer has a token as well: it proves that nobody chose for us.
        token = context.step(base64.b64decode(told)) if told and not context.complete else None
        if answer.status == 200:
            break
    return context, answer


def sealed(context, message):
    wrapped = context.wrap_winrm(message)
    body = pack_sealed(wrapped.header, wrapped.data, len(message))
    return body, {"Content-Type": CONTENT_TYPE}


def test_over_https_a_stranger_hears_how_to_log_in(at_hand):
    answer = at_hand().post(headers={})
    assert answer.status == 401
    assert answer.headers.get_all("WWW-Authenticate") == ["Negotiate", 'Basic realm="WSMAN"']


def test_over_http_no_password_is_asked_for_or_taken(lone, client):
    one = client(lone())
    assert one.post(headers={}).headers.get_all("WWW-Authenticate") == ["Negotiate"]
    answer = one.create()
    assert (answer.status, answer.headers.get_all("WWW-Authenticate")) == (401, ["Negotiate"])
    assert (one.lone.server.shells, one.lone.server.clear_bodies) == ((), 1)


def test_over_http_a_password_is_taken_only_where_that_is_allowed(lone, client):
    one = client(lone(rules=Rules(allows_clear=True)))
    assert one.create().status == 200
    assert one.lone.server.clear_bodies == 1, "it is counted all the same"


@pytest.mark.parametrize("password", ["wrong", "", "p"])
def test_a_wrong_password_is_refused_and_counted(lone, client, tls, password):
    one = client(lone(tls), password=password)
    assert one.create().status == 401
    assert (one.lone.server.refused_logins, one.lone.server.log) == (1, [])


@pytest.mark.parametrize("way", ["basic", "negotiate", "certificate"])
def test_only_the_ways_that_are_allowed_are_offered(at_hand, way):
    offered = at_hand(rules=Rules(ways=frozenset({way}))).post(headers={}).headers
    expected = {"basic": ['Basic realm="WSMAN"'], "negotiate": ["Negotiate"]}
    assert offered.get_all("WWW-Authenticate") == expected.get(way)


def test_a_certificate_must_be_there_to_be_believed(at_hand):
    one = at_hand()
    assert one.post(headers={"Authorization": MUTUAL}).status == 401
    assert one.lone.server.refused_logins == 1


@pytest.mark.parametrize("header", ["Digest x", "Negotiate", "Negotiate ===", "Basic ===", "x"])
def test_a_login_that_makes_no_sense_is_refused(at_hand, header):
    assert at_hand().post(headers={"Authorization": header}).status == 401


@pytest.mark.parametrize("token", [b"NTLMSSP\x00\x01\x00\x00\x00", b"NTLMSSP\x00\x03", b"\x60\x00"])
def test_a_damaged_token_is_refused(at_hand, token):
    one = at_hand()
    answer = one.post(headers=authorized("Negotiate", token))
    assert (answer.status, "Negotiate" in answer.headers["WWW-Authenticate"]) == (401, True)
    assert one.create().status == 200, "the connection goes on"


@pytest.mark.parametrize("protocol", ["ntlm", "negotiate"])
@pytest.mark.parametrize("scheme", ["Negotiate", "NTLM"])
def test_ntlm_logs_in_a_connection_and_seals_it(lone, client, account, protocol, scheme):
    one = client(lone())
    context, answer = log_in(one, account, scheme=scheme, protocol=protocol)
    assert (answer.status, answer.body) == (200, "")
    for _ in range(3):
        message = one.message("no such action")
        body, headers = sealed(context, message)
        one.http.request("POST", "/wsman", body, headers)
        response = one.http.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (500, CONTENT_TYPE)
        signature, data, size_bytes = unpack_sealed(response.read())
        opened = context.unwrap_winrm(signature, data)
        assert len(opened) == size_bytes
        assert b"a:ActionNotSupported" in opened


def test_a_body_in_clear_over_a_sealed_connection_is_refused_and_counted(lone, client, account):
    one = client(lone())
    log_in(one, account)
    assert one.lone.server.clear_bodies == 0
    answer = one.post(one.message("secret"), headers={})
    assert (answer.status, answer.body) == (500, "")
    assert (one.lone.server.clear_bodies, one.lone.server.log) == (1, [])


def test_a_seal_does_not_hold_on_another_connection(lone, client, account):
    place = lone()
    context, _ = log_in(client(place), account)
    body, headers = sealed(context, b"<x/>")
    other = client(place)
    log_in(other, account)
    answer = other.post(body, headers=headers)
    assert (answer.status, answer.body) == (400, "")


def test_a_sealed_body_of_a_stranger_is_400_or_401(lone, client, account):
    place = lone()
    context, _ = log_in(client(place), account)
    body, headers = sealed(context, b"<x/>")
    assert client(place).post(body, headers=headers).status in {400, 401}


@pytest.mark.parametrize("body", [b"", b"--Encrypted Boundary\r\n", b"x" * 100])
def test_a_damaged_seal_is_400(lone, client, account, body):
    one = client(lone())
    log_in(one, account)
    assert one.post(body, headers={"Content-Type": CONTENT_TYPE}).status == 400


def test_a_wrong_ntlm_password_may_be_followed_by_the_right_one(lone, client, account):
    one = client(lone())
    _, answer = log_in(one, account, password="wrong")
    assert (answer.status, one.lone.server.refused_logins) == (401, 1)
    assert log_in(one, account)[1].status == 200


@pytest.mark.parametrize("user", ["drill", "DRILL", ".\\drill", "LAB\\drill", "drill@LAB"])
def test_all_names_of_an_account_are_one_owner(lone, client, account, user):
    one = client(lone())
    context, _ = log_in(one, account, user=user)
    action = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create"
    shell = '<rsp:Shell xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"/>'
    body, headers = sealed(context, one.message(action, shell))
    one.post(body, headers=headers)
    assert [shell.owner for shell in one.lone.server.shells] == ["drill"]


def test_the_file_of_accounts_is_private_and_holds_no_password(tmp_path):
    Accounts(tmp_path, Account("drill", "secret:one"))
    (file,) = tmp_path.glob("ntlm-*")
    text = file.read_text()
    assert "secret" not in text
    assert all(line.count(":") == 5 for line in text.splitlines())
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("user", ["a:b", "a\\b", "a@b", "a\nb"])
def test_a_name_the_file_cannot_hold_is_refused(tmp_path, user):
    with pytest.raises(ValueError, match="cannot be the name"):
        Accounts(tmp_path, Account(user, "x"))


def test_two_labs_in_a_process_do_not_mix_up_their_accounts(tmp_path, lone, client):
    one, other = client(lone()), client(lone())
    Accounts(tmp_path, Account("drill", "quite another"))
    for where in (one, other, one):
        assert log_in(where, where.lone.server.accounts.all[0])[1].status == 200


def test_no_password_stands_in_the_text_of_an_account(account):
    assert account.password not in repr(account)


def test_the_user_of_a_name_is_what_remains_without_its_domain():
    assert {user_of(n) for n in ("A", ".\\a", "B\\A", "a@b.c", "B\\a@b")} == {"a"}


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_md4_gives_the_digests_of_its_rfc(text, digest):
    assert md4(text.encode()).hex() == digest


def test_requests_meets_an_ordinary_web_server(lone, tls, ca_file):
    answer = requests.post(lone(tls).url, verify=str(ca_file), timeout=5, proxies={"no_proxy": "*"})
    assert (answer.status_code, answer.reason) == (401, "Unauthorized")
