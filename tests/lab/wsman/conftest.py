"""What the tests of the lab's WS-Man server share: a program, certificates, a client by hand."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import ssl
import uuid

import pytest
import trustme

from outagekit.lab.answers import Answer
from outagekit.lab.host import GoneError
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.accounts import Account
from outagekit.lab.wsman.alone import LoneServer
from outagekit.lab.wsman.soap import ADDRESSING, CMD, MICROSOFT, SHELL, SOAP, TRANSFER, WSMAN
from outagekit.lab.wsman.tls import Tls

PASSWORD = "p:w ö"
DRILL = Account("drill", PASSWORD)
OTHER = Account("other", "another ☂")


class Scripted:
    """A program whose commands do what their line says."""

    def __init__(self):
        self.boot_id = "1"
        self.asked = []
        self.answers = []

    def run(self, asked, running):
        self.asked.append(asked)
        word, _, rest = asked.line.partition(" ")
        plain = Answer(0, "ran\r\n", "warned\r\n")
        return getattr(self, f"_{word}", lambda *_: plain)(rest, running)

    def _echo(self, rest, running):
        return Answer(0, f"{rest}\r\n")

    def _exit(self, rest, running):
        return Answer(int(rest))

    def _big(self, rest, running):
        return Answer(7, "x" * int(rest), "y" * int(rest))

    def _cat(self, rest, running):
        return Answer(0, running.read().decode())

    def _live(self, rest, running):
        for number in range(int(rest)):
            running.write(f"tick {number}\r\n".encode())
            running.wait(0.05)
        return Answer()

    def _wait(self, rest, running):
        running.write(b"waits\r\n")
        running.wait(30)
        return Answer()

    def _gone(self, rest, running):
        raise GoneError

    def _hang(self, rest, running):
        return Answer(ending="hang")

    def _reset(self, rest, running):
        return Answer(ending="reset")

    def answered(self, answer):
        self.answers.append(answer)

    def trailer(self, asked, answer):
        return '{"how":"end","rc":0}'


@pytest.fixture
def program():
    return Scripted()


@pytest.fixture(scope="session")
def authority():
    return trustme.CA(organization_name="Acme", organization_unit_name="tests")


@pytest.fixture(scope="session")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("wsman-ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def pem_files(authority, tmp_path_factory):
    """Certificate and key, for a server on loopback or for a client."""

    def made(name):
        folder = tmp_path_factory.mktemp("wsman-pem")
        issued = authority.issue_cert(name)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return certificate, key

    return made


@pytest.fixture(scope="session")
def tls(pem_files, ca_file):
    return Tls.load(*pem_files(LOOPBACK), client_ca=ca_file)


@pytest.fixture
def lone(program, tmp_path):
    """Start a service in front of the program."""
    with contextlib.ExitStack() as stack:

        def made(tls=None, **given):
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            given = {"tls": tls, **given}
            return stack.enter_context(LoneServer(program, folder, DRILL, OTHER, **given))

        yield made


class Answered:
    """What a client by hand got."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode("utf-8", "replace")

    def __getitem__(self, name):
        found = re.search(rf"<(?:\w+:)?{name}\b[^>]*>([^<]*)<", self.body)
        return found[1] if found else ""

    @property
    def code(self):
        """The number of a fault, whatever its shape."""
        found = re.search(r'WSManFault [^>]*Code="(\d+)"|error_Code>(\d+)<', self.body)
        return int(found[1] or found[2]) if found else 0

    @property
    def shell(self):
        return re.search(r'Selector Name="ShellId">([^<]*)<', self.body)[1]

    @property
    def done(self):
        return "CommandState/Done" in self.body

    def stream(self, name):
        found = re.findall(rf'Stream Name="{name}"[^>]*>([^<]*)<', self.body)
        return b"".join(base64.b64decode(text) for text in found).decode()


class Client:
    """Messages by hand, over https with Basic or over http: nothing is done by itself."""

    def __init__(self, lone, ca_file=None, *, user="drill", password=PASSWORD):
        self.lone = lone
        self.timeout = "PT5S"
        self.most_bytes = 153600
        if ca_file is None:
            self.http = http.client.HTTPConnection(LOOPBACK, lone.port, timeout=10)
        else:
            context = ssl.create_default_context(cafile=ca_file)
            self.http = http.client.HTTPSConnection(
                LOOPBACK, lone.port, timeout=10, context=context
            )
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {login}"}

    def post(self, body=b"", headers=None, path="/wsman", method="POST"):
        headers = self.headers if headers is None else headers
        self.http.request(method, path, body, headers)
        return Answered(self.http.getresponse())

    def message(self, action, body="", *, shell="", headers="", message_id=None):
        selector = f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>'
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}"'
            f' xmlns:p="{MICROSOFT}" xmlns:rsp="{SHELL}"><s:Header>'
            f'<a:Action s:mustUnderstand="true">{action}</a:Action>'
            f"<a:MessageID>{message_id or f'uuid:{uuid.uuid4()}'}</a:MessageID>"
            f'<w:ResourceURI s:mustUnderstand="true">{CMD}</w:ResourceURI>'
            f"<w:MaxEnvelopeSize>{self.most_bytes}</w:MaxEnvelopeSize>"
            f"<w:OperationTimeout>{self.timeout}</w:OperationTimeout>"
            f"{headers}{selector if shell else ''}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
        ).encode()

    def send(self, action, body="", **given):
        return self.post(self.message(action, body, **given))

    def create(self, inner="", shell_id=""):
        named = f' ShellId="{shell_id}"' if shell_id else ""
        return self.send(f"{TRANSFER}/Create", f"<rsp:Shell{named}>{inner}</rsp:Shell>")

    def command(self, shell, line, command_id=""):
        named = f' CommandId="{command_id}"' if command_id else ""
        line = line.replace("&", "&amp;")
        body = f"<rsp:CommandLine{named}><rsp:Command>{line}</rsp:Command></rsp:CommandLine>"
        return self.send(f"{SHELL}/Command", body, shell=shell)

    def input(self, shell, command, data, *, end=True):
        text = base64.b64encode(data).decode()
        ends = ' End="true"' if end else ""
        body = f'<rsp:Stream Name="stdin" CommandId="{command}"{ends}>{text}</rsp:Stream>'
        return self.send(f"{SHELL}/Send", f"<rsp:Send>{body}</rsp:Send>", shell=shell)

    def receive(self, shell, command):
        wanted = f'<rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream>'
        return self.send(f"{SHELL}/Receive", f"<rsp:Receive>{wanted}</rsp:Receive>", shell=shell)

    def signal(self, shell, command, code):
        code = f"<rsp:Code>{SHELL}/signal/{code}</rsp:Code>"
        body = f'<rsp:Signal CommandId="{command}">{code}</rsp:Signal>'
        return self.send(f"{SHELL}/Signal", body, shell=shell)

    def delete(self, shell):
        return self.send(f"{TRANSFER}/Delete", shell=shell)

    def run(self, shell, line):
        """Return a command's id once it was started."""
        return self.command(shell, line)["CommandId"]


@pytest.fixture
def client(ca_file):
    """A client by hand for a service, over https with Basic."""
    with contextlib.ExitStack() as stack:

        def made(lone, **given):
            secure = lone.server.tls is not None
            one = Client(lone, ca_file if secure else None, **given)
            stack.callback(one.http.close)
            return one

        yield made


@pytest.fixture
def at_hand(lone, client, tls):
    """A client by hand, and the service it talks to as `lone`."""

    def made(**given):
        return client(lone(tls, **given))

    return made


@pytest.fixture
def account():
    return DRILL
