"""What a config says of a destination: the first value wins, and files are read in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from outagekit.errors import InvalidInput, Problem
from outagekit.transports.ssh.config.keywords import OF_SYSTEMS, TOLD
from outagekit.transports.ssh.config.match import NOT_JUDGED, Moment, holds
from outagekit.transports.ssh.config.model import (
    Answer,
    Asked,
    Block,
    ConfigFile,
    Here,
    Include,
    Jumps,
    MatchLine,
    Notice,
    Place,
    Said,
    Statement,
    Unknown,
)
from outagekit.transports.ssh.config.parse import unknown_keyword
from outagekit.transports.ssh.config.patterns import in_list, lowered
from outagekit.transports.ssh.config.tokens import (
    BadTokenError,
    expanded,
    host_fault,
    user_fault,
)
from outagekit.transports.trust.known_hosts import SSH_PORT

_MOST_FILES: Final = 100
"""Key files, and certificates, one destination may have."""
_LISTS: Final = frozenset({"identityfile", "certificatefile"})
_REPEATING: Final = frozenset({"yes", "true", "always"})
_TAKEN_LITERALLY: Final = ("%", "${")


def answer(user: ConfigFile | None, system: ConfigFile | None, asked: Asked, here: Here) -> Answer:
    """Return what `ssh` itself would do, from a person's file and then the system's.

    Raises `InvalidInput` for what `ssh` refuses: an unknown keyword, a host or user name with
    characters of a shell, a token that stands for nothing.
    """
    fault = host_fault(asked.host) or user_fault(asked.user or "")
    if fault:
        raise InvalidInput(f"{asked.host!r} cannot be looked up in the SSH config: {fault}")
    return _Lookup(user, system, asked, here).run()


class _Lookup:
    """One destination on its way through the files."""

    def __init__(
        self, user: ConfigFile | None, system: ConfigFile | None, asked: Asked, here: Here
    ) -> None:
        self._files = [file for file in (user, system) if file is not None]
        self._system = system
        self._asked = asked
        self._here = here
        self._host = asked.host
        self._final = False
        self._of_system = False
        self._problems: list[Problem] = []
        self._said: dict[str, Statement] = {}
        self._lists: dict[str, dict[str, Said]] = {name: {} for name in _LISTS}
        self._notices: dict[str, Notice] = {}

    def run(self) -> Answer:
        """Return the answer."""
        self._pass()
        self._host = self._resolved()
        again = self._text("canonicalizehostname") in _REPEATING
        if again or any(file.wants_final for file in self._files):
            self._final = True
            self._pass()
        return self._answer()

    def _pass(self) -> None:
        for file in self._files:
            self._of_system = file is self._system
            self._file(file)
        if self._problems:
            first = self._problems[0]
            raise InvalidInput(f"ssh would refuse {first.path}", tuple(self._problems))

    def _file(self, file: ConfigFile) -> None:
        for block in file.blocks:
            if self._applies(block):
                for each in block.content:
                    self._take(each)
            else:
                for unknown in block.unknown:
                    self._judge(unknown)

    def _applies(self, block: Block) -> bool:
        condition = block.condition
        if isinstance(condition, MatchLine):
            for criterion in condition.criteria:
                if criterion.name in NOT_JUDGED:
                    self._notice(f"Match {criterion.name}", condition.place)
            return holds(condition, self._moment(), self._here)
        return condition is None or condition.match(self._host)

    def _moment(self) -> Moment:
        asked = self._asked
        host = self._host if self._final else self._named()
        port = self._said.get("port")
        return Moment(
            original=asked.host,
            host=host,
            user=asked.user or self._text("user") or self._here.user,
            port=asked.port or (port.value if port and isinstance(port.value, int) else SSH_PORT),
            alias=self._text("hostkeyalias"),
            tag=self._text("tag") or "",
            final=self._final,
            given=asked.user,
        )

    def _take(self, each: Statement | Include | Unknown) -> None:
        if isinstance(each, Unknown):
            self._judge(each)
        elif isinstance(each, Include):
            for file in each.files:
                self._file(file)
        elif each.keyword in _LISTS:
            self._add(each)
        elif each.keyword == "proxyjump":
            self._jump(each)
        elif each.keyword != "proxycommand" or not self._jumps():
            self._set(each)

    def _set(self, statement: Statement) -> None:
        keyword, value = statement.keyword, statement.value
        if keyword in self._said or value is None:
            return  # to `ssh`, a ConnectTimeout of `none` is as if nothing were said
        self._said[keyword] = statement
        told = TOLD.get(keyword)
        if told is None or (self._of_system and keyword in OF_SYSTEMS):
            return
        written, harmless = told
        if lowered(str(value)) not in harmless:
            self._notice(written, statement.place)

    def _add(self, statement: Statement) -> None:
        found, value = self._lists[statement.keyword], str(statement.value)
        found.setdefault(value, Said(value, statement.place))
        if len(found) > _MOST_FILES:
            problem = statement.place.problem(f"there are more than {_MOST_FILES} of these files")
            raise InvalidInput(str(problem), (problem,))

    def _jump(self, statement: Statement) -> None:
        if "proxycommand" not in self._said:
            self._said.setdefault("proxyjump", statement)

    def _jumps(self) -> Jumps | None:
        """Return the `ProxyJump` that was said; None, too, for `none`."""
        said = self._said.get("proxyjump")
        jumps = said.value if said is not None else None
        return jumps if isinstance(jumps, Jumps) and jumps.hops else None

    def _judge(self, unknown: Unknown) -> None:
        ignored = self._text("ignoreunknown")
        if ignored is None or not in_list(unknown.keyword, ignored, lower=True):
            problem = unknown_keyword(unknown)
            if problem not in self._problems:
                self._problems.append(problem)

    def _notice(self, keyword: str, place: Place) -> None:
        self._notices.setdefault(keyword, Notice(keyword, place.path, place.line))

    def _text(self, keyword: str) -> str | None:
        said = self._said.get(keyword)
        return said.value if said is not None and isinstance(said.value, str) else None

    def _said_as(self, keyword: str) -> Said | None:
        said = self._said.get(keyword)
        return Said(str(said.value), said.place) if said is not None else None

    def _named(self) -> str:
        """Return what `HostName` makes of the name that was asked for."""
        said = self._said_as("hostname")
        if said is None:
            return self._host
        try:
            return expanded(said.value, {"h": self._host})
        except BadTokenError as fault:
            problem = said.place.problem(f"HostName: {fault}")
            raise InvalidInput(str(problem), (problem,)) from fault

    def _resolved(self) -> str:
        host = self._named()
        return self._here.numeric(host, self._family) or lowered(host)

    @property
    def _family(self) -> str:
        return self._text("addressfamily") or "any"

    def _answer(self) -> Answer:
        asked = self._asked
        command, jump = self._said_as("proxycommand"), self._said.get("proxyjump")
        if command is not None and lowered(command.value) == "none":
            command = None
        user, alias = self._text("user"), self._text("hostkeyalias")
        if user and asked.user is None and any(sign in user for sign in _TAKEN_LITERALLY):
            self._notice("tokens in User", self._said["user"].place)
        timeout, only = self._said.get("connecttimeout"), self._said.get("identitiesonly")
        moment = self._moment()
        return Answer(
            asked=asked,
            hostname=self._host,
            user=moment.user,
            configured_user=user,
            port=moment.port,
            identities=tuple(self._lists["identityfile"].values()) or None,
            certificates=tuple(self._lists["certificatefile"].values()),
            identities_only=only is not None and only.value is True,
            agent=self._said_as("identityagent"),
            proxy_command=command,
            proxy_jump=self._jumps(),
            jump_place=jump.place if jump is not None else None,
            connect_s=timeout.value if timeout and isinstance(timeout.value, int) else None,
            host_key_alias=lowered(alias) if alias else None,
            address_family=self._family,
            notices=tuple(self._notices.values()),
        )


def folded(answers: Sequence[Answer]) -> tuple[Notice, ...]:
    """Return the notices of many answers, each once."""
    return tuple(dict.fromkeys(notice for each in answers for notice in each.notices))
