"""What to do about each kind of failure: one sentence for somebody who is tired."""

from __future__ import annotations

import re
from typing import Final

from outagekit.events import FailureKind

ADVICE: Final[dict[FailureKind, str]] = {
    FailureKind.RESOLVE: "the name is not known here: look at the address in the inventory,"
    " the VPN and DNS",
    FailureKind.REFUSED: "the machine answers, SSH does not: is the service running, is the port"
    " right?",
    FailureKind.CONNECT_TIMEOUT: "nothing answers: is the machine on, is the VPN up, does a"
    " firewall stand between?",
    FailureKind.HANDSHAKE: "something answers, but not as SSH should: is the address right?",
    FailureKind.HOST_KEY: "compare the fingerprint with the machine's own; trust it only then",
    FailureKind.TLS: "the certificate was not accepted: compare it with the machine's own",
    FailureKind.AUTH: "look at user, key and password of the credential; no second try was made,"
    " so that no account is locked",
    FailureKind.CREDENTIAL_STOPPED: "the credential was refused elsewhere and not tried here, so"
    " that no account is locked: mend it first",
    FailureKind.BECOME: "the login itself works; nothing was run as root",
    FailureKind.WRONG_MACHINE: "another machine answers at this address, nothing was done to it:"
    " is the right VPN up?",
    FailureKind.LOST: "the connection broke: look at the machine before you run anything again",
    FailureKind.TIMEOUT: "it took longer than the step allows: look whether it still runs there",
    FailureKind.EXIT_CODE: "the script said that it failed: its output is in the log",
    FailureKind.CHECK_BROKEN: "a check gave no answer: exit code 0 or 1, or true or false in its"
    " last line, is one",
    FailureKind.VERIFY: "the script ran, but the goal is not reached: look at one machine by hand"
    " before you run it again",
    FailureKind.BAD_RESULT: "the answer is not what the playbook declares: its output is in the"
    " log",
    FailureKind.PROTOCOL: "the machine did not answer as expected: its words are in the log",
    FailureKind.QUOTA: "a limit of the machine was reached: end what hangs there, or raise it",
    FailureKind.SIZE: "the file is larger than the step allows: raise its limit or fetch less",
    FailureKind.NOT_BACK: "it did not come back from its restart: look at its console",
    FailureKind.ABANDONED: "nobody waited for its end: look at the machine before you run"
    " anything again",
    FailureKind.LOCAL_IO: "mend it here, not at the endpoint: credential, disk, files, permissions",
}
"""Failure kind -> a sentence without a full stop."""

_ON_WINDOWS: Final[dict[FailureKind, str]] = {
    FailureKind.REFUSED: "the machine answers, WinRM does not: is it on (`winrm quickconfig`)?"
    " Unless https was set up, on port 5986, it listens with http only, on port 5985:"
    " `scheme: http`, or --host user@address:5985",
    FailureKind.CONNECT_TIMEOUT: "nothing answers: is the machine on, is the VPN up? On a network"
    " it takes for Public, and on other subnets, Windows lets nobody in to WinRM by default",
    FailureKind.HANDSHAKE: "something answers, but not as WinRM with TLS should: is the address"
    " right, or is it http on port 5985 (`scheme: http`, or --host user@address:5985)?",
    FailureKind.TLS: "the certificate was not accepted: compare it with the machine's own, then"
    " trust it; or name the client's authorities (`winrm: {ca: FILE}`)",
    FailureKind.AUTH: "look at the account: DOMAIN\\user, user@domain, or .\\user for one of the"
    " machine itself. TrustedHosts does not matter to us. No second try was made, so that no"
    " account is locked",
    FailureKind.BECOME: "the login itself works; nothing was run as SYSTEM",
    FailureKind.QUOTA: "Windows allows a user so many shells and commands at once: end what hangs"
    " there, or raise MaxShellsPerUser or MaxConcurrentOperationsPerUser",
}
"""What is said otherwise of WinRM."""

_AT_JUMP: Final[dict[FailureKind, str]] = {
    FailureKind.AUTH: "look at `jump_credential` of the site, or at what ssh itself would log in"
    " with there",
    FailureKind.HOST_KEY: ADVICE[FailureKind.HOST_KEY],
    FailureKind.CREDENTIAL_STOPPED: ADVICE[FailureKind.CREDENTIAL_STOPPED],
    FailureKind.LOCAL_IO: ADVICE[FailureKind.LOCAL_IO],
}
_BEHIND: Final = "the way to all of them leads through it: mend that first"
_JUMP: Final = re.compile(
    r"(?:the (?:login at|host key of|connection to) )?"
    r"the jump host (\S+ port [0-9]+)(?![0-9]| cannot connect to)"
)
"""How the sentences begin that say what is wrong with a jump host, not with whom is behind it."""


def jump_of(detail: str) -> str:
    """Return the jump host that a failure is about, as it is named there; else an empty text."""
    found = _JUMP.match(detail)
    return found[1] if found else ""


def advice_for(kind: FailureKind, *, jump: str = "", windows: bool = False) -> str:
    """Return what to do about a kind of failure, at a jump host or at the endpoint itself.

    `windows`: the endpoint is reached over WinRM.
    """
    if jump:
        return _AT_JUMP.get(kind, _BEHIND)
    return (windows and _ON_WINDOWS.get(kind)) or ADVICE[kind]


UNKNOWN: Final = "nobody knows whether it happened: look before you run it again"
"""What is true of every endpoint whose change ended unknown."""

IN_DOUBT: Final = (
    "resume settles it first: it looks there, does again what is safe to be done twice, or asks"
)
"""What comes of a doubt that a run was left with."""

ASKED: Final = "look there, so that you can answer when resume asks again"
"""What to do about a doubt that only a person can settle."""
