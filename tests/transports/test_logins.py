"""One password for many endpoints: it locks no account, and a right one slows nobody down."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from outagekit.credentials import SecretRef
from outagekit.events import EndState, FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.transports.access import Access
from outagekit.transports.logins import Logins, SharedPassword, Turn, Verdict
from outagekit.transports.protocol import Deadlines, Failure, Opened, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.store import TrustStore

if TYPE_CHECKING:
    from conftest import Scripted, ScriptedServer, Sshd

Make = Callable[..., "ScriptedServer"]
RIGHT, WRONG = "the-right-word", "a-wrong-word"
KEYRING = SecretRef("keyring", "shared")


class Desk:
    """Opens connections to many endpoints of one client with one `Access`."""

    def __init__(self, folder: Path, deadlines: Deadlines | None = None) -> None:
        self.trust = TrustStore(folder)
        self.words: dict[str, str] = {}
        self.word = RIGHT
        self.access = Access(
            self.trust,
            lambda reference, endpoint, label: self.words.get(endpoint.name, self.word),
            deadlines or Deadlines(),
        )
        self.made: list[SshTransport] = []

    def transport(
        self, port: int, name: str = "web-01", /, *, reference: SecretRef = KEYRING, **facts: object
    ) -> SshTransport:
        facts = {"name": "admin", "user": "root", "password": reference, **facts}
        client = str(facts.pop("client", "acme"))
        endpoint = Endpoint(client=client, name=name, address="127.0.0.1", os="linux", port=port)
        target = Target(endpoint=endpoint, credential=Credential(**facts))
        self.made.append(SshTransport(target, self.access))
        return self.made[-1]

    def open_all(self, ports: list[int], **facts: object) -> list[Opened | Failure]:
        """Open one endpoint after the other, 16 at a time."""
        made = [self.transport(port, f"web-{n:02d}", **facts) for n, port in enumerate(ports)]
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda transport: transport.open(), made))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "trust")
    yield made
    for transport in made.made:
        transport.close()


class Gatekeeper:
    """An SSH server that counts the passwords which really arrive, and how many at once."""

    def __init__(self, scripted: type[Scripted], make: Make, desk: Desk) -> None:
        self.arrived: list[str] = []
        self.most_at_once = 0
        self.takes_s = 0.0
        self.silent_for: set[int] = set()
        """Numbers of the passwords that get no answer, from 0."""
        self.closes_on_wrong = False
        self.keeper = self
        self._guard = threading.Lock()
        self._inside = 0
        keeper = self

        class Serving(scripted):  # type: ignore[misc, valid-type]
            ways = "password"

            def get_allowed_auths(self, username: str) -> str:
                return self.ways

            def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
                return paramiko.AUTH_FAILED

            def check_auth_password(self, username: str, password: str) -> int:
                return keeper.judge(self, password)

            def check_auth_interactive(
                self, username: str, submethods: str
            ) -> int | paramiko.InteractiveQuery:
                if self.ways == "password":
                    return paramiko.AUTH_FAILED
                return paramiko.InteractiveQuery("", "", ("Password: ", False))

            def check_auth_interactive_response(self, responses: list[str]) -> int:
                return keeper.judge(self, responses[0])

        self.serving = Serving
        self._server = make(Serving)
        self.port = self._server.port
        for client in ("acme", "other", "adhoc"):
            desk.trust.add(client, "127.0.0.1", self.port, self._server.key)

    def judge(self, server: Scripted, password: str) -> int:
        with self._guard:
            number = len(self.arrived)
            self.arrived.append(password)
            self._inside += 1
            self.most_at_once = max(self.most_at_once, self._inside)
        server.over.wait(20 if number in self.silent_for else self.takes_s)
        with self._guard:
            self._inside -= 1
        if password == RIGHT:
            return paramiko.AUTH_SUCCESSFUL
        if self.closes_on_wrong:
            server.sock.close()
        return paramiko.AUTH_FAILED


@pytest.fixture
def gatekeeper(
    scripted: type[Scripted], scripted_server: Make, desk: Desk
) -> Callable[[], Gatekeeper]:
    return lambda: Gatekeeper(scripted, scripted_server, desk)


def kinds(results: list[Opened | Failure]) -> list[str]:
    return sorted(r.kind.value if isinstance(r, Failure) else "opened" for r in results)


@pytest.mark.parametrize("ways", ["password", "keyboard-interactive"])
def test_of_thirty_endpoints_two_get_a_wrong_password(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper], ways: str
) -> None:
    keeper = gatekeeper()
    keeper.serving.ways = ways
    keeper.takes_s = 0.1
    desk.word = WRONG
    results = desk.open_all([keeper.port] * 30)
    assert keeper.arrived == [WRONG, WRONG]
    assert kinds(results) == ["auth"] * 2 + ["credential_stopped"] * 28
    stopped = next(r for r in results if isinstance(r, Failure) and r.kind != FailureKind.AUTH)
    assert stopped.state is EndState.FAILED
    assert "credential admin (root) of acme was not accepted twice in a row" in stopped.detail
    assert WRONG not in "".join(r.detail for r in results if isinstance(r, Failure))


def test_openssh_sees_two_wrong_passwords_of_thirty_endpoints(
    desk: Desk, sshd_with: Callable[..., Sshd]
) -> None:
    server = sshd_with(options=("PasswordAuthentication yes", "LogLevel VERBOSE"))
    desk.trust.add("acme", "127.0.0.1", server.port, server.key)
    desk.word = WRONG
    results = desk.open_all([server.port] * 30)
    server.stop()
    log = (server.folder / "sshd.log").read_text()
    assert len(re.findall("Failed password for root", log)) == 2
    assert kinds(results) == ["auth"] * 2 + ["credential_stopped"] * 28


def test_later_logins_with_a_stopped_credential_connect_nowhere(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    desk.word = WRONG
    desk.open_all([keeper.port] * 2)
    served = len(keeper._server.served)
    asked_s = time.monotonic()
    result = desk.transport(keeper.port, "late").open()
    assert kinds([result]) == ["credential_stopped"]
    assert time.monotonic() - asked_s < 0.2
    assert len(keeper._server.served) == served


def test_a_right_password_waits_for_the_first_answer_only(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    keeper.takes_s = 0.5
    results = desk.open_all([keeper.port] * 17)
    assert kinds(results) == ["opened"] * 17
    assert keeper.most_at_once > 8


def test_a_success_in_between_sets_the_count_back(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    for number in range(4):
        desk.words[f"bad-{number}"] = WRONG
        assert kinds([desk.transport(keeper.port, f"bad-{number}").open()]) == ["auth"]
        assert kinds([desk.transport(keeper.port, f"good-{number}").open()]) == ["opened"]
    assert len(keeper.arrived) == 8


def test_after_a_refusal_passwords_go_one_at_a_time_again(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    assert kinds([desk.transport(keeper.port, "first").open()]) == ["opened"]
    desk.word = WRONG
    assert kinds([desk.transport(keeper.port, "second").open()]) == ["auth"]
    keeper.takes_s = 0.1
    keeper.most_at_once = 0
    results = desk.open_all([keeper.port] * 8)
    assert keeper.most_at_once == 1
    assert kinds(results) == ["auth"] + ["credential_stopped"] * 7


def test_who_is_unreachable_or_a_stranger_does_not_count(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper], scripted_server: Make
) -> None:
    keeper = gatekeeper()
    stranger = scripted_server(keeper.serving)
    results = desk.open_all([1, stranger.port, 1, stranger.port, keeper.port])
    assert kinds(results) == ["host_key"] * 2 + ["opened"] + ["refused"] * 2
    assert keeper.arrived == [RIGHT]


def test_a_wrong_machine_proves_the_password_all_the_same(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    desk.trust.pin_machine("acme", "web-00", "f" * 32)
    results = desk.open_all([keeper.port])
    assert kinds(results) == ["wrong_machine"]
    desk.word = WRONG
    assert kinds([desk.transport(keeper.port, "next").open()]) == ["auth"]
    desk.word = RIGHT
    assert kinds([desk.transport(keeper.port, "last").open()]) == ["opened"]


def test_a_server_that_closes_on_a_wrong_password_without_a_word_is_counted(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    keeper.closes_on_wrong = True
    desk.word = WRONG
    results = desk.open_all([keeper.port] * 8)
    assert keeper.arrived == [WRONG, WRONG]
    assert kinds(results).count("credential_stopped") == 6


def test_silence_after_a_proven_password_is_no_strike(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    quick = Desk(desk.trust.folder, Deadlines(auth_s=0.5))
    keeper.silent_for = {1, 2, 3}
    found = [kinds([quick.transport(keeper.port, f"web-{n}").open()])[0] for n in range(5)]
    assert found == ["opened", "timeout", "timeout", "timeout", "opened"]
    for transport in quick.made:
        transport.close()


def test_a_login_that_hangs_holds_up_the_others_for_its_deadline_only(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    quick = Desk(desk.trust.folder, Deadlines(auth_s=0.8))
    keeper.silent_for = {0}
    began_s = time.monotonic()
    results = quick.open_all([keeper.port] * 6)
    assert time.monotonic() - began_s < 3
    assert kinds(results) == ["opened"] * 5 + ["timeout"]
    for transport in quick.made:
        transport.close()


def test_a_login_that_waits_for_its_turn_can_be_aborted(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    keeper.silent_for = {0}
    with ThreadPoolExecutor(2) as pool:
        first, second = desk.transport(keeper.port, "a"), desk.transport(keeper.port, "b")
        hanging = pool.submit(first.open)
        until(lambda: len(keeper.arrived) == 1)
        waiting = pool.submit(second.open)
        until(lambda: second._session is not None and second._session.is_sound)
        time.sleep(0.05)
        began_s = time.monotonic()
        second.abort()
        assert kinds([waiting.result(2)]) == ["lost"]
        assert time.monotonic() - began_s < 1
        first.abort()
        hanging.result(2)
    assert len(keeper.arrived) == 1


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_credentials_of_two_clients_and_two_users_are_apart(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    desk.word = WRONG
    desk.open_all([keeper.port] * 3)
    desk.word = RIGHT
    apart = ({"client": "other"}, {"user": "somebody"}, {"name": "second"})
    for number, facts in enumerate(apart):
        made = desk.transport(keeper.port, f"apart-{number}", **facts)
        assert kinds([made.open()]) == ["opened"]
    assert kinds([desk.transport(keeper.port, "same").open()]) == ["credential_stopped"]


def test_without_an_inventory_user_and_reference_are_the_credential(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    desk.word = WRONG
    for number in range(2):
        made = desk.transport(keeper.port, f"a{number}", client="adhoc", name=f"login-{number}")
        assert kinds([made.open()]) == ["auth"]
    third = desk.transport(keeper.port, "a3", client="adhoc", name="login-3")
    assert kinds([third.open()]) == ["credential_stopped"]


def test_passwords_that_a_command_gives_each_endpoint_are_not_shared(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    command = SecretRef("cmd", argv=("fetch-password",))
    desk.words = {f"web-{n:02d}": f"{WRONG}-{n}" for n in range(3)}
    results = desk.open_all([keeper.port] * 4, reference=command)
    assert kinds(results) == ["auth"] * 3 + ["opened"]
    desk.words = {f"web-{n:02d}": WRONG for n in range(4)}
    results = desk.open_all([keeper.port] * 4, reference=command)
    assert kinds(results) == ["auth"] * 2 + ["credential_stopped"] * 2


def test_keys_go_on_when_the_password_is_stopped(
    desk: Desk, sshd_with: Callable[..., Sshd]
) -> None:
    server = sshd_with(options=("PasswordAuthentication yes",))
    desk.trust.add("acme", "127.0.0.1", server.port, server.key)
    desk.word = WRONG
    desk.open_all([server.port] * 3)
    key = str(server.user_key)
    assert kinds([desk.transport(server.port, "keyed", key=key).open()]) == ["opened"]


def test_a_password_no_server_asks_for_is_not_counted(
    desk: Desk, gatekeeper: Callable[[], Gatekeeper]
) -> None:
    keeper = gatekeeper()
    keeper.serving.ways = "publickey"
    assert kinds(desk.open_all([keeper.port] * 3)) == ["auth"] * 3
    keeper.serving.ways = "password"
    assert kinds([desk.transport(keeper.port, "next").open()]) == ["opened"]


class TestTurns:
    """The count itself, without a server."""

    @pytest.fixture
    def shared(self) -> SharedPassword:
        return SharedPassword("credential admin (root) of acme")

    def spend(self, shared: SharedPassword, verdict: Verdict) -> None:
        turn = shared.take_turn(1.0, lambda: False)
        assert isinstance(turn, Turn)
        with shared.sending(turn):
            turn.verdict = verdict

    @pytest.mark.parametrize(
        ("verdicts", "stops"),
        [
            (["refused", "refused"], True),
            (["refused", "unused", "refused"], True),
            (["unanswered", "refused"], True),
            (["accepted", "refused", "unanswered"], True),
            (["accepted", "refused", "refused"], True),
            (["refused", "accepted", "refused"], False),
            (["accepted", "unanswered", "unanswered"], False),
            (["accepted", "unanswered", "refused"], False),
            (["unused"] * 5, False),
        ],
    )
    def test_two_in_a_row_stop_it(
        self, shared: SharedPassword, verdicts: list[Verdict], stops: bool
    ) -> None:
        for verdict in verdicts:
            assert shared.stopped is None
            self.spend(shared, verdict)
        assert (shared.stopped is not None) == stops

    def test_a_turn_that_never_ends_is_taken_back_and_counted(
        self, shared: SharedPassword, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("outagekit.transports.logins._HELD_S", 0.0)
        lost = shared.take_turn(0.05, lambda: False)
        assert isinstance(lost, Turn)
        following = shared.take_turn(0.05, lambda: False)
        assert isinstance(following, Turn)
        with shared.sending(following):
            following.verdict = "refused"
        assert shared.stopped is not None

    def test_waiting_has_an_end(self, shared: SharedPassword) -> None:
        shared.take_turn(5.0, lambda: False)
        began_s = time.monotonic()
        found = shared.take_turn(0.05, lambda: False)
        assert isinstance(found, Failure)
        assert found.kind is FailureKind.TIMEOUT
        assert time.monotonic() - began_s < 1.5

    def test_a_bug_while_sending_leaves_the_turn_to_the_next_one(
        self, shared: SharedPassword
    ) -> None:
        turn = shared.take_turn(1.0, lambda: False)
        assert isinstance(turn, Turn)
        with pytest.raises(ZeroDivisionError), shared.sending(turn):
            1 // 0  # noqa: B018
        assert isinstance(shared.take_turn(1.0, lambda: False), Turn)


def test_the_memory_of_one_run_is_none_of_another() -> None:
    credential = Credential(name="admin", user="root", password=KEYRING)
    first, second = Logins(), Logins()
    for _ in range(2):
        shared = first.shared("acme", credential, WRONG)
        turn = shared.take_turn(1.0, lambda: False)
        assert isinstance(turn, Turn)
        with shared.sending(turn):
            turn.verdict = "refused"
    assert first.stopped("acme", credential) is not None
    assert second.stopped("acme", credential) is None
    assert first.stopped("acme", None) is None
    assert WRONG not in repr(vars(first))


def test_a_password_for_sudo_is_counted_apart_from_the_one_to_log_in() -> None:
    logins = Logins()
    credential = Credential(name="ops", user="ops", password=KEYRING, sudo=KEYRING)
    to_log_in = logins.shared("acme", credential, "same")
    for_sudo = logins.shared("acme", credential, "same", use="sudo password")
    for _ in range(2):
        turn = for_sudo.take_turn(1, lambda: False)
        assert not isinstance(turn, Failure)
        with for_sudo.sending(turn):
            turn.verdict = "refused"
    stopped = logins.shared("acme", credential, "same", use="sudo password").stopped
    assert stopped is not None
    assert stopped.detail.startswith("the sudo password of credential ops (ops) of acme was not")
    assert logins.stopped("acme", credential) is to_log_in.stopped is None
    assert logins.shared("beta", credential, "same", use="sudo password").stopped is None


def test_a_command_may_give_each_endpoint_its_own_sudo_password() -> None:
    logins = Logins()
    own = SecretRef("cmd", "", ("pass", "show"))
    credential = Credential(name="ops", user="ops", sudo=own)
    one = logins.shared("acme", credential, "one", use="sudo password")
    assert one is logins.shared("acme", credential, "one", use="sudo password")
    assert one is not logins.shared("acme", credential, "two", use="sudo password")
