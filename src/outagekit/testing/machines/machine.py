"""One machine as its maker sees it: what it is to be, what it holds, how it is asked and ended.

What is asked here goes past sshd, sudo and outagekit: it is the truth their answers are held
against.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from outagekit.testing.sshd import KeyPair

Fault = Literal["hangs", "sudo_swallows", "sudo_pretends", "sudo_wants_tty"]
"""`hangs`: sshd is stopped, the port is open and says nothing. `sudo_swallows`: sudo says that all
went well and runs nothing. `sudo_pretends`: it runs the command as the account that asked.
`sudo_wants_tty`: it refuses whoever has no terminal."""

_INIT: Final = Path(__file__).with_name("init.py")
_START_S: Final = 30.0
_END_S: Final = 10.0
_NAMESPACES: Final = ("--mount", "--propagation=private", "--pid", "--uts", "--ipc", "--net")


@dataclass(frozen=True, slots=True)
class Build:
    """What a machine is to be."""

    name: str
    address: str
    behind: str | None = None
    """Name of the machine whose inner network it stands in; None: the network the tests see."""
    image: str = "apt"
    """Which packages it has; a key of `images.IMAGES`."""
    fault: Fault | None = None
    down_s: float = 0.5
    """How long it is away when it restarts."""
    machine_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    files: Mapping[str, str] = field(default_factory=dict)
    """Further files, by their path without the leading slash."""


class Frame(msgspec.Struct, frozen=True):
    """What the first process of a machine is told; `init.py` says what it does with it."""

    name: str
    store: str
    """Folder below which its own files are kept."""
    upper: str
    """Folder that takes what the machine writes."""
    lowers: list[str]
    """Folders below that, nearest first; the system's own root is below them all."""
    binds: dict[str, str]
    """Folders of the system, and where they are seen inside."""
    files: dict[str, tuple[str, int]]
    serves: bool = True
    """Start services and sshd."""
    hangs: bool = False
    down_s: float = 0.5


class NotUpError(RuntimeError):
    """A machine did not come up; says what its first process said."""


class Machine:
    """A running machine. Ends with `stop`, or with the process that made it."""

    def __init__(self, build: Build, host_key: KeyPair, *, ground_pid: int, log: Path) -> None:
        self.build = build
        self.host_key = host_key
        self._log = log
        below = [f"--{n}=/proc/{ground_pid}/ns/{f}" for n, f in (("net", "net"), ("mount", "mnt"))]
        ground = ("nsenter", *below, "--")
        spaces = ("unshare", *_NAMESPACES, "--fork", "--kill-child", "--")
        first = (sys.executable, "-I", "-S", "-X", "utf8", str(_INIT))
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*ground, *spaces, *first],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for its maker
            )

    @property
    def name(self) -> str:
        """Its host name."""
        return self.build.name

    @property
    def address(self) -> str:
        """Where its sshd listens, port 22."""
        return self.build.address

    @property
    def pid(self) -> int:
        """A process in the machine's namespaces, all but that for processes."""
        return self._process.pid

    @property
    def inside(self) -> tuple[str, ...]:
        """Words that put a command into the machine, as root, with its root file system."""
        spaces = [f"--{n}=/proc/{self.pid}/ns/{f}" for n, f in (("mount", "mnt"), ("net", "net"))]
        spaces += [f"--{n}=/proc/{self.pid}/ns/{n}" for n in ("uts", "ipc")]
        processes = f"--pid=/proc/{self.pid}/ns/pid_for_children"
        environment = ("env", "-i", "LC_ALL=C.UTF-8", "HOME=/root")
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ("nsenter", *spaces, processes, "--", *environment, path)

    def await_line(self, line: str) -> None:
        """Wait until the first process says it; raises `NotUpError`."""
        until_s = time.monotonic() + _START_S
        told = b""
        stdout = self._process.stdout
        while stdout is not None and time.monotonic() < until_s:
            if not select.select([stdout], [], [], 0.2)[0]:
                continue
            chunk = os.read(stdout.fileno(), 64)
            told += chunk
            if told == f"{line}\n".encode():
                return
            if not chunk:
                break
        self.stop()
        raise NotUpError(f"{self.name} did not say {line}: {self._log.read_text()}")

    def tell(self, frame: Frame) -> None:
        """Hand the first process what the machine is to be."""
        if self._process.stdin is None:
            return
        # One that is gone already is told about by `await_line`.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(frame) + b"\n")

    def call(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in the machine as root and return what it did."""
        return subprocess.run(
            [*self.inside, *words], input=text, capture_output=True, text=True, check=False
        )

    def ask(self, *words: str, text: str = "") -> str:
        """Return what a command in the machine prints; raises `RuntimeError` if it fails."""
        done = self.call(*words, text=text)
        if done.returncode:
            raise RuntimeError(
                f"{self.name}: {words[0]} ended with {done.returncode}: {done.stderr}"
            )
        return done.stdout

    def path(self, name: str) -> Path:
        """Return where a file of the machine is seen from outside; links are not followed."""
        return Path(f"/proc/{self.pid}/root", name.lstrip("/"))

    @property
    def boot_id(self) -> str:
        """Which boot it is on."""
        return self.ask("cat", "/proc/sys/kernel/random/boot_id").strip()

    def stop(self) -> None:
        """End every process in it; its file system and links end with them."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # takes the machine's first process with it
            self._process.wait()
