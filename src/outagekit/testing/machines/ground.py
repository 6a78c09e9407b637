"""What machines stand on: a network of their own, memory for their files, images, and an end.

The network is a namespace with one bridge; whoever wants to reach the machines enters it with the
words of `Ground.inside`. The system's own network gets no address, route or link. The process that
keeps the ground waits for its stdin to end: when its maker is gone, however it went, it removes the
folder and goes too, and with it everything the kernel kept for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from outagekit.testing.machines.images import IMAGES, Furniture, fault_files
from outagekit.testing.machines.machine import Build, Frame, Machine, NotUpError
from outagekit.testing.sshd import KeyPair, find_sshd, make_key

NETWORK: Final = "203.0.113."
"""TEST-NET-3 (RFC 5737): where the machines are that the tests see."""
INNER: Final = "198.51.100."
"""TEST-NET-2 (RFC 5737): the network behind a jump host. Nothing leads there but that machine."""
_GATEWAY: Final = "254"
_MAC: Final = "02:00:00:00:00:fe"
"""A bridge without an address of its own takes another one whenever a machine comes or goes."""
_STORE: Final = "/mnt"
_KEEPER: Final = f"""\
mount -t tmpfs -o mode=0755,size=4g machines {_STORE}
ip link set lo up
ip link add ok-lan address {_MAC} type bridge
ip addr add {NETWORK}{_GATEWAY}/24 dev ok-lan
ip link set ok-lan up
echo up
cat >/dev/null
rm -rf -- "$1"
"""
_TOOLS: Final = ("unshare", "nsenter", "ip", "mount", "pivot_root", "sudo", "useradd", "chpasswd")


def missing(*tools: str) -> str:
    """Return why no machines can be made here; empty if they can. `tools`: further programs."""
    if sys.platform != "linux":
        return "machines need Linux's namespaces"
    if os.geteuid() != 0:
        return "machines need root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [tool for tool in (*_TOOLS, *tools) if not shutil.which(tool, path=path)]
    if not find_sshd():
        absent.append("sshd")
    if absent:
        return f"not installed: {', '.join(absent)}"
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "true"]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"no namespaces here: {refused.stderr.strip()}" if refused.returncode else ""


class Ground:
    """Machines of one network. A context manager; its end is the end of all of them.

    `folder` is made, holds keys, repositories and logs, and is gone afterwards.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.login = make_key(folder / "login")
        self.furniture = Furniture(self.login.public)
        self.machines: dict[str, Machine] = {}
        self._images: dict[str, list[str]] = {}
        self._numbers = 0
        spaces = ("unshare", "--net", "--mount", "--propagation=private")
        self._keeper = subprocess.Popen(
            [*spaces, "sh", "-euc", _KEEPER, "keeper", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for its maker
        )
        if self._keeper.stdout is not None and self._keeper.stdout.readline() != b"up\n":
            self.close()
            raise NotUpError("the network of the machines could not be made")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each account, on every machine."""
        return dict(self.furniture.passwords)

    @property
    def inside(self) -> tuple[str, ...]:
        """Words that put a command where the machines can be reached; its files stay the same."""
        return ("nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", "--")

    def start(self, builds: Iterable[Build], *, host_key: KeyPair | None = None) -> list[Machine]:
        """Start machines, all at once; one behind another comes after it in `builds`.

        `host_key` is given to all of them instead of a new one each.
        """
        wanted = list(builds)
        for image in {build.image for build in wanted}:
            self._furnish(image)
        with self._orderly() as made:
            for build in wanted:
                made.append(self._begin(build, host_key or self._host_key(build)))
                self.machines[build.name] = made[-1]
            for machine in made:
                machine.await_line("up")
            for machine in made:
                self._connect(machine)
                machine.tell(self._frame(machine.build))
            for machine in made:
                machine.await_line("ready")
        return made

    def stop(self, machines: Iterable[Machine]) -> None:
        """End machines and forget their files."""
        for machine in list(machines):
            machine.stop()
            self.machines.pop(machine.name, None)
            self._keep("rm", "-rf", f"{_STORE}/machines/{machine.name}")

    def close(self) -> None:
        """End everything. Again is allowed."""
        for machine in self.machines.values():
            machine.stop()
        self.machines.clear()
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()
        self._keeper.wait()

    @contextlib.contextmanager
    def _orderly(self) -> Iterator[list[Machine]]:
        made: list[Machine] = []
        try:
            yield made
        except BaseException:
            self.stop(made)
            raise

    def _host_key(self, build: Build) -> KeyPair:
        return make_key(self.folder / f"host-{build.name}")

    def _begin(self, build: Build, host_key: KeyPair) -> Machine:
        log = self.folder / f"{build.name}.log"
        return Machine(build, host_key, ground_pid=self._keeper.pid, log=log)

    def _connect(self, machine: Machine) -> None:
        build = machine.build
        self._numbers += 1
        near, near_pid = f"ok-{self._numbers}", self._keeper.pid
        if build.behind is not None:
            near_pid = self.machines[build.behind].pid
            self._bridge(near_pid)
        _links(
            near_pid,
            f"link add {near} type veth peer name eth0 netns {machine.pid}",
            f"link set {near} master ok-lan",
            f"link set {near} up",
            # Another machine may have had the address a moment ago.
            "neigh flush dev ok-lan",
        )
        _links(
            machine.pid,
            "link set lo up",
            f"addr add {build.address}/24 dev eth0",
            "link set eth0 up",
        )

    @staticmethod
    def _bridge(pid: int) -> None:
        """Give a machine an inner network, if it has none."""
        words = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "link", "show", "ok-lan"]
        if subprocess.run(words, capture_output=True, check=False).returncode:
            _links(
                pid,
                f"link add ok-lan address {_MAC} type bridge",
                f"addr add {INNER}{_GATEWAY}/24 dev ok-lan",
                "link set ok-lan up",
            )

    def _frame(self, build: Build) -> Frame:
        store = f"{_STORE}/machines/{build.name}"
        machine = self.machines[build.name]
        files = {
            "etc/hostname": (f"{build.name}\n", 0o644),
            "etc/machine-id": (f"{build.machine_id}\n", 0o444),
            "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {build.name}\n", 0o644),
            "etc/ssh/ssh_host_ed25519_key": (machine.host_key.private.read_text(), 0o600),
            **fault_files(build.fault),
            **{name: (text, 0o644) for name, text in build.files.items()},
        }
        return Frame(
            name=build.name,
            store=store,
            upper=f"{store}/upper",
            lowers=self._images[build.image],
            binds=self._binds(build.image),
            files=files,
            hangs=build.fault == "hangs",
            down_s=build.down_s,
        )

    def _binds(self, image: str) -> dict[str, str]:
        return {str(self.folder / image): IMAGES[image].folder}

    def _furnish(self, name: str) -> None:
        if name in self._images:
            return
        image = IMAGES[name]
        shutil.rmtree(self.folder / name, ignore_errors=True)  # left by an attempt that failed
        image.build(self.folder / name)
        build = Build(f"image-{name}", "")
        frame = Frame(
            name=build.name,
            store=f"{_STORE}/images/{name}",
            upper=f"{_STORE}/images/{name}/upper",
            lowers=[],
            binds=self._binds(name),
            files=self.furniture.files,
            serves=False,
        )
        maker = self._begin(build, self.login)
        try:
            maker.await_line("up")
            maker.tell(frame)
            maker.await_line("ready")
            script, text = self.furniture.script(image)
            maker.ask("sh", "-c", script, text=text)
        finally:
            maker.stop()
        self._images[name] = [frame.upper]

    def _keep(self, *words: str) -> None:
        inside = ("nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt", "--")
        subprocess.run([*inside, *words], check=True)


def _links(pid: int, *lines: str) -> None:
    words: Sequence[str] = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"]
    done = subprocess.run(
        words, input="\n".join(lines), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"no link: {done.stderr}")
