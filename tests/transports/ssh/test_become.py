"""Becoming root over a real OpenSSH server, with a `sudo` that misbehaves as a test says."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from outagekit.credentials import SecretRef
from outagekit.events import EndState, FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.playbook.model import Code
from outagekit.transports.access import Access
from outagekit.transports.logins import Logins
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import (
    Command,
    Deadlines,
    Failure,
    Limits,
    Moved,
    Opened,
    Outcome,
    Target,
)
from outagekit.transports.ssh.sudo import ticket_in
from outagekit.transports.ssh.transport import SshTransport

if TYPE_CHECKING:
    from conftest import Bench, Scripted, ScriptedServer, Sshd

SOON = Limits(run_s=20)
PASSWORD = "correct horse"
SUDO = SecretRef("keyring", "acme-sudo")

# `early` tells what came before anybody asked; `ask` and `go` are what a real sudo would do.
FAKE = r"""#!/bin/sh
here=${0%/*}
prompt=$(printf %s "$4" | sed 's/%%/%/g')
command=$*
shift 5
note() { printf '%s\n' "$*" >>"$here/notes"; }
early() { came=$(timeout 0.3 head -c 1 | wc -c); [ "$came" -eq 0 ] || note early; }
ask() {
  early
  printf %s "$prompt" >&2
  IFS= read -r given || { note eof; exit 1; }
  note "given $given"
}
run() { early; FAKE_UID=${uid-0} exec "$@"; }
case $(cat "$here/mode") in
  nopasswd) run "$@" ;;
  password)
    echo 'We trust you have received the usual lecture.' >&2
    ask
    if [ "$given" != 'correct horse' ]; then echo 'Sorry, try again.' >&2; ask; fi
    run "$@" ;;
  one-try) ask; echo 'sudo: 1 incorrect password attempt' >&2; exit 1 ;;
  one-try-rs) ask; echo 'sudo: Maximum 1 incorrect authentication attempts' >&2; exit 1 ;;
  unknown-words) ask; echo 'das war wohl nichts' >&2; exit 1 ;;
  silent) exec sleep 20 ;;
  silent-after) ask; exec sleep 20 ;;
  user) uid=1000; run "$@" ;;
  user-after) ask; uid=1000; run "$@" ;;
  nobody) uid=' '; run "$@" ;;
  nothing) exit 0 ;;
  swallows) ask; exit 0 ;;
  tty) echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1 ;;
  sudoers) echo 'ops is not in the sudoers file.  This incident will be reported.' >&2; exit 1 ;;
  german) echo 'ops ist nicht in der sudoers-Datei.' >&2; exit 1 ;;
  locked) ask; echo 'sudo: account validation failure, is your account locked?' >&2; exit 1 ;;
  gossip) echo "sudo: bad luck, correct horse" >&2; exit 1 ;;
  flood)
    head -c 3000000 /dev/zero | tr '\0' x >&2
    head -c 3000000 /dev/zero | tr '\0' y
    run "$@" ;;
  shown) echo "+ sudo $command" >&2; run "$@" ;;
  late) (sleep 0.6; echo late >&2) & run "$@" ;;
  killed) kill -9 $$ ;;
  cut) kill -9 "$PPID"; exec sleep 20 ;;
esac
"""
FAKE_ID = """#!/bin/sh
if [ "${FAKE_UID-}" ]; then echo "$FAKE_UID"; else exec /usr/bin/id "$@"; fi
"""


def script(text: str, account: str = "root", **values: object) -> Command:
    made = render(Code("sh", text), values, step="step", part="script")
    return Command(made.line, made.stdin, account)


@dataclass
class Machine:
    """An sshd whose sessions find our own `sudo` and `id`, and transports to it."""

    bench: Bench
    server: Sshd
    tools: Path
    logins: Logins = field(default_factory=Logins)

    def behave(self, mode: str) -> None:
        (self.tools / "mode").write_text(mode)

    @property
    def notes(self) -> list[str]:
        """What the sudo saw, since it was last asked."""
        path = self.tools / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def transport(
        self,
        password: str | None = PASSWORD,
        *,
        become: str | None = "sudo",
        name: str = "web-01",
        become_s: float = 10.0,
    ) -> SshTransport:
        bench, server = self.bench, self.server
        bench.trust.add("acme", server.address, server.port, server.key)
        if password is not None:
            bench.secrets["acme-sudo"] = password
        credential = bench.login(server.user_key, sudo=None if password is None else SUDO)
        endpoint = Endpoint(
            client="acme",
            name=name,
            address=server.address,
            port=server.port,
            os="linux",
            become=become,
        )
        access = Access(
            bench.trust, bench.resolve, Deadlines(become_s=become_s), logins=self.logins
        )
        transport = SshTransport(Target(endpoint=endpoint, credential=credential), access)
        bench.made.append(transport)
        return transport

    def opened(self, *args: object, **facts: object) -> SshTransport:
        transport = self.transport(*args, **facts)
        assert isinstance(found := transport.open(), Opened), found
        return transport

    def run(self, mode: str, text: str = "echo it ran", **facts: object) -> Outcome:
        self.behave(mode)
        transport = self.opened(**facts)
        outcome = transport.execute(script(text), SOON)
        assert transport.alive or outcome.failure.kind is FailureKind.LOST
        return outcome


@pytest.fixture
def machine(bench: Bench, sshd_with: Callable[..., Sshd], tmp_path: Path) -> Machine:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("sudo", FAKE), ("id", FAKE_ID)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    words = f"SetEnv PATH={tools}:/usr/bin:/bin HOME={tmp_path} FAKE_UID=1000"
    return Machine(bench, sshd_with(options=(words,)), tools)


def refused(outcome: Outcome | Moved | Failure) -> str:
    failure = outcome.failure if isinstance(outcome, Outcome) else outcome
    assert isinstance(failure, Failure), outcome
    assert (failure.kind, failure.sent) == (FailureKind.BECOME, False), failure
    assert failure.state is EndState.FAILED
    assert PASSWORD not in failure.detail
    return failure.detail


def test_without_a_password_none_is_sent_and_the_script_runs(machine: Machine) -> None:
    outcome = machine.run("nopasswd", 'echo "$OK_STEP as $(id -u)"; echo err >&2; exit 3')
    assert (outcome.exit_code, outcome.failure) == (3, None)
    assert (outcome.stdout.text, outcome.stderr.text) == ("step as 0\n", "err\n")
    assert machine.notes == [], "nothing came before it was asked for"


def test_a_password_goes_out_once_it_is_asked_for(machine: Machine) -> None:
    outcome = machine.run("password", "echo fine; cat")
    assert (outcome.stdout.text, outcome.stderr.text) == ("fine\n", ""), "no lecture, no prompt"
    assert machine.notes == [f"given {PASSWORD}"]


def test_a_wrong_password_is_sent_once_and_nothing_runs(machine: Machine) -> None:
    said = refused(machine.run("password", password="wrong battery"))
    assert "refused the password" in said
    assert "credential admin" in said
    until_s = time.monotonic() + 3
    notes: list[str] = []
    while len(notes) < 2 and time.monotonic() < until_s:
        notes += machine.notes
        time.sleep(0.02)
    assert notes == ["given wrong battery", "eof"]


@pytest.mark.parametrize("mode", ["one-try", "one-try-rs"])
def test_a_wrong_password_where_sudo_asks_but_once_is_refused(machine: Machine, mode: str) -> None:
    assert "refused the password" in refused(machine.run(mode))
    assert machine.logins.shared(
        "acme", machine.bench.login(sudo=SUDO), PASSWORD, use="sudo password"
    ).take_turn(1, lambda: False)
    assert machine.notes == [f"given {PASSWORD}"]


def test_without_a_password_to_give_it_says_where_one_would_stand(machine: Machine) -> None:
    said = refused(machine.run("password", password=None))
    assert "credential admin names none: add `sudo: keyring:NAME`" in said


@pytest.mark.parametrize("password", ["two\nlines", "x" * 300])
def test_a_password_sudo_cannot_read_as_one_line_is_not_sent(
    machine: Machine, password: str
) -> None:
    assert "it was not sent" in refused(machine.run("password", password=password))
    assert not [note for note in machine.notes if note.startswith("given")]


@pytest.mark.parametrize("mode", ["user", "user-after"])
def test_a_sudo_that_makes_nobody_root_is_found_out(machine: Machine, mode: str) -> None:
    said = refused(machine.run(mode, "touch ran"))
    assert "as uid 1000, not as root" in said
    assert not list(machine.server.folder.parent.glob("**/ran"))


@pytest.mark.parametrize(
    ("mode", "named"),
    [
        ("nobody", "as nobody it could name, not as root"),
        ("nothing", "exit code 0 and ran nothing"),
        ("swallows", "exit code 0 and ran nothing"),
        ("tty", "`requiretty`"),
        ("sudoers", "admin may not"),
        ("german", "exit code 1 before it had run anything; it said: ops ist nicht in"),
        ("unknown-words", "exit code 1 before it had run anything; it said: das war"),
        ("locked", "locked or has expired"),
        ("silent", "did not answer at all within 1 s"),
        ("silent-after", "did not answer the password within 1 s"),
        ("killed", "ended by something else"),
    ],
)
def test_each_cause_is_told(machine: Machine, mode: str, named: str) -> None:
    named = named.replace("admin", machine.bench.login().user)
    assert named in refused(machine.run(mode, become_s=1.0))


def test_what_sudo_says_is_redacted(machine: Machine) -> None:
    assert "bad luck, [" in refused(machine.run("gossip"))


def test_a_machine_without_sudo_says_so(
    bench: Bench, sshd_with: Callable[..., Sshd], tmp_path: Path
) -> None:
    tools = tmp_path / "bare"
    tools.mkdir()
    for name in ("env", "sh", "id"):
        (tools / name).symlink_to(shutil.which(name) or "")
    server = sshd_with(options=(f"SetEnv PATH={tools} HOME={tmp_path}",))
    said = refused(Machine(bench, server, tools).opened().execute(script("echo"), SOON))
    assert "the machine has no sudo" in said


def test_a_flood_before_go_is_no_part_of_the_output(machine: Machine) -> None:
    outcome = machine.run("flood", "echo fine")
    assert (outcome.stdout.text, outcome.stderr.text) == ("fine\n", "")


def test_a_shell_that_shows_the_command_line_gets_no_password(machine: Machine) -> None:
    assert machine.run("shown", "cat").stdout.text == ""
    assert machine.notes == []


def test_what_follows_go_is_kept_with_the_commands_own_words(machine: Machine) -> None:
    outcome = machine.run("late", "sleep 0.6; echo own >&2")
    assert outcome.stderr.text == "late\nown\n"


def test_a_connection_that_ends_meanwhile_is_lost_and_nothing_was_sent(machine: Machine) -> None:
    failure = machine.run("cut").failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, False)
    assert failure.state is EndState.UNREACHABLE


@pytest.mark.parametrize("how", ["abort", "interrupt"])
def test_it_can_be_given_up_meanwhile(machine: Machine, how: str) -> None:
    machine.behave("silent")
    transport = machine.opened()
    threading.Timer(0.2, getattr(transport, how)).start()
    began_s = time.monotonic()
    failure = transport.execute(script("echo"), SOON).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, False)
    assert time.monotonic() - began_s < 2


def test_a_command_lost_after_go_was_sent(machine: Machine) -> None:
    failure = machine.run("nopasswd", 'kill -9 "$(ps -o ppid= -p "$PPID")"; kill -9 "$PPID"')
    assert failure.failure is not None
    assert (failure.failure.kind, failure.failure.sent) == (FailureKind.LOST, True)


def test_the_first_command_of_a_connection_needs_no_root(machine: Machine) -> None:
    machine.behave("tty")
    transport = machine.opened()
    assert transport.execute(script("echo me", account="login"), SOON).stdout.text == "me\n"
    assert machine.notes == []


def test_root_without_become_is_for_who_is_root(machine: Machine) -> None:
    said = refused(machine.opened(become=None).execute(script("echo"), SOON))
    assert "uid 1000, which is not root" in said
    assert "add `become: sudo`" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="the server lets in who runs the tests: not root")
def test_root_is_root_without_sudo(bench: Bench, sshd: Sshd) -> None:
    transport = bench.to(sshd)
    assert isinstance(transport.open(), Opened)
    assert transport.execute(script("echo fine"), SOON).stdout.text == "fine\n"


def test_the_sudo_password_is_hidden_from_the_beginning(machine: Machine) -> None:
    outcome = machine.run("nopasswd", f"echo {PASSWORD}; echo {PASSWORD} >&2")
    assert "horse" not in outcome.stdout.text + outcome.stderr.text
    assert machine.bench.labels == ["admin sudo"]


def test_where_nobody_becomes_root_the_sudo_password_is_not_asked_for(machine: Machine) -> None:
    machine.opened(become=None)
    assert machine.bench.asked == []


def test_a_sudo_password_that_is_not_there_is_our_own_fault(machine: Machine) -> None:
    transport = machine.transport()
    del machine.bench.secrets["acme-sudo"]
    failure = transport.open()
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.LOCAL_IO


def test_not_accepted_twice_the_password_is_not_sent_to_a_third(machine: Machine) -> None:
    kinds = []
    machine.behave("password")
    for number in range(4):
        transport = machine.opened("wrong battery", name=f"web-{number}")
        failure = transport.execute(script("echo"), SOON).failure
        assert failure is not None
        assert not failure.sent
        kinds.append(failure.kind.value)
    assert kinds == ["become", "become", "credential_stopped", "credential_stopped"]
    assert [n for n in machine.notes if n.startswith("given")] == ["given wrong battery"] * 2
    machine.behave("nopasswd")
    assert transport.execute(script("echo fine"), SOON).stdout.text == "fine\n", "none was asked"


def test_a_stopped_sudo_password_stops_no_login(machine: Machine) -> None:
    machine.behave("password")
    for number in range(2):
        refused(machine.opened("wrong", name=f"web-{number}").execute(script("echo"), SOON))
    machine.opened("wrong", name="web-2")


def test_one_password_at_a_time_until_one_was_accepted(machine: Machine) -> None:
    machine.behave("password")
    transports = [machine.opened("wrong", name=f"web-{number}") for number in range(5)]
    kinds: list[str] = []

    def execute(transport: SshTransport) -> None:
        failure = transport.execute(script("echo"), SOON).failure
        kinds.append(failure.kind.value if failure else "")

    threads = [threading.Thread(target=execute, args=(each,)) for each in transports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kinds) == ["become"] * 2 + ["credential_stopped"] * 3
    assert len([n for n in machine.notes if n.startswith("given")]) == 2


def test_files_are_moved_as_root(machine: Machine, tmp_path: Path) -> None:
    machine.behave("password")
    transport = machine.opened()
    content, there = os.urandom(200_000), tmp_path / "there"
    put = transport.put(content, str(there), mode=0o640, limits=SOON, account="root")
    assert isinstance(put, Moved), put
    assert there.read_bytes() == content
    assert there.stat().st_mode & 0o777 == 0o640
    got = transport.fetch(
        str(there), tmp_path / "here", max_bytes=10**6, limits=SOON, account="root"
    )
    assert isinstance(got, Moved), got
    assert (tmp_path / "here").read_bytes() == content
    assert [n for n in machine.notes if n != f"given {PASSWORD}"] == []


def test_no_file_is_moved_where_root_is_refused(machine: Machine, tmp_path: Path) -> None:
    machine.behave("tty")
    transport = machine.opened()
    there = tmp_path / "there"
    refused(transport.put(b"x", str(there), mode=0o600, limits=SOON, account="root"))
    refused(
        transport.fetch("/etc/hosts", tmp_path / "h", max_bytes=99, limits=SOON, account="root")
    )
    assert not there.exists()
    assert not (tmp_path / "h").exists()
    moved = transport.put(b"x", str(there), mode=0o600, limits=SOON)
    assert isinstance(moved, Moved), "as who logged in nothing else is needed"


def test_a_machine_without_an_sftp_server_says_so(machine: Machine, tmp_path: Path) -> None:
    machine.behave("nopasswd")
    # Everything else of the machine stays as it is; only the places to look at are not there.
    (machine.tools / "sh").write_text(
        '#!/bin/sh\n[ "$1" = -c ] || exec /bin/sh "$@"\n'
        'exec /bin/sh -c "$(printf %s "$2" | sed s:/usr/:/nowhere/:g)"\n'
    )
    (machine.tools / "sh").chmod(0o755)
    failure = machine.opened().put(
        b"x", str(tmp_path / "x"), mode=0o600, limits=SOON, account="root"
    )
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == (FailureKind.PROTOCOL, False)
    assert "install openssh-sftp-server" in failure.detail


def test_the_pieces_around_go_are_kept_apart(
    bench: Bench,
    scripted: type[Scripted],
    scripted_server: Callable[..., ScriptedServer],
    user_key: Path,
) -> None:
    class Chatty(scripted):  # type: ignore[misc,valid-type]
        def act(self, channel: paramiko.Channel) -> None:
            asked = ticket_in(self.commands[-1])
            assert asked is not None
            channel.sendall_stderr(b"a lecture\n")
            time.sleep(0.02)
            channel.sendall(b"a greeting\n")
            channel.sendall_stderr(asked[0].went(0) + b"a late warning\n")
            began = channel.recv(1000)
            channel.sendall(b"output\n" if began.startswith(asked[0].begin) else b"hasty\n")
            channel.send_exit_status(0)
            channel.close()

    server = scripted_server(Chatty)
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    transport = bench.transport(
        "127.0.0.1", server.port, credential=bench.login(user_key), become="sudo"
    )
    assert isinstance(transport.open(), Opened)
    outcome = transport.execute(script("echo"), SOON)
    assert (outcome.stdout.text, outcome.stderr.text) == ("output\n", "a late warning\n")
