"""A fleet on loopback: outagekit beside bare paramiko threads, the same work in one run.

Starts real OpenSSH servers, one per address of 127.0.0.0/8, and runs dependent commands on each
endpoint: once as an outagekit playbook with everything on (plan, strict host keys, machine id,
durable hash-chained log, line output), once as a thread pool of bare paramiko clients that keep
their connection and check nothing. Prints wall time, CPU time and peak memory of the two whole
processes and their ratios. Figures of one run on one machine; read the ratios.

    python benchmarks/fleet.py --endpoints 300 --steps 5 --rounds 3
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import paramiko

from outagekit.testing.sshd import make_key, sshd

HERE = Path(__file__).resolve()
PORT = 22922
_AT_ONCE = 64


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--endpoints", type=int, default=300)
    words.add_argument("--steps", type=int, default=5)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--bare", nargs=3, metavar=("FOLDER", "ENDPOINTS", "STEPS"))
    given = words.parse_args()
    if given.bare:
        bare(Path(given.bare[0]), int(given.bare[1]), int(given.bare[2]))
        return
    with tempfile.TemporaryDirectory(prefix="outagekit-bench-") as name:
        folder = Path(name)
        with servers(folder, given.endpoints):
            compare(folder, given.endpoints, given.steps, given.rounds)


def address(number: int) -> str:
    return f"127.77.{number // 250}.{number % 250 + 1}"


@contextlib.contextmanager
def servers(folder: Path, number: int):
    """One sshd process for every 16 addresses, and the trust that knows its key."""
    login = make_key(folder / "login_key")
    addresses = [address(n) for n in range(number)]
    options = ["MaxStartups 1000", "LogLevel QUIET"]
    with sshd(folder / "sshd", addresses, PORT, login_keys=[login.public], options=options) as key:
        trust = folder / "trust" / "bench"
        trust.mkdir(parents=True)
        lines = [f"[{each}]:{PORT} {key.public}\n" for each in addresses]
        (trust / "known_hosts").write_text("".join(lines))
        yield


def workspace(folder: Path, number: int, steps: int) -> None:
    user = os.environ.get("USER") or "root"
    endpoints = "".join(
        f"  host-{n:04d}: {{address: {address(n)}, os: linux, port: {PORT}, credential: key}}\n"
        for n in range(number)
    )
    (folder / "inventory").mkdir(exist_ok=True)
    (folder / "outagekit.yaml").write_text("outagekit: 1\n")
    (folder / "inventory" / "bench.yaml").write_text(
        "outagekit: 1\nclient: bench\nname: Bench\n"
        "agreement: {id: B-1, allows: [diagnose]}\n"
        f"credentials: {{key: {{user: {user}, key: {folder / 'login_key'}}}}}\n"
        f"endpoints:\n{endpoints}"
    )
    (folder / "playbooks").mkdir(exist_ok=True)
    body = "".join(
        f"  - {{id: step_{n}, title: Step {n}, sh: 'echo {n}', risk: read, phase: assess}}\n"
        for n in range(steps)
    )
    (folder / "playbooks" / "bench.yaml").write_text(
        f"outagekit: 1\ntitle: Bench\ntargets: all\nsteps:\n{body}"
    )


def compare(folder: Path, number: int, steps: int, rounds: int) -> None:
    workspace(folder, number, steps)
    ours = [str(Path(sys.executable).with_name("outagekit")), "run", "bench", "--plain"]
    ours += ["--concurrency", str(_AT_ONCE), "--state-dir", str(folder / "state")]
    theirs = [sys.executable, str(HERE), "--bare", str(folder), str(number), str(steps)]
    runs: dict[str, list[tuple[float, float, float]]] = {"outagekit": [], "bare paramiko": []}
    for _ in range(rounds):
        runs["outagekit"].append(measure(ours, folder))
        runs["bare paramiko"].append(measure(theirs, folder))
    print(f"{number} endpoints x {steps} steps, {_AT_ONCE} at once, medians of {rounds}")
    print(f"{'':16}{'wall s':>10}{'CPU s':>10}{'CPU ms/endpoint':>18}{'peak MiB':>10}")
    medians = {}
    for name, measured in runs.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*measured, strict=True))
        medians[name] = (wall, cpu, peak)
        print(f"{name:16}{wall:10.2f}{cpu:10.2f}{cpu / number * 1000:18.1f}{peak:10.0f}")
    pairs = zip(medians["outagekit"], medians["bare paramiko"], strict=True)
    wall, cpu, peak = (one / other for one, other in pairs)
    print(f"{'ratio':16}{wall:10.2f}{cpu:10.2f}{cpu:18.2f}{peak:10.2f}")


def measure(command: list[str], folder: Path) -> tuple[float, float, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}: {said.decode()[-800:]}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def bare(folder: Path, number: int, steps: int) -> None:
    """What somebody writes without a product: threads, paramiko, no log, no host keys."""
    key = paramiko.Ed25519Key.from_private_key_file(str(folder / "login_key"))
    user = os.environ.get("USER") or "root"
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    failed: list[Exception] = []
    for n in range(number):
        waiting.put(n)

    def work() -> None:
        while True:
            try:
                bare_endpoint(address(waiting.get_nowait()), user, key, steps)
            except queue.Empty:
                return
            except Exception as fault:  # noqa: BLE001  (any failure spoils the comparison)
                failed.append(fault)

    with contextlib.ExitStack() as stack:
        for _ in range(_AT_ONCE):
            thread = threading.Thread(target=work)
            thread.start()
            stack.callback(thread.join)
    if failed:
        sys.exit(f"{len(failed)} endpoints failed, the first: {failed[0]!r}")


def bare_endpoint(name: str, user: str, key: paramiko.PKey, steps: int) -> None:
    with socket.create_connection((name, PORT), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(sock)
        transport.connect(username=user, pkey=key)
        for step in range(steps):
            channel = transport.open_session()
            channel.exec_command(f"echo {step}")
            channel.makefile("rb").read()
            channel.recv_exit_status()
        transport.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    main()
