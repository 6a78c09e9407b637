"""The judge: what the real `ssh -G` says of a config, beside what we say."""

from __future__ import annotations

import dataclasses
import functools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from outagekit.errors import InvalidInput
from outagekit.transports.ssh.config.config import load_config
from outagekit.transports.ssh.config.expansion import expand
from outagekit.transports.ssh.config.local import this_machine
from outagekit.transports.ssh.config.model import Answer, Asked, Here, Jump

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
LISTS = ("identityfile", "certificatefile")
COMPARED = (
    "user",
    "hostname",
    "port",
    "hostkeyalias",
    "identitiesonly",
    "identityagent",
    "proxycommand",
    "proxyjump",
    "connecttimeout",
    "addressfamily",
    *LISTS,
)


class Judge:
    """Asks both about one config file."""

    refused = "refused"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "config"
        home = pwd.getpwuid(os.getuid()).pw_dir
        self.here = dataclasses.replace(this_machine(), home=home)
        self._default_files = default_files()

    def write(self, text: str, **others: str) -> None:
        self.file.write_bytes(text.encode("utf-8", "surrogateescape"))
        for name, content in others.items():
            (self.folder / name).write_text(content.replace("@", f"{self.folder}/"))
            (self.folder / name).chmod(0o600)

    def ssh(self, text: str, host: str, *words: str) -> dict[str, object] | str:
        """What ssh prints, or `refused`."""
        self.write(text)
        return self.asked(host, *words)

    def asked(self, host: str, *words: str) -> dict[str, object] | str:
        said = subprocess.run(
            ["ssh", "-G", "-F", self.file, *words, "--", host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        if said.returncode:
            return self.refused
        found: dict[str, object] = {name: [] for name in LISTS}
        for line in said.stdout.decode("utf-8", "surrogateescape").split("\n"):
            name, _, value = line.partition(" ")
            if name in LISTS:
                found[name].append(value)
            elif name in COMPARED:
                found[name] = value
        return found

    def ours(self, host: str, *, user: str | None = None, port: int | None = None) -> object:
        """What we say, as ssh would print it."""
        try:
            config = load_config(self.file, self.here)
            answer = config.answer(Asked(host, user, port))
            return self._printed(answer, self.here)
        except InvalidInput:
            return self.refused

    def answer(self, host: str) -> Answer:
        return load_config(self.file, self.here).answer(Asked(host))

    def _printed(self, answer: Answer, here: Here) -> dict[str, object]:
        files = answer.identities
        made: dict[str, object] = {
            "user": answer.user,
            "hostname": answer.hostname,
            "port": str(answer.port),
            "identitiesonly": "yes" if answer.identities_only else "no",
            "connecttimeout": "none" if answer.connect_s is None else str(answer.connect_s),
            "addressfamily": answer.address_family,
            "identityfile": self._default_files if files is None else [f.value for f in files],
            "certificatefile": [said.value for said in answer.certificates],
        }
        if answer.host_key_alias is not None:
            made["hostkeyalias"] = answer.host_key_alias
        # Of these three ssh -G prints what is written.
        plain = dataclasses.replace(answer, identities=None, certificates=(), proxy_command=None)
        agent = expand(plain, here).agent
        if answer.agent is not None:
            said = answer.agent.value
            legacy = said[:1] == "$" and said[1:2] != "{"
            shown = said if legacy or said == "SSH_AUTH_SOCK" else agent
            made["identityagent"] = shown
        if answer.proxy_jump is not None:
            before, comma, _ = answer.proxy_jump.written.rpartition(",")
            made["proxyjump"] = before + comma + written(answer.proxy_jump.hops[-1])
        elif answer.proxy_command is not None:
            made["proxycommand"] = answer.proxy_command.value
        return made

    def compare(self, host: str, user: str | None = None, port: int | None = None) -> None:
        words = (["-l", user] if user else []) + (["-p", str(port)] if port else [])
        theirs = self.asked(host, *words)
        assert self.ours(host, user=user, port=port) == theirs, self.file.read_text()


@functools.cache
def default_files() -> list[str]:
    said = subprocess.run(
        ["ssh", "-G", "-F", "none", "h"], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    lines = said.stdout.decode().splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith("identityfile ")]


def written(jump: Jump) -> str:
    host = jump.host
    if ":" in host or not host.strip("0123456789."):
        host = f"[{host}]"
    user = f"{jump.user}@" if jump.user is not None else ""
    return f"{user}{host}" + (f":{jump.port}" if jump.port else "")


@pytest.fixture(name="judge")
def fixture_judge(tmp_path: Path) -> Judge:
    if shutil.which("ssh") is None:
        if REQUIRED:
            pytest.fail("OpenSSH's ssh is not installed")
        pytest.skip("OpenSSH's ssh is not installed")
    return Judge(tmp_path)
