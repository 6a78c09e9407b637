"""Which keys are offered, in the order of `ssh`: with a real agent, and with certificates."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.transports.ssh.identities import offered
from outagekit.transports.ssh.keys import Agent, NamedKey, load_key
from outagekit.transports.ssh.ways.route import Server

if TYPE_CHECKING:
    from conftest import Bench


def server(*identities: Path, **facts: object) -> Server:
    named = tuple(map(str, identities)) or None
    return Server("web-01", 22, known_as="web-01", identities=named, **facts)


def held(path: Path) -> NamedKey:
    """A key as if the agent held it."""
    return NamedKey("agent", load_key(str(path), passphrase=None, certificate=None).key)


def names(path: Server, *agent: NamedKey) -> list[str]:
    return [key.name for key in offered(path, agent).keys]


def sign(authority: Path, key: Path) -> Path:
    """Return a certificate of a key, beside it."""
    words = ["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "ops", key.with_suffix(".pub")]
    subprocess.run(words, check=True, timeout=20)
    return key.with_name(f"{key.name}-cert.pub")


@pytest.fixture
def needs_tools() -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH's ssh-keygen is not installed")


def test_files_of_the_agent_come_first_then_its_others_then_files(
    bench: Bench, tmp_path: Path
) -> None:
    one, two, three = (bench.key(tmp_path / name) for name in ("one", "two", "three"))
    agent = [held(three), held(two)]
    found = offered(server(one, two), agent).keys
    assert [key.key for key in found[:2]] == [agent[1].key, agent[0].key]
    assert found[2].name == str(one)
    only = offered(server(one, two, identities_only=True), agent).keys
    assert [key.key for key in only] == [agent[1].key, found[2].key]


def test_a_public_key_alone_names_a_key_of_the_agent(bench: Bench, tmp_path: Path) -> None:
    one, two = bench.key(tmp_path / "one"), bench.key(tmp_path / "two")
    agent = [held(one), held(two)]
    two.unlink()
    for named in (two, two.with_suffix(".pub")):
        assert offered(server(named, identities_only=True), agent).keys == [agent[1]]


def test_a_locked_file_is_left_to_the_agent_and_told(bench: Bench, tmp_path: Path) -> None:
    path = bench.key(tmp_path / "locked", passphrase="the phrase")
    offer = offered(server(path), [])
    assert offer.keys == []
    assert "is encrypted" in offer.unfit[0]


def test_default_files_that_cannot_be_used_are_passed_over(bench: Bench) -> None:
    folder = Path.home() / ".ssh"
    folder.mkdir()
    bench.key(folder / "id_ed25519", passphrase="locked")
    (folder / "id_ecdsa").write_text("damaged")
    bench.key(folder / "id_rsa", "rsa")
    offer = offered(server(), [])
    assert [key.name for key in offer.keys] == ["~/.ssh/id_rsa"]
    assert offer.unfit == []


def test_no_file_at_all_is_none(bench: Bench, tmp_path: Path) -> None:
    (Path.home() / ".ssh").mkdir()
    bench.key(Path.home() / ".ssh" / "id_rsa", "rsa")
    assert offered(Server("a", 22, known_as="a", identities=()), []).keys == []


@pytest.mark.usefixtures("needs_tools")
def test_a_certificate_beside_its_key_is_offered_after_it(bench: Bench, tmp_path: Path) -> None:
    key = bench.key(tmp_path / "key")
    sign(bench.key(tmp_path / "authority"), key)
    plain, certified = offered(server(key), []).keys
    assert getattr(plain.key, "public_blob", None) is None
    assert certified.key.public_blob.key_type.startswith("ssh-ed25519-cert")


@pytest.mark.usefixtures("needs_tools")
def test_named_certificates_come_first_with_the_key_they_are_for(
    bench: Bench, tmp_path: Path
) -> None:
    authority = bench.key(tmp_path / "authority")
    one, two = bench.key(tmp_path / "one"), bench.key(tmp_path / "two")
    path = sign(authority, two).rename(tmp_path / "elsewhere")
    first, *others = offered(server(one, two, certificates=(str(path),)), []).keys
    assert first.key.asbytes() == held(two).key.asbytes()
    assert first.key.public_blob is not None
    assert [key.name for key in others] == [str(one), str(two)]
    lonely = offered(server(one, certificates=(str(path), "/none")), [])
    assert [key.name for key in lonely.keys] == [str(one)]
    assert len(lonely.unfit) == 2


@pytest.fixture
def agent_at(tmp_path: Path) -> Iterator[Callable[..., str]]:
    if sys.platform == "win32" or shutil.which("ssh-agent") is None:
        pytest.skip("OpenSSH's ssh-agent is not installed")
    running: list[subprocess.Popen[bytes]] = []
    path = str(tmp_path / "agent.sock")

    def start(*keys: Path) -> str:
        running.append(subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL))
        until_s = time.monotonic() + 10
        while not Path(path).exists():
            assert time.monotonic() < until_s
            time.sleep(0.02)
        for key in keys:
            words = ["ssh-add", "-q", str(key)]
            subprocess.run(words, env={"SSH_AUTH_SOCK": path}, check=True, timeout=20)
        return path

    yield start
    for process in running:
        process.terminate()
        process.wait(5)


def test_the_agent_a_config_names_is_asked(
    bench: Bench, tmp_path: Path, agent_at: Callable[..., str]
) -> None:
    key = bench.key(tmp_path / "key")
    agent = Agent(5.0, agent_at(key))
    assert [named.key.asbytes() for named in agent.keys] == [held(key).key.asbytes()]
    agent.close()
    assert Agent(5.0, "none").keys == []
    assert Agent(5.0, str(tmp_path / "nobody")).keys == []


@pytest.mark.usefixtures("needs_tools")
def test_a_certificate_for_a_key_only_the_agent_has_is_offered(
    bench: Bench, tmp_path: Path, agent_at: Callable[..., str]
) -> None:
    key = bench.key(tmp_path / "key")
    agent = Agent(5.0, agent_at(key))
    path = sign(bench.key(tmp_path / "authority"), key)
    key.unlink()
    keys = offered(server(certificates=(str(path),)), agent.keys).keys
    agent.close()
    certified, plain = keys
    assert certified.key.public_blob is not None
    assert getattr(plain.key, "public_blob", None) is None


@pytest.mark.skipif(sys.platform == "win32", reason="agents have sockets elsewhere")
def test_an_agent_that_says_nothing_costs_its_time_only(tmp_path: Path) -> None:
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)
        mute.listen()
        began_s = time.monotonic()
        assert Agent(0.2, path).keys == []
        assert time.monotonic() - began_s < 3
