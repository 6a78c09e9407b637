"""What sudo is asked for, and what it answers until a command of ours may begin. Pure.

What is handed to the server is one command line. sudo asks by a word that stands nowhere else
(ASK); what it then starts says as whom it runs (GO), and waits for a line that lets it begin. Both
words hold a nonce of this one command, and neither stands in the command line as it is written: a
login shell that shows its command line says neither.
"""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass, field
from typing import Final

from outagekit.text import visible_line
from outagekit.transports.capture import Capture

SAID_BYTES: Final = 16 * 1024
"""How much of what comes before GO is worth keeping."""
_SHOWN: Final = 300
_MARK_BYTES: Final = 96
"""No mark is longer; of what was said so much may be the beginning of one."""
_MOST_PASSWORD_BYTES: Final = 250
"""sudo has read 255 at most; the rest of a longer one would be left to whoever reads next."""
_NOT_LET: Final = 125
"""Exit code of a command that read something else than the word that lets it begin."""
_NOT_STARTED: Final = 126
_NOT_FOUND: Final = 127


# Where distributions keep it; none of these places is searched for programs.
_SERVERS: Final = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/lib/sftp-server",
    "/usr/libexec/ssh/sftp-server",
    "/usr/local/libexec/sftp-server",
)
NO_SERVER: Final = 127
"""Exit code of `SFTP_SERVER` where there is none."""

SFTP_SERVER: Final = (
    f"for it in {' '.join(_SERVERS)}; do"
    ' if [ -x "$it" ]; then exec env LC_ALL=C.UTF-8 "$it"; fi; done;'
    f" exit {NO_SERVER}"
)
"""What a POSIX shell runs where the server's own subsystem has the wrong account."""

_STRIKE: Final = """\
if [ -r /proc/{pid}/stat ]; then IFS= read -r it </proc/{pid}/stat; set -- ${{it##*) }}; it=$3;\
 else it=$(ps -o pgid= -p {pid}); fi; it=$((it)); [ "$it" -gt 1 ] || exit 1; kill -TERM "-$it";\
 tries=10; while [ "$tries" -gt 0 ] && kill -0 "-$it" 2>/dev/null;\
 do sleep 0.1 2>/dev/null || sleep 1; tries=$((tries - 1)); done; kill -KILL "-$it" 2>/dev/null;\
 exit 0"""


def strike(pid: int) -> str:
    """Return what a POSIX shell runs to end a process and its group: TERM, KILL a second later."""
    return _STRIKE.format(pid=pid)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The words one command is recognised by; nobody can say them before it was sent."""

    nonce: str = field(default_factory=lambda: f"ok{secrets.token_hex(8)}")

    @property
    def ask(self) -> bytes:
        """What sudo asks for the password with."""
        return f"{self.nonce}%ASK".encode()

    @property
    def go(self) -> re.Pattern[bytes]:
        """What says that a shell was started, as whom, and which process the command will be."""
        return re.compile(rf"{self.nonce}-GO-([0-9]{{0,10}})(?: *-([0-9]{{1,10}}))?\r?\n".encode())

    @property
    def begin(self) -> bytes:
        """What lets the command begin; its input follows."""
        return f"{self.nonce}\n".encode()

    def went(self, uid: int) -> bytes:
        """Return GO as it is said by who runs as `uid`."""
        return f"{self.nonce}-GO-{uid}\n".encode()

    def line(self, command: str) -> str:
        """Return the command line that becomes root, waits, and runs the command line `command`.

        Every login shell takes it. sudo makes `%` of `%%`, so the line does not hold ASK itself.
        """
        inner = (
            f"echo {self.nonce}-GO-$(id -u)-$$ >&2; IFS= read -r go;"
            f' [ "$go" = {self.nonce} ] || exit {_NOT_LET}; {command}'
        )
        return f"exec env LC_ALL=C sudo -H -S -p '{self.nonce}%%ASK' -- sh -c {shlex.quote(inner)}"


_LINE: Final = re.compile(
    r"(?s)echo ([0-9a-z]+)-GO-\$\(id -u\)-\$\$ >&2; IFS= read -r go;"
    r" \[ [^]]* \] \|\| exit \d+; (.*)"
)


def ticket_in(command_line: str) -> tuple[Ticket, str] | None:
    """Return the ticket of a command line and what it runs as root; None if it asks for no root."""
    try:
        words = shlex.split(command_line)
    except ValueError:
        return None
    found = _LINE.fullmatch(words[-1]) if "sudo" in words[:4] else None
    return None if found is None else (Ticket(found[1]), found[2])


class Talk:
    """What comes on standard error until GO, however it is cut into pieces. Pure.

    What is neither ASK nor GO goes to `said`; what follows GO is the command's own.
    """

    def __init__(self, ticket: Ticket, said: Capture) -> None:
        self._ask = ticket.ask
        self._go = ticket.go
        self._said = said
        self._held = bytearray()
        self._words: str | None = None
        self.asked = 0
        """How often a password was asked for."""
        self.through = False
        """GO was seen."""
        self.uid: int | None = None
        """Whose rights the shell behind GO has; None if it does not tell."""
        self.pid: int | None = None
        """The process that shell is and the command becomes; None if it does not tell."""

    @property
    def rest(self) -> bytes:
        """What followed GO; empty before."""
        return bytes(self._held) if self.through else b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._held += data
        while not self.through and self._mark():
            pass
        if not self.through and len(self._held) > _MARK_BYTES:
            self._pass_on(len(self._held) - _MARK_BYTES)

    def words(self) -> str:
        """Return what was said besides, redacted, beginning and end of it; ends the talk."""
        if self._words is None:
            if not self.through:
                self._pass_on(len(self._held))
            self._said.finish()
            self._words = self._said.captured().text
        return self._words

    def _mark(self) -> bool:
        """Take the first mark that is there, and all before it."""
        asked = self._held.find(self._ask)
        went = self._go.search(self._held)
        if went is not None and not 0 <= asked < went.start():
            self.through = True
            self.uid = int(went[1]) if went[1] else None
            self.pid = int(went[2]) if went[2] else None
            start, end = went.span()
        elif asked >= 0:
            self.asked += 1
            start, end = asked, asked + len(self._ask)
        else:
            return False
        self._pass_on(start)
        del self._held[: end - start]
        return True

    def _pass_on(self, size: int) -> None:
        self._said.feed(bytes(self._held[:size]))
        del self._held[:size]


_CAUSES: Final = (
    (
        ("must have a tty", "no tty present", "requires a tty"),
        "sudo there works at a terminal only: take `requiretty` away for {user} in its sudoers",
    ),
    (
        ("not in the sudoers", "may not run sudo", "i'm sorry"),
        "{user} may not use sudo on the machine: add it to its sudoers",
    ),
    (
        ("not allowed to execute", "not allowed to run", "not permitted to"),
        "sudo does not let {user} run `sh` as root: let it in the machine's sudoers",
    ),
    (
        ("expired", "locked", "account validation", "account or password"),
        "the account {user} is locked or has expired on the machine",
    ),
    (
        ("effective uid is not 0", "must be setuid", "must be owned by uid 0", "no new privileges"),
        "sudo on the machine cannot make anybody root: look at its owner, mode and mount options",
    ),
    (
        ("no valid sudoers", "parse error", "syntax error", "is world writable"),
        "sudo on the machine cannot read its sudoers: look at it with `visudo -c`",
    ),
    (
        ("invalid option", "unrecognized option", "usage:"),
        "sudo on the machine is too old, or not the usual one: it does not know our options",
    ),
)
"""What sudo says in English, as it is asked to, and the sentence that says what to do."""


def cause_of_end(code: int | None, words: str, user: str) -> str:
    """Return why sudo ended before GO, as a sentence; `words` are what it said, in lower case."""
    if code == 0:
        return "what is called sudo on the machine ended with exit code 0 and ran nothing"
    for fragments, cause in _CAUSES:
        if any(fragment in words for fragment in fragments):
            return cause.format(user=visible_line(user))
    known = {
        None: "sudo was ended by something else before it had run anything",
        _NOT_FOUND: "the machine has no sudo: install it, or log in as root without `become`",
        _NOT_STARTED: "sudo on the machine cannot be executed by who logged in: look at its mode",
    }
    return known.get(code, f"sudo ended with exit code {code} before it had run anything")


def wrong_user(uid: int | None) -> str:
    """Return what it means that a command of ours would have run as another user than root."""
    whose = "nobody it could name" if uid is None else f"uid {uid}"
    return (
        f"sudo let our command run as {whose}, not as root: it was not begun; look at what"
        " `sudo` is on the machine"
    )


def unfit(password: str) -> str:
    """Return what is wrong with a password that sudo could not read as one line, or nothing."""
    if any(sign in password for sign in "\n\r\0"):
        return "the sudo password holds the end of a line"
    if len(password.encode()) > _MOST_PASSWORD_BYTES:
        return f"the sudo password is longer than {_MOST_PASSWORD_BYTES} bytes"
    return ""


def shown(text: str) -> str:
    """Return the last that was said, on one line of bounded length."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = visible_line(" / ".join(lines[-2:]))
    return said if len(said) <= _SHOWN else f"…{said[-_SHOWN:]}"
