"""Private keys: every common form, and clear words for what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from outagekit.transports.ssh.keys import BadKeyError, load_key

if TYPE_CHECKING:
    from conftest import Bench

FORMS = serialization.PrivateFormat
MADE = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def write(path: Path, kind: str, form: FORMS, phrase: bytes = b"") -> Path:
    guard: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if phrase:
        guard = serialization.BestAvailableEncryption(phrase)
    path.write_bytes(MADE[kind]().private_bytes(serialization.Encoding.PEM, form, guard))
    return path


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (kind, form)
        for kind in MADE
        for form in (FORMS.OpenSSH, FORMS.PKCS8, FORMS.TraditionalOpenSSL)
        if (kind, form) != ("ed25519", FORMS.TraditionalOpenSSL)
    ],
)
@pytest.mark.parametrize("phrase", ["", "s3cret phrase"])
def test_keys_of_every_common_form_are_read(
    tmp_path: Path, kind: str, form: FORMS, phrase: str
) -> None:
    path = write(tmp_path / "key", kind, form, phrase.encode())
    loaded = load_key(str(path), passphrase=phrase or None, certificate=None)
    assert loaded.key.can_sign()
    assert str(path) in loaded.name


def test_a_passphrase_nobody_needs_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "ed25519", FORMS.OpenSSH)
    assert load_key(str(path), passphrase="needless", certificate=None).key.can_sign()


@pytest.mark.parametrize(
    ("phrase", "words"), [(None, "needs a passphrase"), ("wrong-phrase", "passphrase is wrong")]
)
@pytest.mark.parametrize("form", [FORMS.OpenSSH, FORMS.PKCS8])
def test_a_locked_key_says_what_is_missing(
    tmp_path: Path, form: FORMS, phrase: str | None, words: str
) -> None:
    path = write(tmp_path / "key", "ed25519", form, b"the right phrase")
    with pytest.raises(BadKeyError, match=words) as caught:
        load_key(str(path), passphrase=phrase, certificate=None)
    assert "wrong-phrase" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no key", b"x" * 100_000, b"\xff\x00PRIVATE KEY"])
def test_a_file_that_is_no_key_is_named_without_its_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(BadKeyError) as caught:
        load_key(str(path), passphrase=None, certificate=None)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_kind_no_server_takes_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = ed448.Ed448PrivateKey.generate()
    path.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, FORMS.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(BadKeyError, match="make an ed25519 key"):
        load_key(str(path), passphrase=None, certificate=None)


def test_a_key_is_loaded_once_until_it_changes(bench: Bench, tmp_path: Path) -> None:
    path = bench.key(tmp_path / "key")
    first = load_key(str(path), passphrase=None, certificate=None).key
    assert load_key(str(path), passphrase=None, certificate=None).key is first
    path.unlink()
    bench.key(path, "ecdsa")
    assert load_key(str(path), passphrase=None, certificate=None).key is not first


def test_a_decrypted_key_is_not_given_out_without_its_passphrase(
    bench: Bench, tmp_path: Path
) -> None:
    path = bench.key(tmp_path / "key", passphrase="the phrase")
    load_key(str(path), passphrase="the phrase", certificate=None)
    with pytest.raises(BadKeyError):
        load_key(str(path), passphrase=None, certificate=None)


def test_a_certificate_of_another_key_is_refused(bench: Bench, tmp_path: Path) -> None:
    key, other = bench.key(tmp_path / "key"), bench.key(tmp_path / "other", "ecdsa")
    for wrong in (other.with_suffix(".pub"), key.with_suffix(".pub"), key, tmp_path / "none"):
        with pytest.raises(BadKeyError):
            load_key(str(key), passphrase=None, certificate=str(wrong))
