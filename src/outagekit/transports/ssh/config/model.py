"""What stands in a config file, what is asked of it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from outagekit.errors import Problem
from outagekit.transports.ssh.config.patterns import HostPatterns


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; line and column count from 1."""

    path: Path
    line: int
    column: int
    source: str

    def problem(self, message: str, hint: str = "") -> Problem:
        """Return a problem at this place."""
        return Problem(self.path, self.line, self.column, message, hint, self.source)


@dataclass(frozen=True, slots=True)
class Said:
    """A text with the place that says it."""

    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Jump:
    """A server of a `ProxyJump`."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Jumps:
    """A `ProxyJump`; `none` has no hops."""

    hops: tuple[Jump, ...]
    """Nearest first."""
    written: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A keyword, in lower case, with its value: of a type of its own, else the text as it is."""

    keyword: str
    value: str | int | bool | Jumps | None
    place: Place


@dataclass(frozen=True, slots=True)
class Include:
    """The files an `Include` found, in their order."""

    files: tuple[ConfigFile, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A keyword nobody knows: a fault, unless `IgnoreUnknown` covers it."""

    keyword: str
    place: Place


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition of a `Match` line; `argument` is empty where there is none."""

    name: str
    argument: str
    negated: bool


@dataclass(frozen=True, slots=True)
class MatchLine:
    """A `Match` line; all its criteria must hold."""

    criteria: tuple[Criterion, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Block:
    """What stands under one `Host` or `Match` line."""

    condition: HostPatterns | MatchLine | None
    """None: what stands before the first such line."""
    content: tuple[Statement | Include | Unknown, ...]
    unknown: tuple[Unknown, ...]
    """Those of `content` and of all files included there: judged even where nothing matches."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file as it was read."""

    path: Path
    blocks: tuple[Block, ...]
    wants_final: bool
    """It, or a file it includes, asks for a second pass with `Match final`."""

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """Every unknown keyword in it and in what it includes."""
        return tuple(each for block in self.blocks for each in block.unknown)


def _nothing(_: str) -> None:
    return None


def _no_address(_: str, __: str) -> None:
    return None


def _no(_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Here:
    """What answers depend on besides the files: this machine and who sits at it."""

    user: str
    home: str
    machine: str
    """Its name, with a domain if it says one."""
    uid: int = 0
    environ: Mapping[str, str] = field(default_factory=dict)
    service_port: Callable[[str], int | None] = _nothing
    """Returns the TCP port of a service by its name."""
    numeric: Callable[[str, str], str | None] = _no_address
    """Returns an IP address of a family (`any`, `inet`, `inet6`) in its usual form, None for
    whatever else; asks no resolver."""
    home_of: Callable[[str], str | None] = _nothing
    """Returns the home of another user of this machine."""
    succeeds: Callable[[str], bool] = _no
    """Returns whether a command of `Match exec` ends with 0."""
    vendor_keywords: frozenset[str] = frozenset()
    """Keywords only the `ssh` of this system knows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A destination as `ssh -l USER -p PORT -- HOST` names it."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A keyword that holds for a destination and is not used."""

    keyword: str
    path: Path
    line: int

    def __str__(self) -> str:
        """Return `keyword (file:line)`."""
        return f"{self.keyword} ({self.path}:{self.line})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the config says of a destination: what `ssh -G` prints, and `notices`."""

    asked: Asked
    hostname: str
    user: str
    """Who logs in: as asked, else as configured, else the local user."""
    configured_user: str | None
    port: int
    identities: tuple[Said, ...] | None
    """Key files as written; None: none is named."""
    certificates: tuple[Said, ...]
    identities_only: bool
    agent: Said | None
    """`IdentityAgent` as written."""
    proxy_command: Said | None
    proxy_jump: Jumps | None
    jump_place: Place | None
    connect_s: int | None
    """None: nothing is said, or `none`."""
    host_key_alias: str | None
    address_family: str
    notices: tuple[Notice, ...]
