"""Connecting: host keys, logins and machine ids against a real OpenSSH server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.events import EndState, FailureKind
from outagekit.transports.protocol import Failure, Opened
from outagekit.transports.trust.scan import scan_key

if TYPE_CHECKING:
    from conftest import Bench, Sshd


def failed(result: Opened | Failure, kind: FailureKind) -> Failure:
    assert isinstance(result, Failure), result
    assert result.kind is kind, result
    assert not result.sent
    return result


def logins(server: Sshd) -> str:
    return (server.folder / "sshd.log").read_text()


def test_the_first_contact_pins_the_machine(bench: Bench, sshd: Sshd) -> None:
    first = bench.to(sshd).open()
    again = bench.to(sshd).open()
    assert isinstance(first, Opened)
    assert isinstance(again, Opened)
    assert (first.first_contact, again.first_contact) == (True, False)
    assert first.machine_id == Path("/etc/machine-id").read_text().strip()
    assert first.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert first.key == sshd.key.fingerprint
    assert bench.trust.machine_of("acme", "web-01") == first.machine_id


def test_another_machine_under_the_same_name_is_refused(bench: Bench, sshd: Sshd) -> None:
    bench.trust.pin_machine("acme", "web-01", "f" * 32)
    transport = bench.to(sshd)
    failure = failed(transport.open(), FailureKind.WRONG_MACHINE)
    assert failure.state is EndState.FAILED
    assert "f" * 32 in failure.detail
    assert not transport.alive


def test_an_unknown_host_key_is_refused_with_the_way_to_trust_it(
    bench: Bench, sshd_with: Callable[..., Sshd]
) -> None:
    server = sshd_with(options=("LogLevel VERBOSE",))
    failure = failed(bench.to(server, trusted=False).open(), FailureKind.HOST_KEY)
    assert failure.state is EndState.FAILED
    assert server.key.fingerprint in failure.detail
    assert "outagekit trust add acme/web-01" in failure.detail
    server.stop()
    # Nothing of ours was offered to a stranger.
    assert "root" not in logins(server)
    assert "key" not in logins(server).lower().replace("hostkey", "")


def test_a_changed_host_key_is_refused_with_both_fingerprints(
    bench: Bench, sshd: Sshd, user_key: Path
) -> None:
    bench.trust.add("acme", sshd.address, sshd.port, bench.public(user_key))
    failure = failed(bench.to(sshd, trusted=False).open(), FailureKind.HOST_KEY)
    assert sshd.key.fingerprint in failure.detail
    assert bench.public(user_key).fingerprint in failure.detail


def test_trust_of_one_client_is_none_for_another(bench: Bench, sshd: Sshd) -> None:
    bench.trust.add("other", sshd.address, sshd.port, sshd.key)
    failed(bench.to(sshd, trusted=False).open(), FailureKind.HOST_KEY)


def test_the_secret_is_not_even_resolved_for_a_stranger(bench: Bench, sshd: Sshd) -> None:
    credential = bench.login(password=SecretRef("keyring", "pw"))
    failed(bench.to(sshd, trusted=False, credential=credential).open(), FailureKind.HOST_KEY)
    assert bench.asked == []


@pytest.mark.parametrize("trusted", ["ed25519", "ecdsa", "rsa"])
def test_of_several_host_keys_the_trusted_one_is_asked_for(
    bench: Bench, sshd_with: Callable[..., Sshd], trusted: str
) -> None:
    server = sshd_with(host_keys=("rsa", "ecdsa", "ed25519"))
    key = bench.public(server.folder / f"host_{trusted}")
    bench.trust.add("acme", server.address, server.port, key)
    opened = bench.to(server, trusted=False).open()
    assert isinstance(opened, Opened), opened
    assert opened.key == key.fingerprint


def test_a_trusted_type_the_server_lost_is_a_changed_key(
    bench: Bench, sshd_with: Callable[..., Sshd], user_key: Path
) -> None:
    server = sshd_with(host_keys=("rsa",))
    bench.trust.add("acme", server.address, server.port, bench.public(user_key))
    failure = failed(bench.to(server, trusted=False).open(), FailureKind.HOST_KEY)
    assert "ssh-rsa" in failure.detail
    assert "ssh-ed25519" in failure.detail


def test_scanning_a_key_needs_no_trust(sshd: Sshd) -> None:
    assert scan_key(sshd.address, sshd.port) == sshd.key


def test_the_wrong_key_is_refused_and_named(bench: Bench, sshd: Sshd, user_key: Path) -> None:
    transport = bench.to(sshd, credential=bench.login(user_key))
    failure = failed(transport.open(), FailureKind.AUTH)
    assert failure.state is EndState.FAILED
    assert str(user_key) in failure.detail


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_of_every_common_kind_open_the_door(
    bench: Bench, sshd_with: Callable[..., Sshd], tmp_path: Path, kind: str
) -> None:
    key = bench.key(tmp_path / "mine", kind, "the passphrase")
    server = sshd_with()
    (server.folder / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
    bench.secrets["phrase"] = "the passphrase"
    credential = bench.login(key, passphrase=SecretRef("keyring", "phrase"))
    assert isinstance(bench.to(server, credential=credential).open(), Opened)


def test_a_certificate_opens_the_door(
    bench: Bench, sshd_with: Callable[..., Sshd], tmp_path: Path, user_key: Path
) -> None:
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip("ssh-keygen is not installed")
    authority = bench.key(tmp_path / "authority")
    server = sshd_with(options=(f"TrustedUserCAKeys {authority.with_suffix('.pub')}",))
    user = bench.login().user
    subprocess.run(
        [keygen, "-q", "-s", authority, "-I", "me", "-n", user, user_key.with_suffix(".pub")],
        check=True,
    )
    certificate = f"{user_key}-cert.pub"
    without = bench.to(server, credential=bench.login(user_key))
    failed(without.open(), FailureKind.AUTH)
    credential = bench.login(user_key, certificate=certificate)
    assert isinstance(bench.to(server, credential=credential).open(), Opened)


def test_without_a_credential_the_default_keys_are_tried(
    bench: Bench, sshd: Sshd, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    bench.key(folder / "id_ed25519")
    bench.key(folder / "id_ecdsa", "ecdsa", "locked")
    failed(bench.to(sshd, credential=None).open(), FailureKind.AUTH)
    shutil.copy(sshd.user_key, folder / "id_rsa")
    assert isinstance(bench.to(sshd, credential=None).open(), Opened)


def test_a_credential_without_agent_leaves_the_default_keys_alone(
    bench: Bench, sshd: Sshd, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    shutil.copy(sshd.user_key, folder / "id_ed25519")
    failure = failed(bench.to(sshd, credential=bench.login()).open(), FailureKind.AUTH)
    assert "nothing to log in with" in failure.detail


def test_the_agent_is_used_where_allowed(
    bench: Bench, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    place = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        while not place.exists():
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
        failed(bench.to(sshd, credential=bench.login()).open(), FailureKind.AUTH)
        credential = bench.login(agent=True)
        assert isinstance(bench.to(sshd, credential=credential).open(), Opened)
    finally:
        agent.terminate()
        agent.wait(5)


def test_a_hanging_agent_costs_the_login_deadline_only(
    bench: Bench, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place))
        silent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        began_s = time.monotonic()
        credential = bench.login(agent=True)
        result = bench.to(sshd, credential=credential, deadlines=bench.quick).open()
        assert isinstance(result, Failure)
        assert time.monotonic() - began_s < 3


def test_too_many_keys_are_explained(
    bench: Bench, sshd_with: Callable[..., Sshd], tmp_path: Path
) -> None:
    server = sshd_with(options=("MaxAuthTries 1",))
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    for name in ("id_ed25519", "id_ecdsa"):
        bench.key(folder / name)
    failure = failed(bench.to(server, credential=None).open(), FailureKind.AUTH)
    assert "Too many authentication failures" in failure.detail


def test_a_missing_key_file_is_a_local_fault(bench: Bench, sshd: Sshd, tmp_path: Path) -> None:
    credential = bench.login(tmp_path / "nowhere")
    failure = failed(bench.to(sshd, credential=credential).open(), FailureKind.LOCAL_IO)
    assert "nowhere" in failure.detail


def test_a_secret_that_cannot_be_had_is_a_local_fault(bench: Bench, sshd: Sshd) -> None:
    credential = bench.login(password=SecretRef("keyring", "gone"))
    failure = failed(bench.to(sshd, credential=credential).open(), FailureKind.LOCAL_IO)
    assert failure.detail == "this secret is not there"


def test_a_damaged_trust_folder_is_a_local_fault(bench: Bench, sshd: Sshd) -> None:
    transport = bench.to(sshd)
    (bench.trust.folder / "acme" / "machines.json").write_text("[]")
    failure = failed(transport.open(), FailureKind.LOCAL_IO)
    assert "machines.json is damaged" in failure.detail
    with pytest.raises(InvalidInput):
        bench.trust.machine_of("acme", "web-01")


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("KexAlgorithms diffie-hellman-group14-sha1", "KexAlgorithms"),
        ("Ciphers chacha20-poly1305@openssh.com", "Ciphers"),
        ("MACs umac-64@openssh.com", "MACs"),
        ("HostKeyAlgorithms ssh-rsa", "ssh-keygen -A"),
    ],
)
def test_an_old_server_is_told_what_to_change(
    bench: Bench, sshd_with: Callable[..., Sshd], option: str, what: str
) -> None:
    server = sshd_with(options=(option,), host_keys=("rsa",))
    failure = failed(bench.to(server).open(), FailureKind.HANDSHAKE)
    assert failure.state is EndState.UNREACHABLE
    assert what in failure.detail
    assert option.split()[1] in failure.detail


def test_an_endpoint_behind_a_port_forward_is_reached(bench: Bench, sshd: Sshd) -> None:
    bench.trust.add("acme", sshd.address, sshd.port, sshd.key)
    credential = bench.login(sshd.user_key)
    transport = bench.transport(sshd.address, None, ports={22: sshd.port}, credential=credential)
    assert isinstance(transport.open(), Opened)


def test_a_login_shell_that_runs_nothing_is_explained(
    bench: Bench, sshd_with: Callable[..., Sshd]
) -> None:
    server = sshd_with(options=("ForceCommand echo this account is closed",))
    failure = failed(bench.to(server).open(), FailureKind.PROTOCOL)
    assert "this account is closed" in failure.detail


def test_a_server_that_opens_no_session_is_explained(
    bench: Bench, sshd_with: Callable[..., Sshd]
) -> None:
    server = sshd_with(options=("MaxSessions 0",))
    failure = failed(bench.to(server).open(), FailureKind.PROTOCOL)
    assert "refused to run a command" in failure.detail


def test_idle_connections_wake_up_seldom_and_still_work(bench: Bench, sshd: Sshd) -> None:
    transport = bench.to(sshd)
    transport.open()
    session = transport._session
    assert session is not None
    status = Path(f"/proc/self/task/{session.native_id}/status")
    if not status.exists():
        pytest.skip("counts what Linux counts")

    def wake_ups() -> int:
        return int(status.read_text().split("voluntary_ctxt_switches:")[1].split()[0])

    time.sleep(0.2)
    before = wake_ups()
    time.sleep(1.0)
    # Ten times a second is what paramiko does by itself.
    assert wake_ups() - before <= 2
    began_s = time.monotonic()
    transport.abort()
    session.join(1)
    assert not session.is_alive()
    assert time.monotonic() - began_s < 0.5


def test_opening_leaves_no_thread_behind(bench: Bench, sshd: Sshd) -> None:
    transport = bench.to(sshd)
    transport.open()
    session = transport._session
    assert session is not None
    began_s = time.monotonic()
    transport.close()
    assert time.monotonic() - began_s < 1
    session.join(1)
    assert not session.is_alive()
    assert session.sock.fileno() == -1
