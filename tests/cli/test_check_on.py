"""Having an endpoint parse a playbook: a real sshd with real shells, and PowerShell's answers."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess

import pytest
import yaml

from outagekit.events import FailureKind
from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.playbook.load import load_playbook
from outagekit.playbook.model import Code
from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd
from outagekit.testing.transport import said
from outagekit.transports import open as opening
from outagekit.transports.posix import parsing as posix
from outagekit.transports.protocol import Failure, Opened, Outcome
from outagekit.transports.trust.known_hosts import host_name
from outagekit.transports.windows.render import sent_in

PLAYBOOK = """\
outagekit: 1
title: Mend the thing
steps:
  - id: look
    phase: assess
    risk: read
    sh: |
      echo one
      %s
  - id: mend
    phase: fix
    script: [mend.sh, mend.ps1]
  - id: wipe
    phase: fix
    check: {powershell: 'Test-Path C:\\mended'}
    powershell: |
      'one'
      Remove-Item C:\\mended
    undo: {cmd: 'echo.>C:\\mended'}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    folder = tmp_path / "workspace"
    for name in ("inventory", "playbooks"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "outagekit.yaml").write_text("outagekit: 1\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OUTAGEKIT_SSH_CONFIG", "none")
    write(folder)
    return folder


def write(folder, *, second="echo two", file="touch /mended\n", powershell="New-Item C:\\mended\n"):
    (folder / "playbooks" / "mend.yaml").write_text(PLAYBOOK % second)
    (folder / "playbooks" / "mend.sh").write_text(file)
    (folder / "playbooks" / "mend.ps1").write_text(powershell)


def inventory(folder, *, login=None, **endpoints):
    login = login or {"user": getpass.getuser(), "key": str(folder / "id")}
    content = {
        "outagekit": 1,
        "client": "acme",
        "name": "Acme",
        "credentials": {"admin": login},
        "endpoints": {
            name: {"address": "127.0.0.1", "credential": "admin", **facts}
            for name, facts in endpoints.items()
        },
    }
    (folder / "inventory" / "acme.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def linux(workspace, tmp_path):
    """A workspace with an endpoint that has this machine's shells."""
    if find_sshd() is None:
        pytest.skip("sshd is not installed")
    key = make_key(workspace / "id")
    port = free_port("127.0.0.1")
    inventory(workspace, web={"os": "linux", "port": port})
    with sshd(tmp_path / "sshd", ["127.0.0.1"], port, login_keys=[key.public]) as host:
        kind, data = host.public.split()[:2]
        trust = workspace / "trust" / "acme"
        trust.mkdir(parents=True, mode=0o700)
        (workspace / "trust").chmod(0o700)
        line = f"{host_name('127.0.0.1', port)} {kind} {data}\n"
        (trust / "known_hosts").write_text(line)
        (trust / "known_hosts").chmod(0o600)
        yield workspace


def check(call, *words, on="web"):
    return call("check", "playbooks/mend.yaml", "--on", on, "--state-dir", "state", *words)


def test_a_playbook_that_the_endpoint_can_read_is_fine(call, linux):
    called = check(call)

    assert called.code == 0, called.err
    assert "parsed 2 texts" in called.err


def test_problems_are_told_where_they_stand_in_the_playbook(call, linux):
    write(linux, second="if then")

    called = check(call, "--json")

    assert called.code == 8
    (problem,) = called.document["problems"]
    assert (problem["line"], problem["column"]) == (9, 7)
    assert problem["source"] == "      if then"
    assert problem["path"].endswith("mend.yaml")


def test_problems_of_a_file_beside_the_playbook_are_told_there(call, linux):
    write(linux, file="echo one\nfi\n")

    called = check(call, "--json")

    assert called.code == 8
    (problem,) = called.document["problems"]
    assert (problem["line"], problem["source"]) == (2, "fi")
    assert problem["path"].endswith("mend.sh")


def test_nothing_of_it_is_run(call, linux):
    write(linux, second=f"touch {linux / 'ran'}; $(touch {linux / 'ran'})")

    assert check(call).code == 0
    assert not (linux / "ran").exists()


def test_an_endpoint_that_does_not_answer_is_exit_code_4(call, workspace):
    make_key(workspace / "id")
    inventory(workspace, web={"os": "linux", "port": free_port("127.0.0.1")})

    called = check(call, "--json")

    assert called.code == 4
    assert called.document["failure"]["kind"] == "refused"
    assert called.document["parsed"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("check", "--on", "web"), "one playbook"),
        (("check", "playbooks/mend.yaml", "--client", "acme"), "--on"),
        (("check", "playbooks/mend.yaml", "--on", "all"), "one endpoint"),
    ],
)
def test_words_that_do_not_fit_together_are_refused(call, workspace, words, says):
    inventory(workspace, web={"os": "linux"}, mail={"os": "linux"})

    called = call(*words, "--state-dir", "state")

    assert called.code == 2
    assert says in called.err


class Windows:
    """An endpoint whose PowerShell says of each text what it is told to."""

    def __init__(self, answer):
        self.texts = []
        self._answer = answer

    def open(self, *, booting=False):
        return Opened(machine_id="m", key="SHA256:x")

    def close(self):
        pass

    def execute(self, command, limits, on_output=None):
        text = sent_in(command.stdin).text
        self.texts.append(text)
        return self._answer(len(self.texts))


@pytest.fixture
def windows(workspace, monkeypatch):
    """Have every endpoint be Windows; call it with what it answers to its nth text."""
    monkeypatch.setenv("DRILL_PASSWORD", "made-for-this-test")
    login = {"user": "drill", "password": "env:DRILL_PASSWORD"}
    inventory(workspace, login=login, web={"os": "windows"})

    def made(answer):
        transport = Windows(answer)
        monkeypatch.setattr(opening, "transport_for", lambda _target, _access: transport)
        return transport

    return made


FINE = said('{"parsed":0,"version":"5.1"}\n')


def test_a_windows_endpoint_is_given_powershell_only(call, windows):
    endpoint = windows(lambda _number: FINE)

    called = check(call)

    assert called.code == 0, called.err
    assert "1 in cmd not" in called.err
    assert len(endpoint.texts) == 3  # mend.ps1, Remove-Item, its check; nothing of step look


def test_what_powershell_says_is_told_where_it_stands(call, windows):
    fault = said('{"line":2,"column":8,"message":"Unexpected \\u0027x\\u0027"}\n{"parsed":1}\n')
    windows(lambda number: fault if number == 2 else FINE)

    called = check(call, "--json")

    assert called.code == 8
    (problem,) = called.document["problems"]
    assert problem["message"] == "Unexpected 'x'"
    assert problem["source"] == "      Remove-Item C:\\mended"
    assert problem["column"] == 14


def test_an_endpoint_that_cannot_parse_is_not_taken_for_a_good_one(call, windows):
    windows(lambda _number: said(code=1, stderr="language mode\n"))

    called = check(call, "--json")

    assert called.code == 3
    assert "language mode" in called.document["failure"]["detail"]


def test_problems_found_before_the_line_broke_are_still_told(call, windows):
    fault = said('{"line":1,"column":1,"message":"bad"}\n{"parsed":1}\n')
    lost = Outcome(None, failure=Failure(FailureKind.LOST, "gone", sent=True))
    windows(lambda number: fault if number == 1 else lost)

    called = check(call, "--json")

    assert called.code == 8
    assert called.document["failure"]["kind"] == "lost"
    assert len(called.document["problems"]) == 1


@pytest.mark.skipif(os.name != "posix", reason="runs POSIX shells")
@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "busybox", "zsh"])
@pytest.mark.parametrize(
    ("text", "line"),
    [("echo a\nif true\n", 3), ("echo a\nfi\n", 2), ("echo 'a\n' b\n\ndone\n", 4), ("true\n", 0)],
)
def test_every_shell_tells_where_it_stumbled(shell, text, line, tmp_path):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    applet = " sh" if shell == "busybox" else ""
    (tmp_path / "sh").write_text(f'#!/bin/sh\nexec {path}{applet} "$@"\n')
    (tmp_path / "sh").chmod(0o755)
    command = posix.parse_command(Code("sh", text))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", command.line],
        input=command.stdin,
        env=environment,
        capture_output=True,
        timeout=20,
        check=False,
    )

    parsed = posix.parse_problem(said(done.stdout.decode(), code=done.returncode))

    assert parsed is not None
    assert bool(parsed.message) == (line > 0)
    assert abs(parsed.line - line) <= 1  # the end of a file is counted in two ways


def test_what_is_no_answer_of_a_shell_is_none():
    assert posix.parse_problem(said("hello\n")) is None
    assert posix.parse_problem(said("outagekit-parsed 0\n", code=1)) is None


@pytest.mark.parametrize(("text", "code"), [("if (1) { 2 }", 0), ("if (1) { 2", 8)])
def test_it_can_be_tried_on_a_simulated_windows_machine(call, tmp_path, monkeypatch, text, code):
    folder = tmp_path / "lab"
    (tmp_path / "one.yaml").write_text(
        f"outagekit: 1\ntitle: One\ntargets: os:windows\nsteps:\n"
        f"  - {{id: one, risk: read, powershell: '{text}'}}\n"
    )
    playbook = load_playbook(tmp_path / "one.yaml")
    with Fleet.start(playbook, endpoints=1, seed=1, folder=folder, faults={}) as fleet:
        monkeypatch.chdir(write_lab_workspace(fleet))
        (machine,) = fleet.machines.values()
        called = call("check", str(tmp_path / "one.yaml"), "--on", machine.endpoint)
        assert called.code == code, called.err
        assert {entry.step for entry in machine.received} == {"-"}
    assert ("Missing closing" in called.err) is (code == 8)


def test_the_endpoint_is_named_with_or_without_its_client(call, windows):
    windows(lambda _number: FINE)

    assert check(call, on="acme/web").code == 0
    assert check(call, "--client", "acme").code == 0
    assert check(call, on="acme/nobody").code == 7
