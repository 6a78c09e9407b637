from __future__ import annotations

import os
import stat
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from outagekit.credentials import (
    KEYRING_SERVICE,
    BadReference,
    SecretRef,
    Vault,
    store_secret,
    terminal_prompt,
)
from outagekit.credentials.trusted import TrustedDigests
from outagekit.errors import InvalidInput, Refused, StoppedByPerson, UsageError

VALUE = "zebra-crossing-7"
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits")


class FakeKeyring:
    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.questions = 0

    def get_password(self, service, username, /):
        self.questions += 1
        return self.entries.get((service, username))

    def set_password(self, service, username, password, /):
        self.entries[(service, username)] = password


class Everything:
    def knows(self, digest, /):
        return True


def resolve(vault, written, *, client="acme", endpoint="acme/pos-01", label="admin password"):
    return vault.resolve(SecretRef.parse(written), client=client, endpoint=endpoint, label=label)


def python(code):
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("written", "reference", "described"),
    [
        ("keyring:acme-admin", SecretRef("keyring", "acme-admin"), "keyring:acme-admin"),
        ("env:ACME_PW", SecretRef("env", "ACME_PW"), "env:ACME_PW"),
        ("file:~/acme", SecretRef("file", "~/acme"), "file:~/acme"),
        ("file:/etc/acme", SecretRef("file", "/etc/acme"), "file:/etc/acme"),
        ("file:C:\\acme.txt", SecretRef("file", "C:\\acme.txt"), "file:C:\\acme.txt"),
        ("prompt", SecretRef("prompt"), "prompt"),
        ("cmd:get-pass", SecretRef("cmd", argv=("get-pass",)), "cmd:get-pass"),
        (["op", "read", "x"], SecretRef("cmd", argv=("op", "read", "x")), "cmd:op …"),
        ({"cmd": ["op", "read"]}, SecretRef("cmd", argv=("op", "read")), "cmd:op …"),
        ({"cmd": "op"}, SecretRef("cmd", argv=("op",)), "cmd:op"),
    ],
)
def test_a_reference_is_read_and_described(written, reference, described):
    assert SecretRef.parse(written) == reference
    assert reference.describe() == described
    assert msgspec.json.decode(msgspec.json.encode(reference), type=SecretRef) == reference


@pytest.mark.parametrize(
    "written",
    [
        VALUE,
        "",
        f"keyrng:{VALUE}",
        f"{VALUE}:x",
        f"keyring:{VALUE}\n",
        "keyring:",
        f"env:{VALUE}",
        f"file:{VALUE}",
        f"prompt:{VALUE}",
        f"cmd:sh -c {VALUE}",
        "cmd:",
        [],
        [""],
        [VALUE, 7],
        [f"{VALUE}\0"],
        {"cmd": []},
        {"cmd": {VALUE: 1}},
        {"password": VALUE},
        7,
        None,
    ],
)
def test_what_is_no_reference_is_refused_without_being_repeated(written):
    with pytest.raises(BadReference) as caught:
        SecretRef.parse(written)
    assert isinstance(caught.value, ValueError)
    assert caught.value.exit_code == 8
    assert VALUE not in f"{caught.value!r} {caught.value.message} {caught.value.hint}"
    assert caught.value.hint


def test_a_literal_password_is_told_why_and_a_slip_is_corrected():
    with pytest.raises(BadReference, match="only a reference") as caught:
        SecretRef.parse(VALUE)
    assert "secret set" in caught.value.hint
    with pytest.raises(BadReference) as caught:
        SecretRef.parse("keyrng:acme")
    assert caught.value.hint.startswith("did you mean keyring:?")


def test_a_stored_secret_is_found_again():
    keyring = FakeKeyring()
    reference = store_secret("acme-admin", VALUE, keyring=keyring)
    assert keyring.entries == {(KEYRING_SERVICE, "acme-admin"): VALUE}
    assert KEYRING_SERVICE == "outagekit"
    assert reference == SecretRef.parse("keyring:acme-admin")
    assert resolve(Vault(keyring=keyring), "keyring:acme-admin") == VALUE


@pytest.mark.parametrize(
    ("name", "value"), [("", VALUE), ("a\nb", VALUE), ("a", ""), ("a", "x\0y")]
)
def test_what_cannot_be_stored_is_refused(name, value):
    keyring = FakeKeyring()
    with pytest.raises(InvalidInput):
        store_secret(name, value, keyring=keyring)
    assert keyring.entries == {}


def test_a_missing_keyring_entry_names_the_command_that_stores_it():
    with pytest.raises(InvalidInput) as caught:
        resolve(Vault(keyring=FakeKeyring()), "keyring:acme-admin")
    assert caught.value.hint == "outagekit secret set acme-admin"


def test_a_machine_without_keyring_says_so(monkeypatch):
    monkeypatch.setattr("keyring.core._keyring_backend", NoKeyring())
    with pytest.raises(InvalidInput, match="cannot be used") as caught:
        resolve(Vault(), "keyring:acme-admin")
    assert "env:NAME" in caught.value.hint
    with pytest.raises(InvalidInput, match="cannot be used") as caught:
        store_secret("acme-admin", VALUE)
    assert caught.value.__context__ is None


def test_the_keyring_is_asked_once_per_client():
    keyring = FakeKeyring()
    store_secret("shared", VALUE, keyring=keyring)
    vault = Vault(keyring=keyring)
    for endpoint in ("acme/a", "acme/b"):
        resolve(vault, "keyring:shared", endpoint=endpoint)
    assert keyring.questions == 1
    resolve(vault, "keyring:shared", client="other", endpoint="other/a")
    assert keyring.questions == 2


def test_a_locked_keyring_is_asked_once_not_once_per_endpoint():
    class Locked(FakeKeyring):
        def get_password(self, service, username, /):
            super().get_password(service, username)
            raise InvalidInput("locked", hint="unlock it")

    keyring = Locked()
    vault = Vault(keyring=keyring)
    for _ in range(3):
        with pytest.raises(InvalidInput, match="locked") as caught:
            resolve(vault, "keyring:acme-admin")
        assert caught.value.hint == "unlock it"
    assert keyring.questions == 1


def test_an_environment_variable_is_read(monkeypatch):
    monkeypatch.setenv("ACME_PW", VALUE)
    assert resolve(Vault(), "env:ACME_PW") == VALUE


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_or_empty_is_an_error(monkeypatch, value):
    monkeypatch.delenv("ACME_PW", raising=False)
    if value is not None:
        monkeypatch.setenv("ACME_PW", value)
    with pytest.raises(InvalidInput, match="ACME_PW is not set"):
        resolve(Vault(), "env:ACME_PW")


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(VALUE.encode() + b"\r\n")
    path.chmod(0o600)
    return path


def test_a_private_file_is_read_without_its_line_end(secret_file):
    assert resolve(Vault(), f"file:{secret_file}") == VALUE


def test_a_file_in_the_home_folder_is_found(tmp_path):
    path = tmp_path / "home" / "pw"
    path.write_text(VALUE)
    path.chmod(0o600)
    assert resolve(Vault(), "file:~/pw") == VALUE


@posix_only
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_others_can_use_is_refused(secret_file, mode):
    secret_file.chmod(mode)
    with pytest.raises(InvalidInput, match="others than you") as caught:
        resolve(Vault(), f"file:{secret_file}")
    assert caught.value.hint.startswith("chmod 600 ")


@posix_only
def test_a_link_is_judged_by_the_file_it_leads_to(secret_file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(secret_file)
    assert resolve(Vault(), f"file:{link}") == VALUE
    secret_file.chmod(0o644)
    with pytest.raises(InvalidInput, match="others than you"):
        resolve(Vault(), f"file:{link}")


@posix_only
def test_a_pipe_or_folder_in_the_place_of_a_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidInput, match="not a regular file"):
        resolve(Vault(), f"file:{tmp_path / 'pipe'}")
    with pytest.raises(InvalidInput, match="directory"):
        resolve(Vault(), f"file:{tmp_path}")


@posix_only
def test_a_file_of_another_user_is_refused(secret_file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: secret_file.stat().st_uid + 1)
    with pytest.raises(InvalidInput, match="another user"):
        resolve(Vault(), f"file:{secret_file}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "too long or binary"),
        (b"a" * 70_000, "too long or binary"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(secret_file, content, message):
    secret_file.write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        resolve(Vault(), f"file:{secret_file}")
    assert caught.value.__context__ is None


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        resolve(Vault(), f"file:{tmp_path / 'none'}")


def test_a_prompt_asks_once_per_client_and_label():
    asked = []

    def prompt(text):
        asked.append(text)
        return VALUE

    vault = Vault(prompt=prompt)
    vault.prepare(SecretRef("prompt"), client="acme", label="admin password")
    for endpoint in ("acme/a", "acme/b"):
        assert resolve(vault, "prompt", endpoint=endpoint) == VALUE
    assert asked == ["admin password for acme: "]
    resolve(vault, "prompt", label="sudo password")
    resolve(vault, "prompt", client="other")
    assert asked[1:] == ["sudo password for acme: ", "admin password for other: "]


def test_without_a_terminal_a_prompt_names_what_to_use_instead(monkeypatch):
    with pytest.raises(UsageError) as caught:
        resolve(Vault(prompt=None), "prompt")
    assert caught.value.exit_code == 2
    assert "keyring:NAME" in caught.value.hint
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert terminal_prompt() is None
    monkeypatch.setattr(sys, "stdin", None)
    assert terminal_prompt() is None


@posix_only
def test_on_a_terminal_what_is_typed_is_not_shown(monkeypatch):
    pty = pytest.importorskip("pty")
    main, side = pty.openpty()
    with os.fdopen(side, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert terminal_prompt() is not None
    os.close(main)


def test_a_person_who_types_nothing_stops_and_is_not_asked_again():
    answers = iter(["", VALUE])
    vault = Vault(prompt=lambda _: next(answers))
    for _ in range(2):
        with pytest.raises(StoppedByPerson):
            resolve(vault, "prompt")

    def end(_):
        raise EOFError

    with pytest.raises(StoppedByPerson):
        resolve(Vault(prompt=end), "prompt")


def test_a_prompt_shows_no_control_characters():
    asked = []
    resolve(Vault(prompt=lambda text: asked.append(text) or VALUE), "prompt", label="\x1b[2J")
    assert asked == [r"\x1b[2J for acme: "]


def test_a_command_gives_the_secret_of_its_endpoint():
    code = "import os; print(os.environ['OK_CLIENT'], os.environ['OK_ENDPOINT'], '$HOME')"
    vault = Vault(trusted=Everything())
    assert resolve(vault, python(code)) == "acme acme/pos-01 $HOME"
    assert resolve(vault, python(code), endpoint="acme/b") == "acme acme/b $HOME"


def test_a_command_runs_once_per_endpoint(tmp_path):
    counter = tmp_path / "count"
    code = f"open({str(counter)!r}, 'a').write('x'); print('{VALUE}')"
    vault = Vault(trusted=Everything())
    for endpoint in ("acme/a", "acme/a", "acme/b"):
        resolve(vault, python(code), endpoint=endpoint)
    assert counter.read_text() == "xx"


def test_an_untrusted_command_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    reference = SecretRef.parse(python(f"open({str(marker)!r}, 'w')"))
    trusted = TrustedDigests(tmp_path / "state" / "trusted_commands.json")
    vault = Vault(trusted=trusted)
    for attempt in (
        lambda: vault.prepare(reference, client="acme", label="x"),
        lambda: vault.resolve(reference, client="acme", endpoint="acme/a", label="x"),
        lambda: Vault().prepare(reference, client="acme", label="x"),
    ):
        with pytest.raises(Refused) as caught:
            attempt()
        assert caught.value.exit_code == 10
    assert not marker.exists()
    trusted.add(reference.digest, reference.command_line(), NOW)
    vault.prepare(reference, client="acme", label="x")
    assert not marker.exists()
    with pytest.raises(InvalidInput, match="is empty"):
        vault.resolve(reference, client="acme", endpoint="acme/a", label="x")
    assert marker.exists()


def test_another_argument_is_another_command():
    digests = {SecretRef.parse(argv).digest for argv in (["a"], ["a", "b"], ["a b"], ["a", "c"])}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (f"import sys; print('{VALUE}'); print('{VALUE}', file=sys.stderr); sys.exit(3)", "code 3"),
        ("pass", "empty"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "not UTF-8"),
    ],
)
def test_a_command_that_gives_no_secret_is_an_error_that_shows_none(code, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        resolve(Vault(trusted=Everything()), python(code))
    assert VALUE not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.__context__ is None


def test_a_command_has_no_input_to_wait_for():
    code = f"import sys; print('{VALUE}' + sys.stdin.read())"
    assert resolve(Vault(trusted=Everything()), python(code)) == VALUE


@posix_only
def test_a_command_that_hangs_is_ended_with_its_children(tmp_path):
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); "
        f"print('{VALUE}', flush=True); time.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(InvalidInput, match="within 1 s") as caught:
        resolve(Vault(trusted=Everything(), command_limit_s=1), python(code))
    assert time.monotonic() - begun < 6
    assert caught.value.__context__ is None
    child = int(pid_file.read_text())
    for _ in range(100):
        if not alive(child):
            break
        time.sleep(0.02)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # Nobody may have collected it yet.
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("program", ["no-such-program-here", "./get", "sub/get"])
def test_a_program_that_is_not_in_path_or_absolute_is_refused(tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("get", "sub/get"):
        (tmp_path / name).write_text("#!/bin/sh\necho x\n")
        (tmp_path / name).chmod(0o700)
    with pytest.raises(InvalidInput, match="neither in PATH"):
        resolve(Vault(trusted=Everything()), [program])


@posix_only
def test_a_program_in_the_current_folder_is_not_taken_from_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    (tmp_path / "get").write_text("#!/bin/sh\necho x\n")
    (tmp_path / "get").chmod(0o700)
    with pytest.raises(InvalidInput, match="neither in PATH"):
        resolve(Vault(trusted=Everything()), ["get"])


def test_a_failed_command_may_be_tried_again(tmp_path):
    flag = tmp_path / "flag"
    code = (
        f"import os, sys; p = {str(flag)!r}; "
        f"print('{VALUE}') if os.path.exists(p) else (open(p, 'w'), sys.exit(1))"
    )
    vault = Vault(trusted=Everything())
    with pytest.raises(InvalidInput):
        resolve(vault, python(code))
    assert resolve(vault, python(code)) == VALUE


def test_many_lanes_ask_one_person_once():
    asked = []

    def prompt(text):
        asked.append(text)
        time.sleep(0.02)
        return VALUE

    vault = Vault(prompt=prompt)
    answers = []
    lanes = [
        threading.Thread(target=lambda: answers.append(resolve(vault, "prompt"))) for _ in range(16)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert answers == [VALUE] * 16
    assert len(asked) == 1


def test_the_vault_shows_no_secret(monkeypatch):
    monkeypatch.setenv("ACME_PW", VALUE)
    vault = Vault()
    assert resolve(vault, "env:ACME_PW", label="admin password") == VALUE
    assert VALUE not in repr(vault)
    assert VALUE not in str(vault)


@pytest.fixture
def trusted(tmp_path):
    return TrustedDigests(tmp_path / "state" / "trusted_commands.json")


def test_what_was_trusted_is_known_to_the_next_process(trusted, tmp_path):
    path = tmp_path / "state" / "trusted_commands.json"
    assert not trusted.knows("aa")
    trusted.add("aa", "op read x", NOW)
    TrustedDigests(path).add("bb", "a playbook", NOW)
    assert trusted.knows("aa")
    assert trusted.knows("bb")
    assert not trusted.knows("cc")
    assert [(t.what, t.at) for t in trusted.all().values()] == [
        ("op read x", "2026-11-22T08:00:00Z"),
        ("a playbook", "2026-11-22T08:00:00Z"),
    ]
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@posix_only
def test_a_trust_file_others_could_have_written_proves_nothing(trusted, tmp_path):
    trusted.add("aa", "x", NOW)
    (tmp_path / "state" / "trusted_commands.json").chmod(0o620)
    for attempt in (lambda: trusted.knows("aa"), lambda: trusted.add("bb", "y", NOW)):
        with pytest.raises(Refused, match="proves no trust"):
            attempt()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"aa": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_trust_file_is_an_error_of_ours(trusted, tmp_path, content):
    trusted.add("aa", "x", NOW)
    (tmp_path / "state" / "trusted_commands.json").write_bytes(content)
    with pytest.raises(InvalidInput, match="damaged"):
        trusted.knows("aa")


def test_a_trust_file_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be used"):
        TrustedDigests(tmp_path / "file" / "trusted.json").add("aa", "x", NOW)


def test_trust_given_by_many_at_once_is_not_lost(tmp_path):
    path = tmp_path / "trusted.json"
    names = [f"{number:02}" for number in range(12)]
    people = [
        threading.Thread(target=lambda name=name: TrustedDigests(path).add(name, name, NOW))
        for name in names
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert sorted(TrustedDigests(path).all()) == names
