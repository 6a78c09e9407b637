"""A plan: everything a run executes, and nothing else. Stored whole in the run folder.

A plan is a pure function of playbook, parameters, inventory and selection: the same inputs give
the same `digest` on every machine, so the digest is what a person confirms and what a second
person can compare.
"""

from __future__ import annotations

from typing import Any

import msgspec

from outagekit.events import EndpointId, StepId
from outagekit.inventory.model import Client, Credential, Endpoint, Site, Winrm
from outagekit.playbook.model import Account, Once, Phase, Playbook, Rollout, Step

DEFAULT_ROLLOUT = Rollout()


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the plan's values."""


class Stage(Value, frozen=True):
    """Consecutive steps of one phase: a barrier over all endpoints of the run."""

    number: int
    """From 1."""
    phase: Phase
    steps: tuple[StepId, ...]
    changes: bool
    once: Once | None = None
    """Set for a stage of one step that happens here, once per client or run."""


class Override(Value, frozen=True):
    """A person's decision to go beyond an agreement, recorded as a change request."""

    allow: str
    clients: tuple[str, ...]
    approved_by: str
    because: str
    listed: bool


class Refusal(Value, frozen=True):
    """Something the agreement of a client does not allow."""

    client: str
    allow: str
    """What would have to be allowed."""
    steps: tuple[StepId, ...]
    approvers: tuple[str, ...] = ()


class Plan(Value, frozen=True):
    """What would happen, to whom, in which order. Holds every script it would run."""

    playbook: Playbook
    params: dict[str, Any]
    """Typed by the playbook; a datetime is ISO 8601 text in UTC."""
    selection: str
    """The selectors that chose the endpoints, for people."""
    clients: tuple[Client, ...]
    """Facts of the clients concerned; their `endpoints` are empty."""
    endpoints: tuple[Endpoint, ...]
    """In the order they are begun."""
    stages: tuple[Stage, ...]
    refusals: tuple[Refusal, ...] = ()
    overrides: tuple[Override, ...] = ()
    first: tuple[EndpointId, ...] = ()
    """Who goes into the first waves, by the rollout's `first`; in the order of `endpoints`."""
    apart: tuple[EndpointId, ...] = ()
    """Of these one client never has two in a wave."""
    pounce: tuple[StepId, ...] = ()
    """What a boot-looping endpoint gets before anything else: the rollout's step, and before it
    the steps whose values it needs."""
    dry_run: bool = False
    """Only read steps and checks are executed."""
    undo_on_failure: bool = False
    """An endpoint that fails has its changed steps taken back at once."""
    handed: dict[StepId, dict[EndpointId, dict[str, Any]]] | None = None
    """For the undo of an earlier run: to whom a step applies, with the values it was done with."""
    undoes: str = ""
    """The earlier run this plan takes back, or empty."""
    digest: str = ""
    """SHA-256 of the plan as JSON without this field and without where files lie."""

    @property
    def rollout(self) -> Rollout:
        """How changes spread; a playbook that does not say so gets the careful default."""
        return self.playbook.rollout or DEFAULT_ROLLOUT

    @property
    def steps(self) -> tuple[Step, ...]:
        """The playbook's steps in order."""
        return self.playbook.steps

    @property
    def changes(self) -> bool:
        """Whether any step is meant to alter an endpoint."""
        return any(step.changes for step in self.steps)

    def client(self, name: str) -> Client:
        """Return the facts of a client of this plan."""
        return next(client for client in self.clients if client.client == name)

    def credential_of(self, endpoint: Endpoint) -> Credential | None:
        """Return the credential an endpoint names, or None."""
        if endpoint.credential is None:
            return None
        return self.client(endpoint.client).credentials[endpoint.credential]

    def jump_credential_of(self, endpoint: Endpoint) -> Credential | None:
        """Return the credential for the jump host of an endpoint's site, or None."""
        site = self.site_of(endpoint)
        if site is None or site.jump_credential is None:
            return None
        return self.client(endpoint.client).credentials[site.jump_credential]

    def winrm_of(self, endpoint: Endpoint) -> Winrm:
        """Return what an endpoint's client says about the way to its Windows endpoints."""
        return self.client(endpoint.client).winrm

    def account_of(self, step: Step, endpoint: Endpoint) -> Account:
        """Return under which account a step runs on an endpoint.

        Windows has no root: there that is who logs in, an administrator.
        """
        if step.account is None:
            return "login" if endpoint.become is None else "root"
        return "login" if step.account == "root" and endpoint.os == "windows" else step.account

    def site_of(self, endpoint: Endpoint) -> Site | None:
        """Return the site an endpoint stands at, or None."""
        if endpoint.site is None:
            return None
        return self.client(endpoint.client).sites[endpoint.site]
