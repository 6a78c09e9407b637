"""Commands on an open shell: output, exit codes, frames, sizes, and what they cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.lab.wsman.faults import TOO_MANY_OPERATIONS, WRONG
from outagekit.lab.wsman.injection import Refuse, Status, Trickle
from outagekit.lab.wsman.rules import Rules
from outagekit.playbook.model import Code
from outagekit.transports.protocol import Command, Failure, Limits, Outcome, Told
from outagekit.transports.windows.render import render, sent_as

if TYPE_CHECKING:
    from conftest import Lab, Scripted

LIMITS = Limits(run_s=10.0, accept_s=5.0)


def ended(outcome: Outcome, code: int = 0) -> Outcome:
    assert outcome.failure is None, outcome
    assert outcome.exit_code == code, outcome
    return outcome


def failed(outcome: Outcome, kind: FailureKind, *, sent: bool) -> Failure:
    assert outcome.failure is not None, outcome
    assert outcome.exit_code is None
    assert (outcome.failure.kind, outcome.failure.sent) == (kind, sent), outcome
    return outcome.failure


def test_a_script_runs_and_tells_how_it_ended(lab: Lab, program: Scripted, way: dict) -> None:
    program.acts["fix"] = lambda asked, running: lab.answer(stdout="hello\r\n", stderr="oh\r\n")
    program.told = {"native": 3010}
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    outcome = ended(transport.execute(lab.powershell(text="Get-Date"), LIMITS))
    assert outcome.stdout.text.strip() == "hello"
    assert outcome.stderr.text == "oh\r\n"
    assert outcome.told == Told("end", 3010, "5.1.1", "Full", "2026-11-22T07:01:02Z")
    sent = sent_as(program.asked[0].script.decode())
    assert sent is not None
    assert sent.text == "Get-Date"
    assert server.server.clear_bodies == 0


def test_a_short_cmd_line_needs_two_messages(lab: Lab, program: Scripted) -> None:
    transport = lab.opened(lab.server(program))
    before = transport.messages
    outcome = ended(transport.execute(lab.cmd(), LIMITS))
    assert transport.messages - before == 2
    assert outcome.told is None


def test_a_powershell_step_needs_three_messages(lab: Lab) -> None:
    transport = lab.opened(lab.server())
    before = transport.messages
    for _ in range(10):
        ended(transport.execute(lab.powershell(), LIMITS))
    assert transport.messages - before == 30


def test_the_shell_gives_way_before_an_old_system_refuses(lab: Lab) -> None:
    # Windows 7 allows 15 operations a user, and forgets none of them before the shell is gone.
    server = lab.server(rules=Rules(operations_per_user=15))
    transport = lab.opened(server)
    for _ in range(40):
        ended(transport.execute(lab.powershell(), LIMITS))
    assert len(server.server.shells) == 1
    assert server.server.count("signal") == 0


@pytest.mark.parametrize(
    ("said", "code"),
    [(0, 0), (1, 1), (3010, 3010), (-5, -5), (4294967291, -5), (2149842967, -2145124329)],
)
@pytest.mark.parametrize("framed", [True, False])
def test_exit_codes_are_signed(
    lab: Lab, program: Scripted, said: int, code: int, framed: bool
) -> None:
    program.acts["fix"] = lambda asked, running: lab.answer(said)
    transport = lab.opened(lab.server(program))
    ended(transport.execute(lab.powershell() if framed else lab.cmd(), LIMITS), code)


@pytest.mark.parametrize("code", [-1073741510, 0x40010004])
def test_a_program_ended_by_a_shutdown_is_lost(lab: Lab, program: Scripted, code: int) -> None:
    program.acts["fix"] = lambda asked, running: lab.answer(code)
    transport = lab.opened(lab.server(program))
    failure = failed(transport.execute(lab.cmd(), LIMITS), FailureKind.LOST, sent=True)
    assert failure.state is EndState.UNKNOWN


def test_output_is_seen_as_it_comes(lab: Lab, program: Scripted, way: dict) -> None:
    def tick(asked: object, running: object) -> object:
        for number in range(4):
            running.write(f"tick {number} {'.' * 300}\r\n".encode())
            running.wait(0.1)
        return lab.answer()

    program.acts["fix"] = tick
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    seen: list[tuple[float, str]] = []
    began_s = time.monotonic()
    ended(
        transport.execute(
            lab.powershell(), LIMITS, lambda stream, text: seen.append((time.monotonic(), text))
        )
    )
    # Some of it is held back: it could be the beginning of a secret.
    assert "".join(text for _, text in seen).count("tick") == 4
    assert seen[0][0] - began_s < 0.3
    assert len(seen) >= 4


def test_a_megabyte_of_output_arrives_whole_and_is_kept_within_bounds(
    lab: Lab, program: Scripted, way: dict
) -> None:
    text = "".join(f"line {n:08d} äöü 世界\r\n" for n in range(40_000))
    program.acts["fix"] = lambda asked, running: lab.answer(stdout=text)
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    seen: list[str] = []
    limits = Limits(run_s=20.0, keep_bytes=4096)
    outcome = ended(transport.execute(lab.powershell(), limits, lambda s, t: seen.append(t)))
    assert "".join(seen).split() == text.split()
    assert outcome.stdout.truncated
    assert len(outcome.stdout.text) < 5000
    assert abs(outcome.stdout.size_bytes - len(text.encode())) <= 2


def test_a_large_script_arrives_whole(lab: Lab, program: Scripted, way: dict) -> None:
    server = lab.server(program, scheme=way["scheme"], rules=Rules(most_body_bytes=153_600))
    transport = lab.opened(server, auth=way.get("auth"))
    text = "# äöü 世界\n" * 15_000 + "'done'"
    ended(transport.execute(lab.powershell(text=text), LIMITS))
    sent = sent_as(program.asked[0].script.decode())
    assert sent is not None
    assert sent.text == text


def test_input_too_large_for_a_message_is_halved(lab: Lab, program: Scripted) -> None:
    server = lab.server(program, rules=Rules(most_body_bytes=40_000))
    transport = lab.opened(server)
    text = "# 0123456789\n" * 12_000
    ended(transport.execute(lab.powershell(text=text), LIMITS))
    sent = sent_as(program.asked[0].script.decode())
    assert sent is not None
    assert sent.text == text


@pytest.mark.parametrize("text", ["Grüße 世界 🛠", "кириллица", "\u202eabc"])
def test_unicode_goes_both_ways(lab: Lab, program: Scripted, text: str, way: dict) -> None:
    program.acts["fix"] = lambda asked, running: lab.answer(stdout=text, stderr=text)
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    outcome = ended(transport.execute(lab.powershell(text=f"'{text}'"), LIMITS))
    assert (outcome.stdout.text.strip(), outcome.stderr.text) == (text, text)
    assert text.encode() in program.asked[0].script


def test_a_character_cut_in_two_is_one(lab: Lab, program: Scripted) -> None:
    def halves(asked: object, running: object) -> object:
        for byte in "世界".encode():
            running.write(bytes([byte]))
            running.wait(0.02)
        return lab.answer()

    program.acts["fix"] = halves
    transport = lab.opened(lab.server(program))
    assert ended(transport.execute(lab.cmd(), LIMITS)).stdout.text == "世界"


def test_utf16_of_a_program_is_read(lab: Lab, program: Scripted) -> None:
    def wsl(asked: object, running: object) -> object:
        running.write("Default: Ubuntu\r\n".encode("utf-16-le"))
        return lab.answer()

    program.acts["fix"] = wsl
    transport = lab.opened(lab.server(program))
    assert ended(transport.execute(lab.cmd(), LIMITS)).stdout.text == "Default: Ubuntu\r\n"


def test_errors_of_powershell_are_lines(lab: Lab, program: Scripted) -> None:
    said = (
        '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/'
        '2004/04"><Obj S="progress" RefId="0"></Obj><S S="Error">no such file_x000D__x000A_</S>'
        "</Objs>"
    )
    program.acts["fix"] = lambda asked, running: lab.answer(1, stderr=said)
    transport = lab.opened(lab.server(program))
    outcome = ended(transport.execute(lab.powershell(), LIMITS), 1)
    assert outcome.stderr.text == "no such file\r\n"


def test_secrets_are_hidden_in_output(lab: Lab, program: Scripted) -> None:
    program.acts["fix"] = lambda asked, running: lab.answer(stdout="it is Zug-faehrt-um-8.\r\n")
    transport = lab.opened(lab.server(program))
    seen: list[str] = []
    outcome = ended(transport.execute(lab.powershell(), LIMITS, lambda s, t: seen.append(t)))
    assert outcome.stdout.text.strip() == "it is [secret admin password]."
    assert "Zug-faehrt" not in "".join(seen)


def test_no_word_of_its_end_is_unknown_and_never_success(lab: Lab, program: Scripted) -> None:
    program.told = {"how": "nonsense"}
    transport = lab.opened(lab.server(program))
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert failed(outcome, FailureKind.LOST, sent=True).state is EndState.UNKNOWN
    assert transport.alive


@pytest.mark.parametrize(("code", "known"), [(0, True), (5, True), (1, False), (-1, False)])
def test_an_exit_that_left_no_word_is_believed_unless_it_looks_killed(
    lab: Lab, program: Scripted, code: int, known: bool
) -> None:
    program.told = {"how": "nonsense"}
    program.acts["fix"] = lambda asked, running: lab.answer(code)
    transport = lab.opened(lab.server(program))
    outcome = transport.execute(lab.powershell(text=f"[Environment]::Exit({code})"), LIMITS)
    if known:
        assert ended(outcome, code).told == Told("exit")
    else:
        failed(outcome, FailureKind.LOST, sent=True)


def test_powershell_that_is_not_there_ran_nothing(lab: Lab, program: Scripted) -> None:
    program.told = {"how": "nonsense"}
    said = "'powershell.exe' is not recognized as an internal or external command\r\n"
    program.acts["fix"] = lambda asked, running: lab.answer(9009, stderr=said)
    transport = lab.opened(lab.server(program))
    failure = failed(transport.execute(lab.powershell(), LIMITS), FailureKind.PROTOCOL, sent=False)
    assert "not recognized" in failure.detail


@pytest.mark.parametrize(("how", "code"), [("cut", 74), ("constrained", 78)])
def test_what_the_bootstrap_refused_ran_nothing(
    lab: Lab, program: Scripted, how: str, code: int
) -> None:
    program.told = {"how": how, "native": None}
    program.acts["fix"] = lambda asked, running: lab.answer(code)
    transport = lab.opened(lab.server(program))
    failed(transport.execute(lab.powershell(), LIMITS), FailureKind.PROTOCOL, sent=False)


def test_root_is_nobody_here(lab: Lab) -> None:
    server = lab.server()
    transport = lab.opened(server)
    before = transport.messages
    outcome = transport.execute(Command("whoami", account="root"), LIMITS)
    failed(outcome, FailureKind.BECOME, sent=False)
    assert transport.messages == before


def test_a_quota_is_answered_by_one_fresh_shell(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("command", Refuse(TOO_MANY_OPERATIONS))
    ended(transport.execute(lab.powershell(), LIMITS))
    assert server.server.count("create") == 2
    assert len(server.server.shells) == 1
    assert program.ran("fix") == 1


def test_a_quota_that_stays_is_told(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("command", Refuse(TOO_MANY_OPERATIONS), times=2)
    failed(transport.execute(lab.powershell(), LIMITS), FailureKind.QUOTA, sent=False)
    transport.close()
    assert server.server.shells == ()
    assert program.ran("fix") == 0


def test_a_refused_command_is_tried_again_after_the_finished_ones_were_terminated(
    lab: Lab, program: Scripted
) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    ended(transport.execute(lab.powershell(), LIMITS))
    server.server.injections.plan("command", Refuse(WRONG))
    ended(transport.execute(lab.powershell(), LIMITS))
    assert server.server.count("signal") == 2
    server.server.injections.plan("command", Refuse(WRONG), times=2)
    failed(transport.execute(lab.powershell(), LIMITS), FailureKind.PROTOCOL, sent=False)
    assert program.ran("fix") == 2


def test_a_forgotten_login_is_made_again(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("command", Status(400))
    ended(transport.execute(lab.powershell(), LIMITS))
    server.server.injections.plan("receive", Status(400))
    ended(transport.execute(lab.powershell(), LIMITS))
    server.server.injections.plan("send", Status(400))
    ended(transport.execute(lab.powershell(), LIMITS))
    assert program.ran("fix") == 3
    assert server.server.clear_bodies == 0


def test_an_answer_that_trickles_in_is_read(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("receive", Trickle(50, 0.001))
    assert "done" in ended(transport.execute(lab.powershell(), LIMITS)).stdout.text


def test_a_line_of_cmd_that_is_long_is_a_file(lab: Lab, program: Scripted) -> None:
    command = render(Code("cmd", "echo one\necho two"), {"a": "b"}, step="fix", part="script")
    transport = lab.opened(lab.server(program))
    outcome = ended(transport.execute(command, LIMITS))
    assert outcome.told is not None
