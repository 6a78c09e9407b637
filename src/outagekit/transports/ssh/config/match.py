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
    host_fault,
    tokens_for,
    user_fault,
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


def holds(line: MatchLine, moment: Moment, here: Here) -> bool:
    """Return whether all conditions of a line hold.

    A command runs only if everything before it holds. Raises `InvalidInput` where it must not or
    cannot run.
    """
    result = True
    for criterion in line.criteria:
        if criterion.name == "exec" and not result:
            continue
        result = _holds(criterion, line, moment, here) and result
    return result


def _holds(criterion: Criterion, line: MatchLine, moment: Moment, here: Here) -> bool:
    if criterion.name in NOT_JUDGED:
        return False
    if criterion.name == "exec":
        met = here.succeeds(_command(criterion, line, moment, here))
    else:
        met = _met(criterion, moment, here)
    return met is not criterion.negated


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
    host, user = moment.host, moment.user
    refused = host_fault(host) or user_fault(user) or host_fault(moment.alias or host)
    if refused:
        problem = line.place.problem(f"Match exec: {refused}")
        raise InvalidInput(str(problem), (problem,))
    tokens = tokens_for(
        here,
        host=host,
        original=moment.original,
        user=user,
        port=moment.port,
        alias=moment.alias or host,
    )
    try:
        return expanded(criterion.argument, tokens)
    except BadTokenError as fault:
        problem = line.place.problem(f"Match exec: {fault}")
        raise InvalidInput(str(problem), (problem,)) from fault
