"""Who we are to a service, and what cannot be shown to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential
from outagekit.transports.protocol import Failure
from outagekit.transports.winrm.login import Login, login_fault, login_of

PASSWORD = SecretRef("env", "ACME_ADMIN")
PHRASE = SecretRef("env", "ACME_PHRASE")


def reveal(reference, label):
    return f"the {reference.value}"


def test_a_credential_becomes_a_login_with_its_password():
    credential = Credential(name="admin", user="ACME\\ops", password=PASSWORD, key="~/.ssh/acme")
    login = login_of("acme", credential, reveal)
    assert login == Login(
        client="acme", user="ACME\\ops", auth="ntlm", password="the ACME_ADMIN", name="admin"
    )


def test_a_certificate_login_takes_files_and_passphrase_and_no_password():
    credential = Credential(
        name="admin",
        user="ops",
        auth="certificate",
        password=PASSWORD,
        key="~/acme.key",
        certificate="~/acme.pem",
        passphrase=PHRASE,
    )
    login = login_of("acme", credential, reveal)
    assert (login.key, login.certificate) == (Path.home() / "acme.key", Path.home() / "acme.pem")
    assert (login.password, login.passphrase) == (None, "the ACME_PHRASE")


def test_a_secret_that_cannot_be_had_is_local():
    def nothing(reference, label):
        raise InvalidInput(f"{label} is not there")

    credential = Credential(name="admin", user="ops", password=PASSWORD)
    failure = login_of("acme", credential, nothing)
    assert failure == Failure(FailureKind.LOCAL_IO, "admin password is not there")


def test_no_secret_shows_in_a_repr():
    login = Login(client="acme", user="ops", password="pass-word-1", passphrase="phrase-word-2")
    assert "word" not in repr(login)
    assert "pass-word-1" not in login.redactor.clean("x pass-word-1 phrase-word-2")


@pytest.mark.parametrize(
    ("user", "account", "local"),
    [
        ("ACME\\ops", "ACME\\ops", False),
        ("ops@acme.example", "ops@acme.example", False),
        (".\\ops", "ops", True),
        ("ops", "ops", True),
    ],
)
def test_users_of_all_forms(user, account, local):
    login = Login(client="acme", user=user, password="x")
    assert (login.account, login.is_local) == (account, local)


@pytest.mark.parametrize(
    ("facts", "scheme", "part"),
    [
        ({"user": "ops", "password": ""}, "http", "needs a user and a password"),
        ({"user": "", "password": "x"}, "http", "needs a user and a password"),
        ({"user": "ops"}, "http", "needs a user and a password"),
        ({"user": ".\\", "password": "x"}, "http", "needs a user and a password"),
        ({"user": "ops", "auth": "basic"}, "https", "needs a user and a password"),
        ({"user": "o:s", "auth": "basic", "password": "x"}, "https", "colon"),
        ({"user": "опс", "auth": "basic", "password": "x"}, "https", "Latin-1"),
        ({"user": "ops", "auth": "basic", "password": "x"}, "http", "https only"),
        ({"user": "ops", "auth": "certificate"}, "https", "certificate and its key"),
        ({"user": "ops", "auth": "certificate"}, "http", "https only"),
        ({"user": "ACME\\ops", "auth": "kerberos"}, "https", "user@REALM"),
        ({"user": "ops@ACME", "auth": "kerberos", "password": ""}, "http", "empty"),
        ({"user": "", "auth": "kerberos"}, "http", "user@REALM"),
        ({"user": "ops", "auth": "kerberos", "password": "a\nb"}, "http", "control"),
    ],
)
def test_what_must_not_or_cannot_be_tried(facts, scheme, part):
    failure = login_fault(Login(client="acme", **facts), scheme)
    assert failure is not None
    assert part in failure.detail


@pytest.mark.parametrize(
    ("facts", "scheme"),
    [
        ({"user": "ops", "password": "пароль"}, "http"),
        ({"user": "ops", "auth": "basic", "password": "größe"}, "https"),
        ({"user": "ops", "auth": "kerberos"}, "http"),
        ({"user": "ops@acme", "auth": "kerberos", "password": "x"}, "http"),
    ],
)
def test_what_may_be_tried(facts, scheme):
    assert login_fault(Login(client="acme", **facts), scheme) is None
