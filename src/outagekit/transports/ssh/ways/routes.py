"""Which way leads to an endpoint's SSH or WinRM server, worked out once and kept.

What the inventory says wins: address, port, the credential's user and key, the site's jump host.
The person's SSH config fills in what is left open, with the answers `ssh` itself would find. Of a
Windows endpoint it says nothing, since it is about SSH: there it is asked for the jump host only.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Final

from outagekit.errors import InvalidInput
from outagekit.inventory.address import parse_login
from outagekit.inventory.model import Credential, Endpoint, Scheme, Site
from outagekit.transports.probing.probe import ssh_port
from outagekit.transports.protocol import Target
from outagekit.transports.ssh.config.config import SshConfig
from outagekit.transports.ssh.config.expansion import Expanded, expand
from outagekit.transports.ssh.config.model import Answer, Asked, Jump, Notice
from outagekit.transports.ssh.ways.route import Route, Server
from outagekit.transports.trust.known_hosts import SSH_PORT
from outagekit.transports.winrm.place import place_of
from outagekit.transports.winrm.proxy import parse_proxy

_MOST_HOPS: Final = 16
_LONGEST_CONNECT_S: Final = 60.0
"""A longer `ConnectTimeout` would keep others waiting."""

_Ways = dict[tuple[Asked, tuple[Jump, ...], Credential | None], Route]
_PlaceKey = tuple[Scheme | None, str, int | None]
"""What WinRM speaks, None for SSH; address and port."""
_Key = tuple[_PlaceKey, Credential | None, str | None, Credential | None, str | None]


class Routes:
    """Works out routes, from any thread; the same target always has the same one.

    Without a config there is only what the inventory says.
    """

    def __init__(self, config: SshConfig | None = None) -> None:
        self._config = config
        self._guard = threading.Lock()
        self._known: dict[_Key, Route] = {}
        self._notices: dict[Notice, None] = {}
        self._ways: _Ways = {}

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the config says of the routes so far and is not used, each keyword once a place."""
        with self._guard:
            return tuple(self._notices)

    def route(self, target: Target) -> Route:
        """Return the way to an endpoint.

        Raises `InvalidInput` where `ssh` would refuse the config, with the place in it, and for
        a proxy or an address of a Windows endpoint that cannot be one.
        """
        key = _key(target)
        known = self._known.get(key)
        if known is not None:
            return known
        with self._guard:
            if key not in self._known:
                self._known[key] = self._worked_out(target)
            return self._known[key]

    def _worked_out(self, target: Target) -> Route:
        endpoint, credential = target.endpoint, target.credential
        by_site = _jump_of(target.site)
        if self._config is None:
            return _plain(target, by_site)
        finder = _Finder(self._config, target.jump_credential, self._ways)
        if endpoint.os == "windows":
            route = _to_winrm(target, finder.jump(by_site) if by_site is not None else None)
        else:
            user = credential.user if credential else None
            route = finder.way(
                Asked(endpoint.address, user, _port_of(endpoint)), credential, by_site
            )
        self._notices.update(dict.fromkeys(finder.notices))
        return route


class _Finder:
    """The search for one way; keeps what is to be told of it."""

    def __init__(self, config: SshConfig, jump_credential: Credential | None, ways: _Ways) -> None:
        self._config = config
        self._jump_credential = jump_credential
        self._ways = ways
        self.notices: list[Notice] = []

    def way(self, asked: Asked, credential: Credential | None, by_site: Jump | None) -> Route:
        """Return the way to a destination; `by_site` is the jump host its site names."""
        if by_site is None:
            return self._way(asked, (), credential, 0)
        # As for `ssh -J`, which an endpoint's own ProxyJump and ProxyCommand do not matter to.
        found = self._config.answer(asked)
        end, _ = self._server(replace(found, proxy_jump=None, proxy_command=None), credential)
        jump = self.jump(by_site)
        return Route(end, (*jump.hops, jump.end), jump.command)

    def jump(self, by_site: Jump) -> Route:
        """Return the way to the jump host of a site."""
        login = self._jump_credential
        user = login.user if login is not None else by_site.user
        return self._hop(Asked(by_site.host, user, by_site.port), (), login, 1)

    def _way(
        self, asked: Asked, before: tuple[Jump, ...], credential: Credential | None, depth: int
    ) -> Route:
        """Return the way to a destination; hops `before` it win over those of its own config.

        A hop's own config leads to it only where it is the first one, as `ssh -J` does it.
        """
        found = self._config.answer(asked)
        if before:
            found = replace(found, proxy_jump=None, proxy_command=None)
        server, expanded = self._server(found, credential)
        hops = before or (found.proxy_jump.hops if found.proxy_jump else ())
        if not hops:
            return Route(server, (), expanded.command)
        if depth + len(hops) > _MOST_HOPS:
            raise _endless(found)
        last = hops[-1]
        nearer = self._hop(Asked(last.host, last.user, last.port), hops[:-1], None, depth + 1)
        return Route(server, (*nearer.hops, nearer.end), nearer.command)

    def _hop(
        self, asked: Asked, before: tuple[Jump, ...], credential: Credential | None, depth: int
    ) -> Route:
        """Return the way to a jump host; many endpoints have the same."""
        key = asked, before, credential
        if key not in self._ways:
            self._ways[key] = self._way(asked, before, credential, depth)
        return self._ways[key]

    def _server(self, found: Answer, credential: Credential | None) -> tuple[Server, Expanded]:
        self.notices += found.notices
        expanded = expand(found, self._config.here)
        server = Server(
            address=found.hostname,
            port=found.port,
            known_as=found.host_key_alias or found.hostname,
            known_port=SSH_PORT if found.host_key_alias else None,
            user=found.user or None,
            credential=credential,
            connect_s=min(found.connect_s, _LONGEST_CONNECT_S) if found.connect_s else None,
        )
        if credential is not None and not credential.agent:
            return server, expanded
        return replace(
            server,
            identities=expanded.identities,
            certificates=expanded.certificates,
            identities_only=found.identities_only,
            agent=expanded.agent,
        ), expanded


def _key(target: Target) -> _Key:
    jump = target.site.jump if target.site else None
    credential, jump_credential = target.credential, target.jump_credential
    return _place_key(target.endpoint), credential, jump, jump_credential, target.winrm.proxy


def _place_key(endpoint: Endpoint) -> _PlaceKey:
    if endpoint.os == "windows":
        place = place_of(endpoint)
        return place.scheme, place.address, place.port
    return None, endpoint.address, _port_of(endpoint)


def _port_of(endpoint: Endpoint) -> int | None:
    """Return the port the inventory says, a forward of it included; None if it says none."""
    return endpoint.ports.get(endpoint.port or SSH_PORT) or endpoint.port


def _plain(target: Target, by_site: Jump | None) -> Route:
    jump = None
    if by_site is not None:
        port = by_site.port or SSH_PORT
        login = target.jump_credential
        server = Server(
            by_site.host, port, known_as=by_site.host, user=by_site.user, credential=login
        )
        jump = Route(server)
    endpoint = target.endpoint
    if endpoint.os == "windows":
        return _to_winrm(target, jump)
    end = Server(
        endpoint.address,
        ssh_port(endpoint),
        known_as=endpoint.address,
        credential=target.credential,
    )
    return Route(end, (jump.end,) if jump is not None else ())


def _to_winrm(target: Target, jump: Route | None) -> Route:
    """Return the way to a Windows endpoint; its site's jump host wins over its client's proxy."""
    place = place_of(target.endpoint)
    end = Server(place.address, place.port, known_as=place.address, credential=target.credential)
    if jump is not None:
        return Route(end, (*jump.hops, jump.end), jump.command, scheme=place.scheme)
    named = target.winrm.proxy
    proxy = parse_proxy(named) if named is not None else None
    return Route(end, scheme=place.scheme, proxy=proxy)


def _jump_of(site: Site | None) -> Jump | None:
    if site is None or site.jump is None:
        return None
    named = "@" in site.jump
    login = parse_login(site.jump if named else f"you@{site.jump}")
    return Jump(login.address, login.user if named else None, login.port)


def _endless(found: Answer) -> InvalidInput:
    place = found.jump_place
    message = f"the jump hosts of {found.asked.host} lead to each other without end"
    return InvalidInput(message, (place.problem(message),) if place is not None else ())
