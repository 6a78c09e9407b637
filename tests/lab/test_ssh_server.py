"""The server is driven by clients that are not ours: plain paramiko, and OpenSSH's `ssh`."""

from __future__ import annotations

import contextlib
import shutil
import socket
import stat
import subprocess
import threading
import time

import paramiko
import pytest

from outagekit.errors import Refused
from outagekit.events import EndpointId
from outagekit.lab.keys import new_key, new_key_file
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.machine import Machine, Pace
from outagekit.lab.ssh_server import LOGIN, LoopbackServer
from outagekit.playbook.model import Drill, DrillStep, Push
from outagekit.transports.ssh.sudo import SFTP_SERVER, Ticket

LINE = "exec env LC_ALL=C.UTF-8 OK_STEP={} OK_PART={} sh -s"


class Lab:
    """One machine behind a real server, and a client that knows its key."""

    def __init__(self, folder, machine):
        folder.mkdir()
        self.machine = machine
        self.key_file = folder / "key"
        self.login_key = new_key_file(self.key_file)
        self.host_key = new_key()
        self.server = LoopbackServer()
        self.port = self.server.add_machine(machine, self.host_key, self.login_key)
        self.server.start()
        self._clients = contextlib.ExitStack()

    def connect(self, key=None, user=LOGIN):
        connection = socket.create_connection((LOOPBACK, self.port), timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(connection)
        self._clients.callback(transport.close)
        transport.connect(self.host_key, user, pkey=key or self.login_key)
        return transport

    def close(self):
        self._clients.close()
        self.server.close()


@pytest.fixture
def lab(lab_folder, machine):
    with contextlib.ExitStack() as stack:

        def made(one=None):
            started = Lab(lab_folder, one or machine())
            stack.callback(started.close)
            return started

        yield made


def run(transport, step, part, script, timeout=5.0):
    channel = transport.open_session()
    channel.settimeout(timeout)
    channel.exec_command(LINE.format(step, part))
    channel.sendall(script)
    channel.shutdown_write()
    with channel.makefile("rb") as out, channel.makefile_stderr("rb") as err:
        text, errors = out.read().decode(), err.read().decode()
    return channel.recv_exit_status(), text, errors


def test_steps_are_answered_over_a_real_connection(lab, machine, drilled, sent):
    one = lab(machine(drilled({"impacted": True}, set={"impacted": False}, stdout="done\n")))
    transport = one.connect()
    assert run(transport, "fix", "check", sent()) == (1, "", "")
    assert run(transport, "detect", "script", sent()) == (0, '{"impacted": true}\n', "")
    assert run(transport, "fix", "script", sent()) == (0, "done\n", "")
    assert run(transport, "fix", "verify", sent()) == (0, "", "")
    assert [e.part for e in one.machine.ran] == ["check", "script", "script", "verify"]


def test_the_identity_probe_tells_who_it_is(lab):
    one = lab()
    code, text, _ = run(one.connect(), "-", "identity", b"anything")
    assert code == 0
    assert f"machine-id={one.machine.machine_id}\n" in text


def test_a_command_is_quick(lab, sent):
    transport = lab().connect()
    began_s = time.perf_counter()
    for _ in range(20):
        run(transport, "detect", "script", sent())
    # Without TCP_NODELAY on the server's side each command would wait 40 ms for an answer.
    assert time.perf_counter() - began_s < 0.6


def test_large_scripts_and_answers_arrive_whole(lab, machine, drilled, sent):
    one = lab(machine(drilled({}, stdout="x" * 60_000, stderr="y" * 60_000)))
    code, text, errors = run(one.connect(), "fix", "script", sent("#" * 3_000_000))
    assert (code, len(text), len(errors)) == (0, 60_000, 60_000)


def test_another_key_or_user_is_not_let_in(lab):
    one = lab()
    with pytest.raises(paramiko.AuthenticationException):
        one.connect(key=new_key())
    with pytest.raises(paramiko.AuthenticationException):
        one.connect(user="ops")


def test_every_endpoint_has_its_own_host_key(machine, lab_folder):
    lab_folder.mkdir()
    login_key = new_key_file(lab_folder / "key")
    keys = [new_key(), new_key()]
    with contextlib.closing(LoopbackServer()) as server:
        ports = [server.add_machine(machine(name=k.get_base64()), k, login_key) for k in keys]
        server.start()
        for key, port in zip(keys, ports, strict=True):
            connection = socket.create_connection((LOOPBACK, port), timeout=5)
            with contextlib.closing(paramiko.Transport(connection)) as transport:
                transport.start_client(timeout=5)
                assert transport.get_remote_server_key() == key


def test_commands_that_are_not_ours_are_not_run(lab):
    channel = lab().connect().open_session()
    channel.settimeout(5)
    channel.exec_command("touch /tmp/x")
    channel.shutdown_write()
    assert b"no shell" in channel.makefile_stderr("rb").read()
    assert channel.recv_exit_status() == 127


@pytest.mark.parametrize("request_", ["invoke_shell", "get_pty"])
def test_there_is_no_shell_and_no_terminal(lab, request_):
    channel = lab().connect().open_session()
    with pytest.raises(paramiko.SSHException):
        getattr(channel, request_)()


def test_nothing_is_forwarded(lab):
    transport = lab().connect()
    with pytest.raises(paramiko.ChannelException):
        transport.open_channel("direct-tcpip", (LOOPBACK, 1), (LOOPBACK, 2), timeout=5)


def test_an_unreachable_machine_refuses_the_connection(lab, machine):
    one = machine()
    one.fault = "unreachable"
    with pytest.raises(ConnectionRefusedError):
        lab(one).connect()


def test_a_machine_that_rejects_logins_does_so_with_the_right_key(lab, machine):
    one = machine()
    one.fault = "auth"
    with pytest.raises(paramiko.AuthenticationException):
        lab(one).connect()


def test_a_hanging_machine_takes_the_command_and_never_answers(lab, machine, sent):
    one = machine()
    one.fault = "hang"
    transport = lab(one).connect()
    assert run(transport, "-", "identity", b"")[0] == 0
    with pytest.raises(TimeoutError):
        run(transport, "detect", "script", sent(), timeout=0.3)
    assert transport.is_active()
    assert len(one.received) == 1


def test_a_machine_that_resets_does_so_after_it_took_the_command(lab, machine, drilled, sent):
    one = machine(drilled({"impacted": True}, set={"impacted": False}))
    one.fault, one.strikes_late = "reset", True
    transport = lab(one).connect()
    assert run(transport, "fix", "check", sent())[0] == 1
    began_s = time.perf_counter()
    assert run(transport, "fix", "script", sent())[0] == -1
    assert time.perf_counter() - began_s < 2
    transport.join(2)
    assert isinstance(transport.saved_exception, ConnectionResetError)
    assert one.state == {"impacted": False}


def test_a_slow_machine_answers_late(lab, machine, sent):
    one = machine(pace=Pace(slow_s=0.3))
    one.fault = "slow"
    began_s = time.perf_counter()
    assert run(lab(one).connect(), "detect", "script", sent())[0] == 0
    assert time.perf_counter() - began_s >= 0.3


def test_closing_ends_hanging_connections_and_frees_the_port(lab, machine, sent):
    one = machine()
    one.fault = "hang"
    started = lab(one)
    transport = started.connect()
    channel = transport.open_session()
    channel.exec_command(LINE.format("detect", "script"))
    channel.sendall(sent())
    channel.shutdown_write()
    began_s = time.perf_counter()
    started.server.close()
    transport.join(2)
    assert not transport.is_active()
    assert time.perf_counter() - began_s < 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, started.port), timeout=1)
    started.server.close()


def test_garbage_on_the_port_harms_nobody(lab, sent, capfd):
    one = lab()
    for garbage in (b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 100):
        with socket.create_connection((LOOPBACK, one.port), timeout=5) as connection:
            connection.sendall(garbage)
    assert run(one.connect(), "detect", "script", sent())[0] == 0
    assert capfd.readouterr() == ("", "")


def test_many_at_once_are_served(lab, sent):
    one = lab()
    codes: list[int] = []

    def work():
        codes.append(run(one.connect(), "detect", "script", sent(), timeout=20)[0])

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert codes == [0] * 16
    assert len(one.machine.ran) == 16


def test_a_quiet_connection_is_looked_at_once_a_second(lab):
    # paramiko's attribute is private: if it goes, many idle connections become dear again.
    assert paramiko.Transport._active_check_timeout == 0.1
    one = lab()
    one.connect()
    (host,) = one.server._hosts.values()
    (line,) = host._connections
    assert line.transport.sock.gettimeout() == 1.0


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::"])
def test_any_address_but_loopback_is_refused(address):
    with pytest.raises(Refused, match="loopback only"):
        LoopbackServer(address)


def test_a_file_is_put_proven_and_fetched(lab, step, book):
    put = step("put", action=Push("f", "/etc/app/f", b"new"), risk="change", verify=None)
    drill = Drill(state={"there": False}, steps={"put": DrillStep(set={"there": True})})
    one = Machine(EndpointId("acme/a"), book(steps=(put,), drill=drill))
    one.files.add("/etc/app/f", b"old")
    with contextlib.closing(paramiko.SFTPClient.from_transport(lab(one).connect())) as sftp:
        with sftp.open("/etc/app/.f.part", "wx") as file:
            file.write(b"new" * 100_000)
            file.chmod(0o600)
        assert one.state == {"there": False}
        with pytest.raises(OSError, match="Failure"):
            sftp.rename("/etc/app/.f.part", "/etc/app/f")
        sftp.posix_rename("/etc/app/.f.part", "/etc/app/f")
        assert one.state == {"there": True}
        found = sftp.stat("/etc/app/f")
        assert (found.st_size, stat.S_IMODE(found.st_mode)) == (300_000, 0o600)
        assert sftp.lstat("/etc/app").st_mode & stat.S_IFDIR
        with sftp.open("/etc/app/f", "rb") as file:
            assert file.read() == b"new" * 100_000
        assert sftp.listdir("/etc/app") == ["f"]
        assert sftp.normalize("x/../y") == "/root/y"


def test_sftp_refuses_what_a_server_refuses(lab):
    with contextlib.closing(paramiko.SFTPClient.from_transport(lab().connect())) as sftp:
        with pytest.raises(FileNotFoundError):
            sftp.open("/etc/none")
        with pytest.raises(FileNotFoundError):
            sftp.open("/none/x", "w")
        with pytest.raises(OSError, match="Failure"):
            sftp.open("/etc")
        sftp.mkdir("/etc/d")
        with sftp.open("/etc/d/x", "w") as file:
            file.write("abc")
        with sftp.open("/etc/d/x", "a") as file:
            file.write("def")
        with sftp.open("/etc/d/x", "r+") as file:
            file.truncate(4)
        with sftp.open("/etc/d/x") as file:
            assert file.read() == b"abcd"
        with pytest.raises(OSError, match="Failure"):
            sftp.rmdir("/etc/d")
        sftp.remove("/etc/d/x")
        sftp.rmdir("/etc/d")
        with pytest.raises(FileNotFoundError):
            sftp.stat("/etc/d")


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_a_machine_goes_wrong_over_sftp_as_well(lab, machine, fault):
    one = machine()
    one.fault = fault
    transport = lab(one).connect()
    channel = transport.open_session()
    channel.settimeout(0.5)
    if fault == "hang":
        channel.invoke_subsystem("sftp")
        channel.sendall(b"\0\0\0\5\1\0\0\0\3")
        with pytest.raises(TimeoutError):
            channel.recv(1)
    else:
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            channel.invoke_subsystem("sftp")
        transport.join(2)
        assert not transport.is_active()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")
@pytest.mark.parametrize("part", ["check", "script"])
def test_openssh_gets_the_same_answers(lab, machine, drilled, sent, part):
    one = lab(machine(drilled({"impacted": True}, stdout="done\n", stderr="hm\n", exit_code=7)))
    known = one.key_file.with_name("known_hosts")
    known.write_text(
        f"[{LOOPBACK}]:{one.port} {one.host_key.get_name()} {one.host_key.get_base64()}\n"
    )
    options = {
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
    }
    words = [f"-o{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [
            *("ssh", "-F", "none", *words, "-i", one.key_file, "-p", str(one.port)),
            *(f"{LOGIN}@{LOOPBACK}", LINE.format("fix", part)),
        ],
        input=sent(),
        capture_output=True,
        timeout=20,
        check=False,
    )
    expected = (1, b"", b"") if part == "check" else (7, b"done\n", b"hm\n")
    assert (done.returncode, done.stdout, done.stderr) == expected


def behind_sudo(session, ticket, line):
    session.exec_command(ticket.line(line))
    session.settimeout(5)
    assert session.recv_stderr(100) == ticket.went(0), "it asks for no password"
    session.sendall(ticket.begin)


def test_a_command_behind_sudo_is_answered_like_any_other(lab):
    started = lab()
    session = started.connect().open_session()
    behind_sudo(session, Ticket(), LINE.format("fix", "check"))
    session.sendall(b"true\n} </dev/null\n")
    session.shutdown_write()
    assert session.recv_exit_status() in {0, 1}
    assert [(each.step, each.part) for each in started.machine.received] == [("fix", "check")]


def test_nothing_runs_behind_sudo_without_the_word_that_lets_it_begin(lab):
    started = lab()
    session = started.connect().open_session()
    session.exec_command(Ticket().line(LINE.format("fix", "script")))
    session.sendall(b"a password nobody asked for\n{ {\nset -eu\n} </dev/null\n}")
    session.shutdown_write()
    session.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        session.recv(1)
    assert started.machine.received == []


def test_files_behind_sudo_are_the_machines_files(lab, machine):
    started = lab()
    started.machine.files.add("/etc/motd", b"hello\n")
    session = started.connect().open_session()
    behind_sudo(session, Ticket(), SFTP_SERVER)
    with paramiko.SFTPClient(session) as files, files.open("/etc/motd") as remote:
        assert remote.read() == b"hello\n"
