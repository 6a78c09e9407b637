"""What to do about each kind of failure: one sentence for somebody who is tired."""

from __future__ import annotations

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
    FailureKind.AUTH: "the login was refused: look at user, key and password of the credential;"
    " it was not tried again",
    FailureKind.CREDENTIAL_STOPPED: "the credential was refused elsewhere and not tried here, so"
    " that no account is locked: mend it first",
    FailureKind.BECOME: "the login worked, becoming root did not, and nothing ran: look at sudo on"
    " the machine and at `sudo` of the credential",
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
    FailureKind.LOCAL_IO: "this machine is at fault, not the endpoint: disk, files, permissions",
}
"""Failure kind -> a sentence without a full stop."""

UNKNOWN: Final = "nobody knows whether it happened: look before you run it again"
"""What is true of every endpoint whose change ended unknown."""

IN_DOUBT: Final = (
    "resume settles it first: it looks there, does again what is safe to be done twice, or asks"
)
"""What comes of a doubt that a run was left with."""

ASKED: Final = "look there, so that you can answer when resume asks again"
"""What to do about a doubt that only a person can settle."""
