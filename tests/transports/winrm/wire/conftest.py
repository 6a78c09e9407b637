"""A WinRM service in miniature, real to the wire: HTTP, TLS, Basic, NTLM with its seal."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import re
import socket
import ssl
import struct
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import pytest
import spnego
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from spnego.channel_bindings import GssChannelBindings

from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.authentication import end_point_hash
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tls import Believed
from outagekit.transports.winrm.wire import Wire

USER, PASSWORD = "ACME\\drill", "correct-horse-staple"
SHELL = "11111111-2222-3333-4444-555555555555"
PATIENT = Deadlines(connect_s=5.0, handshake_s=5.0, auth_s=5.0, accept_s=5.0)
BOUNDARY = b"--Encrypted Boundary"
SEALED = (
    'multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";'
    'boundary="Encrypted Boundary"'
)
SOAP = "application/soap+xml;charset=UTF-8"


@dataclass(frozen=True)
class Request:
    """One HTTP request as it came."""

    connection: int
    head: str
    body: bytes
    message: str = ""
    """The SOAP message, unsealed."""

    def header(self, name: str) -> str:
        found = re.search(rf"(?im)^{re.escape(name)}: *(.*?)\r?$", self.head)
        return found[1] if found else ""

    @property
    def action(self) -> str:
        found = re.search(r"<a:Action[^>]*>[^<]*/(\w+)<", self.message)
        return found[1] if found else ""

    @property
    def id(self) -> str:
        found = re.search(r"<a:MessageID>([^<]*)<", self.message)
        return found[1] if found else ""

    def attribute(self, name: str) -> str:
        found = re.search(rf'{name}="([^"]*)"', self.message)
        return found[1] if found else ""


@dataclass(frozen=True)
class Reply:
    """What to answer; `raw` goes as it is, and then the connection is closed."""

    status: int = 200
    body: bytes = b""
    headers: tuple[str, ...] = ()
    raw: bytes = b""
    sealed: bool = True
    pause_s: float = 0.0


DROP = Reply(raw=b"\0")


def envelope(relates: str, body: str) -> bytes:
    return f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
 xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer"
 xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Header>
 <a:RelatesTo>{relates}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>""".encode()


def fault(relates: str, code: int, *, subcode: str = "w:InternalError", words: str = "no") -> bytes:
    detail = (
        '<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"'
        f' Code="{code}"><f:Message>{words}</f:Message></f:WSManFault>'
    )
    return envelope(
        relates,
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode>"
        f"<s:Value>{subcode}</s:Value></s:Subcode></s:Code><s:Reason>"
        f"<s:Text>{words}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>",
    )


def output(request: Request, stdout: bytes, *, done: bool = True, code: object = 0) -> bytes:
    command = request.attribute("CommandId")
    ended = f"<rsp:ExitCode>{code}</rsp:ExitCode>" if done else ""
    state = "Done" if done else "Running"
    base = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState"
    return envelope(
        request.id,
        f'<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="{command}">'
        f"{base64.b64encode(stdout).decode()}</rsp:Stream>"
        f'<rsp:CommandState CommandId="{command}" State="{base}/{state}">{ended}'
        "</rsp:CommandState></rsp:ReceiveResponse>",
    )


def answer(request: Request) -> Reply:
    """What a sound service answers."""
    selector = f'<w:Selector Name="ShellId">{SHELL}</w:Selector>'
    bodies = {
        "Create": "<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet>"
        f"{selector}</w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>",
        "Command": "<rsp:CommandResponse><rsp:CommandId>"
        f"{request.attribute('CommandId')}</rsp:CommandId></rsp:CommandResponse>",
    }
    if request.action == "Receive":
        return Reply(body=output(request, b"hello\r\n"))
    return Reply(body=envelope(request.id, bodies.get(request.action, "")))


class Service:
    """Listens on loopback; what it answers is up to `act`, after the login."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        auth: str = "ntlm",
        address: str = "127.0.0.1",
        password: str = PASSWORD,
    ) -> None:
        self.tls = tls
        self.auth = auth
        self.password = password
        self.der = b""
        """Its certificate, if channel binding is enforced."""
        self.heard: list[Request] = []
        self.act: Callable[[Request], Reply] = answer
        self.before: Callable[[Request], Reply | None] = lambda request: None
        """Sees every request first, the login's too."""
        self.connections = 0
        self.over = threading.Event()
        self._open: list[socket.socket] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def messages(self) -> list[Request]:
        return [request for request in self.heard if request.message]

    @property
    def actions(self) -> list[str]:
        return [request.action for request in self.messages]

    @property
    def bytes(self) -> bytes:
        """Everything that came, as it came."""
        return b"".join(request.head.encode() + request.body for request in self.heard)

    def drop_all(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def stop(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_all()
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            args = (sock, self.connections)
            threading.Thread(target=self._guarded, args=args, daemon=True).start()

    def _guarded(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.closing(sock):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with contextlib.closing(sock), sock.makefile("rb") as file:
                _Talk(self, sock, number, file).run()


class _Talk:
    """One connection of a service."""

    def __init__(self, service: Service, sock: socket.socket, number: int, file: BinaryIO) -> None:
        self.service = service
        self.sock = sock
        self.number = number
        self.file = file
        self.context: spnego.ContextProxy | None = None
        self.proven = False

    def run(self) -> None:
        while (request := self._read()) is not None:
            reply = self.service.before(request)
            if reply is None and self.service.auth == "ntlm" and not self.proven:
                self.service.heard.append(request)
                reply = replace(self._asked(request), sealed=False)
            elif reply is None:
                request = replace(request, message=self._unsealed(request))
                self.service.heard.append(request)
                reply = self._judged(request)
            else:
                self.service.heard.append(request)
            if reply is DROP:
                return
            self._write(reply, request)
            if reply.raw:
                return

    def _read(self) -> Request | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.file.readline(65536)
            if not line:
                return None
            head += line
        request = Request(self.number, head.decode("latin-1"), b"")
        length = int(request.header("Content-Length") or 0)
        return replace(request, body=self.file.read(length))

    def _write(self, reply: Reply, request: Request) -> None:
        if reply.pause_s:
            self.service.over.wait(reply.pause_s)
        if reply.raw:
            self.sock.sendall(reply.raw)
            return
        body, kind = reply.body, SOAP
        if body and reply.sealed and self.proven and not isinstance(self.sock, ssl.SSLSocket):
            body, kind = self._sealed(body), SEALED
        lines = [f"HTTP/1.1 {reply.status} X", f"Content-Length: {len(body)}", *reply.headers]
        if not any(line.startswith("Content-Type") for line in lines):
            lines.append(f"Content-Type: {kind}")
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def _asked(self, request: Request) -> Reply:
        said = request.header("Authorization")
        if not said.startswith("Negotiate "):
            return Reply(401, headers=("WWW-Authenticate: Negotiate",))
        if self.context is None:
            bound = None
            if self.service.der:
                data = b"tls-server-end-point:" + end_point_hash(self.service.der)
                bound = GssChannelBindings(application_data=data)
            self.context = spnego.server(
                protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm, channel_bindings=bound
            )
        try:
            token = self.context.step(base64.b64decode(said.removeprefix("Negotiate ")))
        except spnego.exceptions.SpnegoError:
            self.context = None
            return Reply(401, headers=("WWW-Authenticate: Negotiate",))
        if self.context.complete:
            self.proven = True
            return Reply()
        shown = base64.b64encode(token or b"").decode()
        return Reply(401, headers=(f"WWW-Authenticate: Negotiate {shown}",))

    def _judged(self, request: Request) -> Reply:
        if not request.body:
            return Reply()
        if not request.message:
            return Reply(400)
        if self.service.auth == "basic":
            said = f"{USER}:{self.service.password}".encode("latin-1")
            token = base64.b64encode(said).decode()
            if request.header("Authorization") != f"Basic {token}":
                return Reply(401, headers=('WWW-Authenticate: Basic realm="WSMAN"',))
        return self.service.act(request)

    def _unsealed(self, request: Request) -> str:
        if "multipart/encrypted" not in request.header("Content-Type"):
            return request.body.decode()
        assert self.context is not None
        data = request.body.split(b"octet-stream\r\n", 1)[1].removesuffix(BOUNDARY + b"--\r\n")
        (length,) = struct.unpack("<i", data[:4])
        assert length == 16
        return self.context.unwrap(data[4:]).data.decode()

    def _sealed(self, body: bytes) -> bytes:
        assert self.context is not None
        kind = b"\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        told = b"\tOriginalContent: type=%b;Length=%d\r\n" % (SOAP.encode(), len(body))
        wrapped = self.context.wrap(body).data
        return b"".join(
            (
                BOUNDARY + b"\r\n" + kind + told + BOUNDARY + b"\r\n",
                b"\tContent-Type: application/octet-stream\r\n",
                struct.pack("<i", 16) + wrapped + BOUNDARY + b"--\r\n",
            )
        )


@dataclass
class Bench:
    """Starts services and makes wires to them."""

    folder: Path
    services: list[Service] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def service(self, **facts: object) -> Service:
        self.services.append(Service(**facts))
        return self.services[-1]

    def secure(self, certificate: trustme.LeafCert, **facts: object) -> Service:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return self.service(tls=context, **facts)

    def secure_with(self, files: tuple[Path, Path], **facts: object) -> Service:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        return self.service(tls=context, **facts)

    def wire(
        self,
        service: Service,
        *,
        login: Login | None = None,
        trust: Believed | None = None,
        deadlines: Deadlines = PATIENT,
        scheme: str | None = None,
        address: str = "127.0.0.1",
        connect: Callable[[float], socket.socket | Failure] | None = None,
        **facts: object,
    ) -> Wire:
        reached = "::1" if ":" in address else "127.0.0.1"
        scheme = scheme or ("http" if service.tls is None else "https")
        made = Wire(
            Place(scheme, address, service.port),
            login or log_in(),
            connect=connect or (lambda _: socket.create_connection((reached, service.port))),
            trust=trust or Believed(words="acme/pos-01"),
            deadlines=deadlines,
            stop=self.stop,
            **facts,
        )
        self.wires.append(made)
        return made


def log_in(**facts: object) -> Login:
    return Login(**{"client": "acme", "user": USER, "password": PASSWORD, "name": "admin", **facts})


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    domain, user = USER.split("\\")
    accounts = tmp_path / "accounts"
    accounts.write_text(f"{domain}:{user}:{PASSWORD}\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(accounts))
    made = Bench(tmp_path)
    yield made
    made.stop.set()
    for wire in made.wires:
        wire.close()
    for service in made.services:
        service.stop()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("127.0.0.1", "::1", "pos-01.acme.example")


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def der_of(leaf: trustme.LeafCert) -> bytes:
    pem = leaf.cert_chain_pems[0].bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def pin_of(leaf: trustme.LeafCert) -> Believed:
    key = HostKey.of_certificate(der_of(leaf))
    return Believed(certificates=(key,), words="acme/pos-01")


def self_signed(
    folder: Path, *, days: int = 9, passphrase: bytes = b"", names: tuple[str, ...] = ()
) -> tuple[tuple[Path, Path], bytes]:
    """Return the files of a certificate without an authority and of its key, and its DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pos-01")])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=20))
        .not_valid_after(now + dt.timedelta(days=days))
    )
    if names:
        shown = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(n)) for n in names]
        )
        builder = builder.add_extension(shown, critical=False)
    made = builder.sign(key, hashes.SHA256())
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else None
    files = folder / "self.pem", folder / "self.key"
    files[0].write_bytes(made.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, private, hidden or serialization.NoEncryption()))
    return files, made.public_bytes(serialization.Encoding.DER)


def eventually(true: Callable[[], bool], within_s: float = 2.0) -> bool:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if true():
            return True
        time.sleep(0.01)
    return true()


@pytest.fixture(scope="session")
def kit() -> object:
    """What tests need of this file, which no test can import."""
    return types.SimpleNamespace(
        Reply=Reply,
        DROP=DROP,
        SHELL=SHELL,
        PASSWORD=PASSWORD,
        USER=USER,
        answer=answer,
        envelope=envelope,
        fault=fault,
        output=output,
        log_in=log_in,
        der_of=der_of,
        pin_of=pin_of,
        self_signed=self_signed,
        eventually=eventually,
        PATIENT=PATIENT,
        Request=Request,
    )
