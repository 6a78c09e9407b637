"""The first process of a machine: makes its root file system, starts it, and is its end.

Run as a program of its own, as PID 1 of new namespaces, with the standard library only. Talks to
its maker over stdin and stdout: says `up`, reads one line of JSON (see `Frame` in `machine.py`),
makes the machine, says `ready`. When stdin ends it exits, and the kernel ends every process in the
machine with it; so a machine never outlives its maker. SIGUSR1 restarts the machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import encodings.idna  # noqa: F401 - sockets want it, and its file may be hidden by then
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE = 0x1, 0x20, 0x1000, 0x4000
_DETACH = 2
_CAP_BOUND_DROP = 24
_SYSTEM_CAPABILITIES = (16, 17, 21, 22, 25, 27, 30, 32, 33, 34, 35, 36, 38, 39, 40)
"""What no process of a machine may do, as it is not the machine's own (capabilities(7)): modules,
raw I/O, mounts and other administration, reboot, clock, devices, audit, the kernel's log, BPF."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_VOLATILE = ("run", "tmp")
_HIDDEN = ("root", "home", "var/tmp", "srv", "mnt", "media")
"""The homes and passing files of the system below are nobody's business inside."""
_START_S = 20.0


def _mount(source: str, target: Path, kind: str = "", *, flags: int = 0, data: str = "") -> None:
    words = (source.encode(), str(target).encode(), kind.encode() or None)
    if _LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        raise OSError(ctypes.get_errno(), f"cannot mount {source} on {target}")


def _run(*words: str, log: str = os.devnull) -> int:
    """Start a program, apart from this one's stdin and stdout; return its process id."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": "/root"}
    found = shutil.which(words[0], path=path) or words[0]
    return os.posix_spawn(
        found, words, environment, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE]
    )


class Root:
    """The root file system: an overlay of memory over an image and the system's own root."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self._frame = frame
        store = Path(frame["store"])
        self._at = store / "root"
        self._work, self._boot_id = store / "work", store / "boot_id"
        self._upper = Path(frame["upper"])
        for folder in (self._at, self._work, self._upper):
            folder.mkdir(parents=True, exist_ok=True)

    def make(self) -> int:
        """Mount everything and go in; return a descriptor of the file that is the boot id."""
        layers = ":".join((*self._frame["lowers"], "/"))
        if not self._frame["lowers"]:
            self._hide()
        upper = f"upperdir={self._upper},workdir={self._work}"
        _mount("overlay", self._at, "overlay", data=f"lowerdir={layers},{upper}")
        for name in _VOLATILE:
            (self._at / name).mkdir(exist_ok=True)
            _mount("tmpfs", self._at / name, "tmpfs", data="mode=0755")
        self._write_files()
        self._make_devices()
        boot_id = self._make_proc()
        for source, target in self._frame["binds"].items():
            (self._at / target).mkdir(parents=True, exist_ok=True)
            _mount(source, self._at / target, flags=_BIND)
        self._enter()
        return boot_id

    def _hide(self) -> None:
        for name in _HIDDEN:
            folder = self._upper / name
            folder.mkdir(parents=True, mode=0o755)
            os.setxattr(folder, "trusted.overlay.opaque", b"y")
        (self._upper / "root").chmod(0o700)
        (self._upper / "var/tmp").chmod(0o1777)

    def _write_files(self) -> None:
        for name, (text, mode) in self._frame["files"].items():
            path = self._at / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # The system below may have a link there, which leads anywhere.
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(text)
            path.chmod(mode)

    def _make_devices(self) -> None:
        devices = self._at / "dev"
        _mount("tmpfs", devices, "tmpfs", data="mode=0755")
        for name in _DEVICES:
            (devices / name).touch()
            _mount(f"/dev/{name}", devices / name, flags=_BIND)
        for name, options in (("pts", "newinstance,ptmxmode=0666,mode=0620,gid=5"), ("shm", "")):
            (devices / name).mkdir()
            kind = "devpts" if name == "pts" else "tmpfs"
            _mount(kind, devices / name, kind, data=options)
        (devices / "ptmx").symlink_to("pts/ptmx")
        (devices / "fd").symlink_to("/proc/self/fd")

    def _make_proc(self) -> int:
        proc = self._at / "proc"
        _mount("proc", proc, "proc")
        _mount(str(proc / "sys"), proc / "sys", flags=_BIND | _RECURSIVE)
        self._boot_id.touch()
        _mount(str(self._boot_id), proc / "sys/kernel/random/boot_id", flags=_BIND)
        if (proc / "sysrq-trigger").exists():
            _mount("/dev/null", proc / "sysrq-trigger", flags=_BIND)
        _mount("", proc / "sys", flags=_REMOUNT | _BIND | _READ_ONLY)
        _mount("sysfs", self._at / "sys", "sysfs", flags=_READ_ONLY)
        return os.open(self._boot_id, os.O_WRONLY | os.O_CLOEXEC)

    def _enter(self) -> None:
        # All processes of this mount namespace get the new root, also those that come to look.
        words = ("pivot_root", ".", "mnt")
        subprocess.run(words, cwd=self._at, check=True)
        os.chdir("/")
        if _LIBC.umount2(b"/mnt", _DETACH):
            raise OSError(ctypes.get_errno(), "cannot let go of the system's root")


class Machine:
    """A machine that has its root: starts, restarts, and buries its dead."""

    def __init__(self, frame: dict[str, Any]) -> None:
        self._frame = frame
        socket.sethostname(frame["name"])
        self._boot_id = Root(frame).make()
        for capability in _SYSTEM_CAPABILITIES:
            _LIBC.prctl(_CAP_BOUND_DROP, capability, 0, 0, 0)

    def start(self) -> None:
        """Begin a boot: a new boot id, empty /run and /tmp, the enabled services, sshd."""
        os.ftruncate(self._boot_id, 0)
        os.pwrite(self._boot_id, f"{uuid.uuid4()}\n".encode(), 0)
        for name in _VOLATILE:
            for entry in Path("/", name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for name in ("sshd", "lock", "systemd/system"):
            Path("/run", name).mkdir(mode=0o755, parents=True)
        Path("/tmp").chmod(0o1777)  # noqa: S108 - the machine's own
        if self._frame["serves"]:
            os.waitpid(_run("systemctl", "default"), 0)
            self._serve()

    def _serve(self) -> None:
        process = _run("/usr/sbin/sshd", "-D", "-e", log="/var/log/sshd.log")
        until_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 22), 1):
                break
            if os.waitpid(process, os.WNOHANG)[0] or time.monotonic() > until_s:
                raise SystemExit(Path("/var/log/sshd.log").read_text())
            time.sleep(0.01)
        if self._frame["hangs"]:
            os.kill(process, signal.SIGSTOP)

    def restart(self) -> None:
        """End every process but this one, be away for a while, and start again."""
        os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        time.sleep(self._frame["down_s"])
        self.start()

    def live(self) -> None:
        """Serve until stdin ends."""
        readable, wake = os.pipe()
        for end in (readable, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        self.start()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([0, readable], [], [])
            if 0 in ready and not os.read(0, 512):
                return
            if readable in ready:
                told = os.read(readable, 512)
                self._bury()
                if signal.SIGUSR1 in told:
                    self.restart()

    @staticmethod
    def _bury() -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _read_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk:
            raise SystemExit(0)
        line += chunk
    return line


if __name__ == "__main__":
    os.umask(0o022)
    os.write(1, b"up\n")
    Machine(json.loads(_read_line())).live()
    sys.exit(0)
