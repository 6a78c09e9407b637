"""Shells and commands of the WS-Man server, by messages written by hand."""

from __future__ import annotations

import base64
import threading
import time
import uuid

import pytest

from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.shells import Shells

COMMAND = "11111111-2222-3333-4444-555555555555"
FRAMED = 'set "OK_STEP=fix"&set "OK_PART=script"&powershell.exe -NoLogo -EncodedCommand QQA='
NONCE = "0123456789abcdef"


def until(true, *, within_s=5.0):
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.002)


@pytest.fixture
def one(at_hand):
    return at_hand()


@pytest.fixture
def shell(one):
    return one.create().shell


def test_a_command_is_created_run_received_and_deleted(one, program):
    created = one.create("<rsp:IdleTimeOut>PT15M</rsp:IdleTimeOut>")
    assert (created.status, created["ShellId"]) == (200, created.shell)
    assert [shell.idle_timeout_s for shell in one.lone.server.shells] == [900]
    command = one.run(created.shell, "anything at all")
    received = one.receive(created.shell, command)
    assert (received.stream("stdout"), received.stream("stderr")) == ("ran\r\n", "warned\r\n")
    assert received.done
    assert received["ExitCode"] == "0"
    assert 'Name="stdout" CommandId="' in received.body
    assert received.body.count('End="true"') == 2
    assert one.delete(created.shell).status == 200
    assert one.lone.server.shells == ()
    assert [asked.line for asked in program.asked] == ["anything at all"]


def test_answers_relate_to_the_message(one):
    answered = one.post(one.message("no such action", message_id="uuid:42"))
    assert answered["RelatesTo"] == "uuid:42"
    assert answered["MessageID"].startswith("uuid:")


def test_the_clients_own_ids_are_taken(one):
    mine = str(uuid.uuid4()).upper()
    assert one.create(shell_id=mine).shell == mine
    assert one.command(mine, "echo hi", COMMAND)["CommandId"] == COMMAND
    assert one.receive(mine, COMMAND.lower()).stream("stdout") == "hi\r\n"


def test_an_id_that_is_taken_is_busy(one, shell):
    one.command(shell, "echo hi", COMMAND)
    assert one.command(shell, "echo hi", COMMAND).code == 170
    assert one.create(shell_id=shell).code == 170


@pytest.mark.parametrize("bad", ["x", "1", "../../etc"])
def test_an_id_that_is_none_is_no_message_of_ours(one, shell, bad):
    assert one.create(shell_id=bad).code == 2150858817
    assert one.command(shell, "echo hi", bad).code == 2150858817


def test_what_is_not_there_has_no_selector(one, shell):
    answered = one.receive(shell, COMMAND)
    assert (answered.status, answered.code) == (500, 2150858843)
    assert "w:InvalidSelectors" in answered.body
    for other in (
        one.receive(COMMAND, COMMAND),
        one.command(COMMAND, "echo hi"),
        one.input(shell, COMMAND, b""),
        one.signal(shell, COMMAND, "terminate"),
        one.delete(COMMAND),
    ):
        assert other.code == 2150858843


def test_nothing_to_tell_within_the_operations_time_is_a_fault_and_no_end(one, shell):
    command = one.run(shell, "wait")
    assert one.receive(shell, command).stream("stdout") == "waits\r\n"
    one.timeout = "PT0.05S"
    answered = one.receive(shell, command)
    assert (answered.status, answered.code) == (500, 2150858793)
    assert "w:TimedOut" in answered.body
    assert one.receive(shell, command).code == 2150858793


def test_output_comes_while_the_command_runs(one, shell):
    command = one.run(shell, "live 3")
    pieces = []
    while not pieces or not pieces[-1].done:
        pieces.append(one.receive(shell, command))
    assert len(pieces) >= 3
    assert not any(piece["ExitCode"] for piece in pieces[:-1])
    assert "CommandState/Running" in pieces[0].body
    assert "".join(p.stream("stdout") for p in pieces) == "tick 0\r\ntick 1\r\ntick 2\r\n"


def test_no_answer_is_longer_than_the_client_takes(one, shell):
    one.most_bytes = 16384
    command = one.run(shell, "big 50000")
    out, err, answers = "", "", []
    while not answers or not answers[-1].done:
        answers.append(one.receive(shell, command))
        out += answers[-1].stream("stdout")
        err += answers[-1].stream("stderr")
    assert max(len(a.body) for a in answers) <= 16384
    assert max(len(a.body) for a in answers) > 16000, "answers are filled"
    assert (out, err) == ("x" * 50000, "y" * 50000)
    assert [bool(a["ExitCode"]) for a in answers] == [False] * (len(answers) - 1) + [True]


@pytest.mark.parametrize("code", ["0", "3010", "-1073741510", "2147483647"])
def test_any_exit_code_arrives(one, shell, code):
    assert one.receive(shell, one.run(shell, f"exit {code}"))["ExitCode"] == code


def test_input_arrives_whole_and_once_it_has_ended(one, shell):
    command = one.run(shell, "cat")
    one.input(shell, command, b"one ", end=False)
    one.timeout = "PT0.05S"
    assert one.receive(shell, command).code == 2150858793
    one.timeout = "PT5S"
    one.input(shell, command, b"two")
    assert one.receive(shell, command).stream("stdout") == "one two"
    assert one.input(shell, command, b"more").code == 170


def test_a_framed_command_gets_its_script_and_tells_its_end(one, shell, program):
    command = one.run(shell, FRAMED)
    text = base64.b64encode("Wör☂k\n".encode()) + b"\n"
    one.input(shell, command, f"{NONCE}\n".encode() + text)
    received = one.receive(shell, command)
    assert received.stream("stdout") == f'ran\r\n\n{NONCE} {{"how":"end","rc":0}}\n'
    (asked,) = program.asked
    assert (asked.step, asked.part, asked.nonce) == ("fix", "script", NONCE)
    assert (asked.script.decode(), asked.input) == ("Wör☂k\n", text)


def test_a_script_on_the_command_line_waits_for_no_input(one, shell, program):
    line = "powershell -encodedcommand ZQBjAGgAbwA="
    assert one.receive(shell, one.run(shell, line)).done
    assert [(asked.line, asked.nonce) for asked in program.asked] == [(line, "")]


def test_input_that_is_no_base64_is_an_empty_script(one, shell, program):
    command = one.run(shell, FRAMED)
    one.input(shell, command, f"{NONCE}\nno base64!".encode())
    assert one.receive(shell, command).done
    assert [(asked.nonce, asked.script) for asked in program.asked] == [(NONCE, b"")]


def test_a_line_too_long_for_cmd_runs_nothing(one, shell, program):
    received = one.receive(shell, one.run(shell, "echo " + "x" * 8187))
    assert (received["ExitCode"], program.asked) == ("1", [])


def test_control_c_ends_a_command_with_its_exit_code(one, shell):
    command = one.run(shell, "wait")
    assert one.signal(shell, command, "ctrl_c").status == 200
    out = ""
    received = one.receive(shell, command)
    while not received.done:
        out += received.stream("stdout")
        received = one.receive(shell, command)
    assert received["ExitCode"] == "-1073741510"


def test_control_c_before_the_input_has_ended_runs_nothing(one, shell, program):
    command = one.run(shell, FRAMED)
    one.input(shell, command, f"{NONCE}\nQUJD".encode(), end=False)
    one.signal(shell, command, "ctrl_c")
    received = one.receive(shell, command)
    assert (received["ExitCode"], received.stream("stdout")) == ("-1073741510", "")
    assert program.asked == []


@pytest.mark.parametrize("end", ["terminate", "Terminate", "delete"])
def test_terminate_and_delete_abort_whoever_waits(one, shell, client, end):
    command = one.run(shell, "wait")
    one.receive(shell, command)
    other, answers = client(one.lone), []
    waiting = threading.Thread(target=lambda: answers.append(other.receive(shell, command)))
    waiting.start()
    until(lambda: one.lone.server.count("receive") == 2)
    if end == "delete":
        one.delete(shell)
    else:
        one.signal(shell, command, end)
    waiting.join(5)
    assert answers[0].code in {995, 2150858843}
    assert one.receive(shell, command).code == 2150858843


def test_an_unknown_signal_is_a_wrong_parameter(one, shell):
    assert one.signal(shell, one.run(shell, "wait"), "hangup").code == 87


def test_the_end_is_told_again_until_the_command_is_terminated(one, shell):
    command = one.run(shell, "echo hi")
    assert one.receive(shell, command).stream("stdout") == "hi\r\n"
    again = one.receive(shell, command)
    assert (again.done, again.stream("stdout")) == (True, "")
    one.signal(shell, command, "terminate")
    assert one.receive(shell, command).code == 2150858843


def test_a_shell_and_its_command_go_on_over_another_connection(one, shell, client):
    command = one.run(shell, "live 6")
    first = one.receive(shell, command).stream("stdout")
    one.lone.cut()
    with pytest.raises(OSError):
        one.receive(shell, command)
    other = client(one.lone)
    texts = [first]
    while True:
        received = other.receive(shell, command)
        texts.append(received.stream("stdout"))
        if received.done:
            break
    assert "".join(texts) == "".join(f"tick {n}\r\n" for n in range(6))


def test_output_is_not_given_to_a_client_that_has_left(one, shell, client):
    command = one.run(shell, "cat")
    leaving = client(one.lone)
    leaving.http.connect()
    body = leaving.message
    leaving.receive(shell, COMMAND)
    message = leaving.http
    wanted = f'<rsp:DesiredStream CommandId="{command}">stdout</rsp:DesiredStream>'
    action = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive"
    sent = body(action, f"<rsp:Receive>{wanted}</rsp:Receive>", shell=shell)
    message.request("POST", "/wsman", sent, leaving.headers)
    until(lambda: one.lone.server.count("receive") == 2)
    message.close()
    one.input(shell, command, b"not lost")
    assert one.receive(shell, command).stream("stdout") == "not lost"


def test_a_later_receive_takes_the_place_of_an_earlier_one(one, shell, client):
    command = one.run(shell, "cat")
    earlier, answers = client(one.lone), []
    waiting = threading.Thread(target=lambda: answers.append(earlier.receive(shell, command)))
    waiting.start()
    until(lambda: one.lone.server.count("receive") == 1)
    later, others = client(one.lone), []
    second = threading.Thread(target=lambda: others.append(later.receive(shell, command)))
    second.start()
    waiting.join(5)
    assert answers[0].code == 995
    one.input(shell, command, b"late")
    second.join(5)
    assert others[0].stream("stdout") == "late"


def test_a_shell_of_somebody_else_is_denied(one, shell, client):
    other = client(one.lone, user="other", password="another ☂")
    answered = other.command(shell, "echo hi")
    assert (answered.code, "w:AccessDenied" in answered.body) == (5, True)
    assert other.delete(shell).code == 5
    assert len(one.lone.server.shells) == 1


def test_shells_of_another_boot_are_gone(one, shell, program):
    command = one.run(shell, "wait")
    program.boot_id = "2"
    assert one.receive(shell, command).code == 2150858843
    assert one.lone.server.shells == ()


def test_shells_are_gone_when_the_service_restarts(one, shell):
    command = one.run(shell, "wait")
    one.lone.server.kept.lose()
    assert one.receive(shell, command).code == 2150858843


def test_a_machine_that_went_down_in_the_middle_tells_nothing(one, shell):
    command = one.run(shell, "gone")
    one.timeout = "PT0.05S"
    assert one.receive(shell, command).code == 2150858793


def test_a_command_that_hangs_never_ends_and_one_that_resets_breaks_connections(one, shell):
    hanging, resetting = one.run(shell, "hang"), one.run(shell, "reset")
    one.timeout = "PT0.05S"
    assert one.receive(shell, hanging).code == 2150858793
    with pytest.raises(OSError):
        one.receive(shell, resetting)
    assert one.receive(shell, hanging).code == 2150858793, "the machine is there all the same"


def test_too_many_shells_are_a_quota_in_the_shape_of_wmi(at_hand):
    one = at_hand(rules=Rules(shells_per_user=2))
    shells = [one.create().shell for _ in range(2)]
    answered = one.create()
    assert (answered.status, answered.code, answered["error_Code"]) == (
        500,
        2150859173,
        "2150859173",
    )
    assert "WSManFault" not in answered.body
    one.delete(shells[0])
    assert one.create().status == 200


def test_terminate_gives_back_a_place_in_the_shell_and_none_of_the_users(at_hand):
    one = at_hand(rules=Rules(commands_per_shell=2, operations_per_user=3))
    shell = one.create().shell
    first, _ = one.run(shell, "echo 1"), one.run(shell, "echo 2")
    assert one.command(shell, "echo 3").code == 2150859174
    one.signal(shell, first, "terminate")
    assert one.command(shell, "echo 3").status == 200
    assert one.command(one.create().shell, "echo 4").code == 2150859174, "of all shells"
    one.delete(shell)
    assert one.command(one.create().shell, "echo 4").status == 200


def test_a_shell_nobody_uses_ends_by_itself(program):
    now_s = [0.0]
    shells = Shells(program, Rules(), clock=lambda: now_s[0])
    short, long = shells.create("drill", "", 10), shells.create("drill", "", 0)
    now_s[0] = 9.0
    shells.find("drill", short.id)
    now_s[0] = 18.0
    assert len(shells.open) == 2
    now_s[0] = 29.0
    assert shells.open == (long,)
    now_s[0] = 7300.0
    assert shells.open == ()
