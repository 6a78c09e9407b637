"""Commands over a real OpenSSH server."""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from outagekit.credentials import SecretRef
from outagekit.events import EndState, FailureKind
from outagekit.playbook.model import Code
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Command, Limits, Opened

if TYPE_CHECKING:
    from conftest import Bench, Sshd
    from outagekit.transports.ssh.transport import SshTransport

SOON = Limits(run_s=20)


def script(text: str, **values: object) -> Command:
    return render(Code("sh", text), values, step="step", part="script")


def test_a_command_gives_both_streams_and_its_exit_code(ready: SshTransport) -> None:
    outcome = ready.execute(script("echo out; echo err >&2; exit 7"), SOON)
    assert (outcome.exit_code, outcome.failure) == (7, None)
    assert (outcome.stdout.text, outcome.stderr.text) == ("out\n", "err\n")
    assert not outcome.stdout.truncated
    assert outcome.stdout.size_bytes == 4


def test_a_script_knows_its_step_and_its_values(ready: SshTransport) -> None:
    said = ready.execute(script('echo "$OK_STEP/$OK_PART/$OK_WHO"', who="it's $(x)"), SOON)
    assert said.stdout.text == "step/script/it's $(x)\n"


def test_a_connection_serves_one_command_after_another(ready: SshTransport) -> None:
    codes = [ready.execute(script(f"exit {n}"), SOON).exit_code for n in range(12)]
    assert codes == list(range(12))
    assert ready.alive


def test_no_command_waits_for_an_acknowledgement(ready: SshTransport) -> None:
    assert ready._session is not None
    # Nagle's algorithm with delayed acknowledgements costs 40 ms for each command.
    assert ready._session.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_output_is_seen_while_the_command_runs(ready: SshTransport) -> None:
    seen: list[tuple[str, str, float]] = []
    outcome = ready.execute(
        script("echo first; sleep 0.5; echo second >&2"),
        SOON,
        lambda stream, text: seen.append((stream, text, time.monotonic())),
    )
    assert [(stream, text) for stream, text, _ in seen] == [
        ("stdout", "first\n"),
        ("stderr", "second\n"),
    ]
    assert seen[1][2] - seen[0][2] > 0.3
    assert outcome.exit_code == 0


def test_a_character_cut_between_two_packets_stays_whole(ready: SshTransport) -> None:
    outcome = ready.execute(script(r"printf '\303'; sleep 0.2; printf '\274\377'"), SOON)
    assert outcome.stdout.text == "ü\\xff"


def test_fifty_mebibytes_on_both_streams_need_little_memory(ready: SshTransport) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    noise = "head -c 52428800 /dev/zero | tr '\\0' "
    text = f"echo begin; {noise} x & {noise} y >&2; wait; echo; echo end"
    outcome = ready.execute(script(text), Limits(run_s=60, keep_bytes=1 << 20))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert outcome.exit_code == 0
    assert outcome.stdout.size_bytes == 52428800 + 11
    assert outcome.stderr.size_bytes == 52428800
    assert outcome.stdout.truncated
    assert outcome.stdout.text.startswith("begin\nxxx")
    assert outcome.stdout.text.endswith("xxx\nend\n")
    assert len(outcome.stdout.text) < (1 << 20) + 100
    assert "bytes left out" in outcome.stdout.text
    assert grown_kib < 64 * 1024


def test_large_input_and_output_at_once_do_not_block_each_other(ready: SshTransport) -> None:
    data = b"0123456789abcdef" * (8 << 16)
    command = Command("tee /dev/stderr | cat", data)
    outcome = ready.execute(command, Limits(run_s=60, keep_bytes=1024))
    assert outcome.exit_code == 0
    assert outcome.stdout.size_bytes == outcome.stderr.size_bytes == len(data)


def test_input_nobody_reads_ends_with_the_command(ready: SshTransport) -> None:
    outcome = ready.execute(Command("exit 3", b"x" * (6 << 20)), SOON)
    assert outcome.exit_code == 3


def test_the_deadline_stops_the_command_and_keeps_what_it_said(ready: SshTransport) -> None:
    began_s = time.monotonic()
    wait = "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; done"
    text = f"trap 'echo told to stop; exit 1' TERM; echo begun; {wait}"
    outcome = ready.execute(script(text), Limits(run_s=0.6))
    assert time.monotonic() - began_s < 3
    assert outcome.exit_code is None
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.TIMEOUT
    assert outcome.failure.state is EndState.UNKNOWN
    # OpenSSH passes signals on only where it separates privileges: not for root.
    assert outcome.stdout.text == "begun\n" + "told to stop\n" * (os.geteuid() != 0)


def test_after_a_deadline_the_connection_still_works(ready: SshTransport) -> None:
    ready.execute(script("trap '' TERM; sleep 30"), Limits(run_s=0.3))
    assert ready.execute(script("echo again"), SOON).stdout.text == "again\n"


def test_a_command_killed_by_a_signal_failed(ready: SshTransport) -> None:
    outcome = ready.execute(script("echo before; kill -KILL $$"), SOON)
    assert outcome.exit_code is None
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.EXIT_CODE
    assert outcome.failure.state is EndState.FAILED
    assert "signal KILL" in outcome.failure.detail
    assert outcome.stdout.text == "before\n"


def test_a_child_that_keeps_the_streams_open_is_left_alone(ready: SshTransport) -> None:
    began_s = time.monotonic()
    outcome = ready.execute(script("sleep 20 & echo $!; exit 4"), SOON)
    assert (outcome.exit_code, outcome.failure) == (4, None)
    assert time.monotonic() - began_s < 6
    ready.execute(script(f"kill {outcome.stdout.text.strip()}"), SOON)


def test_abort_frees_a_running_command_at_once(ready: SshTransport) -> None:
    began = threading.Event()
    threading.Thread(target=lambda: (began.wait(10), ready.abort()), daemon=True).start()
    began_s = 0.0

    def started(stream: str, text: str) -> None:
        nonlocal began_s
        began_s = time.monotonic()
        began.set()

    outcome = ready.execute(script("echo go; sleep 30"), SOON, started)
    assert time.monotonic() - began_s < 1
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.LOST
    assert outcome.failure.sent
    assert outcome.stdout.text == "go\n"
    assert not ready.alive


def test_nothing_is_sent_over_a_closed_connection(ready: SshTransport) -> None:
    ready.close()
    outcome = ready.execute(script("echo hi"), SOON)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.LOST, False)
    assert outcome.failure.state is EndState.UNREACHABLE


def test_a_closed_transport_can_be_opened_again(ready: SshTransport) -> None:
    ready.abort()
    ready.close()
    assert isinstance(ready.open(), Opened)
    assert ready.execute(script("exit 5"), SOON).exit_code == 5


def test_secrets_in_output_are_redacted_even_when_cut(bench: Bench, sshd: Sshd) -> None:
    bench.secrets["pw"] = "hunter2-hunter2"
    credential = bench.login(sshd.user_key, password=SecretRef("keyring", "pw"))
    transport = bench.to(sshd, credential=credential)
    assert isinstance(transport.open(), Opened)
    seen: list[str] = []
    text = "printf 'a hunter2-'; sleep 0.2; printf 'hunter2 b'; echo hunter2-hunter2 >&2"
    outcome = transport.execute(script(text), SOON, lambda stream, text: seen.append(text))
    assert "hunter2" not in "".join(seen) + outcome.stdout.text + outcome.stderr.text
    assert outcome.stdout.text.startswith("a [secret ")
    assert outcome.stdout.text.endswith(" b")


@pytest.mark.parametrize("bad", ["exit 126", "nonsense-command"])
def test_a_command_line_that_cannot_run_has_an_exit_code(ready: SshTransport, bad: str) -> None:
    assert ready.execute(Command(bad), SOON).exit_code in {126, 127}
