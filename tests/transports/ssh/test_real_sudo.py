"""The real sudo, with users and sudoers of our own that nobody outside of the test can see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from outagekit.credentials import SecretRef
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.playbook.model import Code
from outagekit.testing import sshd as sshd_module
from outagekit.testing.sshd import KeyPair, find_sshd, make_key
from outagekit.transports.access import Access
from outagekit.transports.detached import Answer, parse_answer
from outagekit.transports.meaning import still_runs
from outagekit.transports.posix.detached import collect, release, start
from outagekit.transports.posix.earlier import after_earlier
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Command, Deadlines, Limits, Moved, Opened, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.known_hosts import HostKey

if TYPE_CHECKING:
    from conftest import Bench

SOON = Limits(run_s=20)
PASSWORD = "correct horse"
ADDRESS = "127.0.0.1"

# Everything that is written, here or by sudo, lies in memory of this process's own mounts.
PREPARE = r"""
set -eu
mount -t tmpfs -o mode=755 none /mnt
mkdir -p /mnt/etc /mnt/work /mnt/homes
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work none /etc
for folder in /root /run/sudo /var/lib/sudo; do
  mkdir -p "$folder"
  mount -t tmpfs -o mode=700 none "$folder"
done
install -m 644 "$KEYS" /mnt/keys
for user in free asked atterm stranger narrow; do
  useradd -M -d "/mnt/homes/$user" -s /bin/sh "$user"
  install -d -o "$user" "/mnt/homes/$user"
  echo "$user:correct horse" | chpasswd
done
cat >/etc/sudoers <<END
Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"
Defaults:atterm requiretty
root ALL=(ALL:ALL) ALL
free ALL=(ALL:ALL) NOPASSWD: ALL
asked ALL=(ALL:ALL) ALL
atterm ALL=(ALL:ALL) NOPASSWD: ALL
narrow ALL=(ALL:ALL) NOPASSWD: /usr/bin/id
END
chmod 440 /etc/sudoers
rm -rf /etc/sudoers.d
exec "$@"
"""


def need(*programs: str) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("users and mounts of one's own need root on Linux")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing or find_sshd() is None:
        pytest.skip(f"not installed: {', '.join(missing) or 'sshd'}")
    inside = "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && mount -t overlay"
    inside += " -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w none /etc"
    tried = subprocess.run(["unshare", "-m", "sh", "-c", inside], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("mounts of one's own are not allowed here")


Login = Callable[..., SshTransport]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, HostKey, KeyPair]]:
    need("sudo", "unshare", "useradd", "chpasswd")
    folder = tmp_path_factory.mktemp("real")
    key = make_key(folder / "user_key")
    keys = folder / "keys"
    keys.write_text(f"{key.public}\n")
    port = sshd_module.free_port(ADDRESS)
    running = sshd_module.sshd(
        folder / "sshd",
        [ADDRESS],
        port,
        login_keys=[],
        options=("AuthorizedKeysFile /mnt/keys", "SetEnv LANG=C.UTF-8"),
        within=("env", f"KEYS={keys}", "unshare", "-m", "sh", "-c", PREPARE, "prepare"),
    )
    with running as host:
        kind, text = host.public.split()
        yield port, HostKey(kind, text), key


@pytest.fixture
def login(server: tuple[int, HostKey, KeyPair], bench: Bench) -> Login:
    port, host_key, key = server
    bench.trust.add("acme", ADDRESS, port, host_key)

    def open_as(user: str, password: str | None = PASSWORD) -> SshTransport:
        sudo = None if password is None else SecretRef("keyring", "sudo")
        bench.secrets["sudo"] = password or ""
        credential = Credential(name="linux", user=user, key=str(key.private), sudo=sudo)
        endpoint = Endpoint(
            client="acme", name=user, address=ADDRESS, port=port, os="linux", become="sudo"
        )
        access = Access(bench.trust, bench.resolve, Deadlines(become_s=15.0))
        transport = SshTransport(Target(endpoint=endpoint, credential=credential), access)
        bench.made.append(transport)
        assert isinstance(found := transport.open(), Opened), found
        return transport

    return open_as


def script(text: str, step: str = "step") -> Command:
    made = render(Code("sh", text), {}, step=step, part="script")
    return Command(made.line, made.stdin, "root")


WHO = 'echo "$(id -un) in $HOME, asked by $SUDO_USER for $OK_STEP in $LC_ALL"; echo err >&2; cat'


@pytest.mark.parametrize("user", ["free", "asked"])
def test_a_script_runs_as_root_in_its_own_surroundings(login: Login, user: str) -> None:
    outcome = login(user).execute(script(WHO), SOON)
    assert outcome.failure is None
    expected = f"root in /root, asked by {user} for step in C.UTF-8\n"
    assert (outcome.exit_code, outcome.stdout.text) == (0, expected)
    assert outcome.stderr.text == "err\n", "no lecture, no prompt"


def test_every_command_of_a_connection_is_asked_anew(login: Login) -> None:
    transport = login("asked")
    assert [transport.execute(script(f"exit {n}"), SOON).exit_code for n in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("user", "password", "named"),
    [
        ("asked", "wrong battery", "refused the password"),
        ("asked", None, "credential linux names none"),
        ("atterm", PASSWORD, "take `requiretty` away for atterm"),
        ("stranger", PASSWORD, "stranger may not use sudo"),
        ("narrow", PASSWORD, "does not let narrow run `sh` as root"),
    ],
)
def test_each_no_of_the_real_sudo_is_understood(
    login: Login, user: str, password: str | None, named: str
) -> None:
    failure = login(user, password).execute(script("echo"), SOON).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.BECOME, False)
    assert named in failure.detail


def test_a_wrong_password_is_no_end_of_the_connection(login: Login) -> None:
    transport = login("asked", "wrong battery")
    assert transport.execute(script("echo"), SOON).failure
    mine = render(Code("sh", "id -un"), {}, step="step", part="check")
    assert transport.execute(mine, SOON).stdout.text == "asked\n"


def test_files_of_root_can_be_moved(login: Login, tmp_path: Path) -> None:
    transport = login("asked")
    put = transport.put(b"mine\n", "/root/note", mode=0o600, limits=SOON, account="root")
    assert isinstance(put, Moved), put
    looked = transport.execute(script("stat -c '%U %a' /root/note"), SOON)
    assert looked.stdout.text == "root 600\n"
    into = tmp_path / "note"
    got = transport.fetch("/root/note", into, max_bytes=99, limits=SOON, account="root")
    assert isinstance(got, Moved), got
    assert into.read_bytes() == b"mine\n"
    refused = transport.fetch("/root/note", tmp_path / "no", max_bytes=99, limits=SOON)
    assert not isinstance(refused, Moved), "who logged in may not read it"


# The look goes over all processes of this machine; those of other tests must not be meant by it.
LEFT: Final = f"left_by_{os.getpid()}"


def left_behind(transport: SshTransport, text: str) -> None:
    """Have a script run as root whose connection is cut, and connect anew."""
    threading.Timer(0.5, transport.abort).start()
    failure = transport.execute(script(text, LEFT), SOON).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, True)
    transport.close()
    assert isinstance(transport.open(), Opened)


def test_an_earlier_try_as_root_is_found_and_waited_for(login: Login) -> None:
    transport = login("asked")
    left_behind(transport, "sleep 2; echo done >/root/proof")
    look = Code("sh", "cat /root/proof")

    def ask(wait_s: float) -> Command:
        made = render(after_earlier(look, LEFT, wait_s), {}, step=LEFT, part="verify")
        return Command(made.line, made.stdin, "root")

    assert still_runs(transport.execute(ask(0), SOON))
    outcome = transport.execute(ask(10), SOON)
    assert outcome.stdout.text == "done\n", outcome


def test_a_detached_script_of_root_lies_in_roots_home(login: Login) -> None:
    transport = login("asked")

    def ask(command: Command) -> Answer:
        answer = parse_answer(transport.execute(replace(command, account="root"), SOON))
        assert answer is not None
        return answer

    ask(start("run:step", Code("sh", "id -un; ls -d $HOME/.outagekit"), {}, step="step"))
    ended = ask(collect("run:step", step="step", wait_s=10))
    assert (ended.state, ended.stdout.text) == ("ended", "root\n/root/.outagekit\n")
    assert ask(release("run:step", step="step")).state == "released"


def test_no_trace_is_left_on_the_machine_of_the_tests(login: Login) -> None:
    login("asked").execute(script("touch /root/trace /etc/trace"), SOON)
    assert not Path("/etc/trace").exists()
    assert not Path("/root/trace").exists()
    assert "asked" not in Path("/etc/passwd").read_text().split(":")


@pytest.mark.parametrize("deaf", ["", "trap '' TERM;"])
@pytest.mark.parametrize("setting", ["!use_pty", "use_pty"])
def test_out_of_time_a_script_of_root_ends_with_the_program_it_waits_for(
    login: Login, deaf: str, setting: str
) -> None:
    transport = login("free")
    settings = f"sed -i '/use_pty/d' /etc/sudoers; echo 'Defaults {setting}' >>/etc/sudoers"
    assert transport.execute(script(f"{settings}; rm -f /root/late"), SOON).exit_code == 0
    text = f"{deaf} sh -c 'sleep 1.8; echo late >/root/late'; echo >/root/late"
    failure = transport.execute(script(text), Limits(run_s=0.3)).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.TIMEOUT, True)
    assert transport.execute(script("sleep 2; test ! -e /root/late"), SOON).exit_code == 0


def test_given_up_a_script_of_root_ends_with_the_program_it_waits_for(login: Login) -> None:
    transport = login("asked")
    threading.Timer(0.3, transport.interrupt).start()
    text = "rm -f /root/late; sh -c 'sleep 1.5; echo late >/root/late'"
    failure = transport.execute(script(text), SOON).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.ABANDONED, True)
    transport.close()
    assert isinstance(transport.open(), Opened)
    assert transport.execute(script("sleep 1.5; test ! -e /root/late"), SOON).exit_code == 0


def test_a_service_of_its_own_session_outlives_the_script_that_started_it(login: Login) -> None:
    transport = login("free")
    text = "rm -f /root/late; setsid sh -c 'sleep 1; echo late >/root/late' >/dev/null 2>&1 &"
    failure = transport.execute(script(f"{text} sleep 9"), Limits(run_s=0.3)).failure
    assert failure is not None
    assert failure.kind is FailureKind.TIMEOUT
    assert transport.execute(script("sleep 1; test -e /root/late"), SOON).exit_code == 0
