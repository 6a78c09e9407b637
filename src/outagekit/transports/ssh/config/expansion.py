"""An answer with everything filled in: paths of keys, the agent's socket, the proxy's command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outagekit.errors import InvalidInput
from outagekit.transports.ssh.config.model import Answer, Here, Said
from outagekit.transports.ssh.config.tokens import (
    BadTokenError,
    at_home,
    expanded,
    has_token,
    host_fault,
    of_command,
    tokens_for,
    user_fault,
    word_fault,
)
from outagekit.transports.trust.known_hosts import SSH_PORT

_FROM_ENVIRONMENT = "SSH_AUTH_SOCK"


@dataclass(frozen=True, slots=True)
class Expanded:
    """What `ssh` works with in the end."""

    identities: tuple[str, ...] | None
    """Paths of key files; None: those of `~/.ssh`."""
    certificates: tuple[str, ...]
    agent: str | None
    """Path of the agent's socket, or `none`; None: the one of the environment."""
    command: str
    """The proxy's command line; empty without one."""


def expand(answer: Answer, here: Here) -> Expanded:
    """Return an answer's paths and command with their tokens and variables replaced.

    Raises `InvalidInput` for a token that stands for nothing, a variable that is not set, a host
    or user name with characters of a shell that would become part of a command, and a jump host
    that is the destination itself.
    """
    jumps = answer.proxy_jump
    _require_no_loop(answer)
    tokens = tokens_for(
        here,
        host=answer.hostname,
        original=answer.asked.host,
        user=answer.user,
        port=answer.port,
        alias=answer.host_key_alias,
        jump=jumps.hops[-1].host if jumps else "",
    )
    files: tuple[str, ...] | None = None
    if answer.identities is not None:
        named = [said for said in answer.identities if said.value != "none"]
        files = tuple(_path(said, tokens, here) for said in named)
    return Expanded(
        identities=files,
        certificates=tuple(_path(said, tokens, here) for said in answer.certificates),
        agent=_agent(answer.agent, tokens, here) if answer.agent else None,
        command=_command(answer, tokens) if answer.proxy_command else "",
    )


def _require_no_loop(answer: Answer) -> None:
    if answer.proxy_jump is None or answer.jump_place is None:
        return
    last = answer.proxy_jump.hops[-1]
    through = (last.host, last.port or SSH_PORT, last.user or answer.user)
    if through == (answer.hostname, answer.port, answer.user):
        problem = answer.jump_place.problem(f"{last.host} would be reached through itself")
        raise InvalidInput(str(problem), (problem,))


def _path(said: Said, tokens: Mapping[str, str], here: Here) -> str:
    try:
        return expanded(at_home(said.value, here), tokens, here.environ)
    except BadTokenError as fault:
        raise _refused(said, str(fault)) from fault


def _agent(said: Said, tokens: Mapping[str, str], here: Here) -> str | None:
    if said.value == _FROM_ENVIRONMENT:
        return None
    if said.value == "none":
        return "none"
    path = _path(said, tokens, here)
    if path.startswith("$"):
        return here.environ.get(path[1:], "none")
    return path


def _command(answer: Answer, tokens: Mapping[str, str]) -> str:
    said = answer.proxy_command
    if said is None:
        return ""
    if said.value == "-":
        raise _refused(said, "a connection on standard input and output cannot be used here")
    hosts = (answer.hostname, answer.asked.host, answer.host_key_alias or answer.hostname)
    faults = [*map(host_fault, hosts), user_fault(answer.user)]
    if answer.asked.user and has_token(said.value, "r"):
        faults.append(word_fault(answer.asked.user))
    fault = next(filter(None, faults), "")
    if fault:
        raise _refused(said, fault)
    try:
        return expanded(said.value, of_command(tokens))
    except BadTokenError as error:
        raise _refused(said, str(error)) from error


def _refused(said: Said, fault: str) -> InvalidInput:
    problem = said.place.problem(fault)
    return InvalidInput(str(problem), (problem,))
