"""Whether the conditions of a `Match` line hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outagekit.errors import InvalidInput
from outagekit.transports.ssh.config.model import Criterion, Here, MatchLine
from outagekit.transports.ssh.config.patterns import in_list, lowered
from outagekit.transports.ssh.config.tokens import (
    BadTokenError,
    expanded,
    has_token,
    host_fault,
    tokens_for,
    user_fault,
    word_fault,
)

NOT_JUDGED: Final = frozenset({"localnetwork", "sessiontype", "command", "version"})
"""Conditions that are told of, and never hold."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of a destination when a `Match` line is reached."""

    original: str
    host: str
    user: str
    port: int
    alias: str | None
    tag: str
    final: bool
    given: str | None = None
    """Who logs in, if that was asked for and is no word of the config."""


def holds(line: MatchLine, moment: Moment, here: Here) -> bool:
    """Return whether all conditions of a line hold.

    A command runs only if everything before it holds. Raises `InvalidInput` where it must not or
    cannot run.
    """
    result = True
    for criterion in line.criteria:
        if criterion.name == "exec":
            command = _command(criterion, line, moment, here)
            # What comes after a condition that does not hold is not run.
            met = result and _succeeds(criterion, command, line, moment, here)
        else:
            met = criterion.name not in NOT_JUDGED and _met(criterion, moment, here)
            result = result and criterion.name not in NOT_JUDGED
        result = result and met is not criterion.negated
    return result


def _met(criterion: Criterion, moment: Moment, here: Here) -> bool:
    texts = {"user": moment.user, "localuser": here.user, "tagged": moment.tag}
    hosts = {"host": moment.host, "originalhost": moment.original}
    if criterion.name == "all":
        return True
    if criterion.name in hosts:
        return in_list(lowered(hosts[criterion.name]), criterion.argument, lower=True)
    if criterion.name in texts:
        return in_list(texts[criterion.name], criterion.argument)
    return moment.final


def _command(criterion: Criterion, line: MatchLine, moment: Moment, here: Here) -> str:
    tokens = tokens_for(
        here,
        host=moment.host,
        original=moment.original,
        user=moment.user,
        port=moment.port,
        alias=moment.alias or moment.host,
    )
    try:
        return expanded(criterion.argument, tokens)
    except BadTokenError as fault:
        raise _refused(line, str(fault)) from fault


def _succeeds(
    criterion: Criterion, command: str, line: MatchLine, moment: Moment, here: Here
) -> bool:
    hosts = (moment.host, moment.alias or moment.host)
    faults = [*map(host_fault, hosts), user_fault(moment.user)]
    if moment.given and has_token(criterion.argument, "r"):
        faults.append(word_fault(moment.given))
    fault = next(filter(None, faults), "")
    if fault:
        raise _refused(line, fault)
    return here.succeeds(command)


def _refused(line: MatchLine, fault: str) -> InvalidInput:
    problem = line.place.problem(f"Match exec: {fault}")
    return InvalidInput(str(problem), (problem,))
